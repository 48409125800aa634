//! `imalab accel`.

use std::io;

use clap::Args;

use super::Failure;
use super::machines::Surroundings;
use crate::report::{Exit, print};
use imalab_check::outcome::AcceleratorUsed;

#[derive(Args)]
pub(super) struct AccelArgs {
    #[command(flatten)]
    surroundings: Surroundings,
}

/// Says who will run guests' code, and why.
pub(super) fn accel(args: &AccelArgs) -> Result<Exit, Failure> {
    let choice = args.surroundings.accelerator();
    let used = AcceleratorUsed { name: choice.accel.to_string(), reason: choice.reason };
    print::accelerator(&used, &mut io::stdout().lock()).map_err(Failure::setup)?;
    Ok(Exit::Passed)
}
