//! `imalab merge`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::reports::ReportArgs;
use crate::event::{Listener, SuiteEvent};
use crate::report::merge::MergeError;
use crate::report::{self, Exit, Listeners};

#[derive(Args)]
pub(super) struct MergeArgs {
    /// Directories of `test --out` or files of `--json` or `--json-lines`: all parts of one suite, or suites of different
    /// kernels
    #[arg(value_name = "DIR", required = true)]
    parts: Vec<PathBuf>,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Puts the results of a suite's parts together, and ends as the whole suite would have.
pub(super) fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let suite = report::merge::merge(&args.parts).map_err(|error| match error {
        MergeError::Read(error) => Failure::of_document(error),
        error => Failure::usage(error),
    })?;
    let mut listeners = Listeners::of(&args.reports.files()?, None).map_err(Failure::of_reports)?;
    listeners.event(SuiteEvent::Finished(&suite));
    Ok(Exit::of(&suite).and(listeners.exit()))
}
