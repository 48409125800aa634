//! `imalab diff`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::report::difference::Difference;
use crate::report::{Escaping, Exit, json};
use imalab_files::atomic;

#[derive(Args)]
pub(super) struct DiffArgs {
    /// Results of `test --json` to compare with
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// Results of `test --json`
    #[arg(value_name = "NOW")]
    now: PathBuf,
    /// Write the comparison as an HTML page to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Says what changed between two results.
pub(super) fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let before = json::read(&args.before).map_err(Failure::of_document)?;
    let now = json::read(&args.now).map_err(Failure::of_document)?;
    let difference = Difference::of(&before, &now);
    let mut out = Escaping::text(io::stdout().lock());
    difference.write(&mut out).and_then(|()| out.flush()).map_err(Failure::setup)?;
    if let Some(path) = &args.html {
        atomic::write(path, difference.page().into_string().as_bytes()).map_err(Failure::of_file)?;
    }
    Ok(difference.exit())
}
