//! `imalab capabilities`: the names that `needs:`, `offers:` and `--require` take.

use clap::Args;

use super::Failure;
use crate::report::{self, Exit};
use imalab_language::capability::Capability;

#[derive(Args)]
pub(super) struct CapabilitiesArgs {
    /// Print names only
    #[arg(long)]
    names: bool,
}

/// Prints a line for each.
pub(super) fn capabilities(args: &CapabilitiesArgs) -> Result<Exit, Failure> {
    for capability in Capability::all() {
        let name = capability.name();
        let line = if args.names { name.to_owned() } else { format!("{name:<18} {}", capability.met_by()) };
        report::print::line(&line).map_err(Failure::setup)?;
    }
    Ok(Exit::Passed)
}
