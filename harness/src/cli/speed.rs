//! `imalab generate-log` and `imalab bench-verify`: made lists, and how fast they are verified.

use std::io;

use super::Failure;
use crate::report::Exit;
use crate::verify::{self, GenerateLogArgs, speed};

/// Makes a list.
pub(super) fn generate(args: &GenerateLogArgs) -> Result<Exit, Failure> {
    verify::generate(args).map_err(Failure::setup)?;
    Ok(Exit::Passed)
}

/// Measures this very program beside evmctl.
pub(super) fn bench(args: &speed::SpeedArgs) -> Result<Exit, Failure> {
    let imalab = std::env::current_exe().map_err(Failure::setup)?;
    speed::measure(args, &imalab, &mut io::stdout().lock()).map_err(Failure::setup)?;
    Ok(Exit::Passed)
}
