//! Whatever a command tells beside a suite's results, and errors at the edge of the process.

use std::io::{self, Write};

use super::exit::Exit;
use imalab_check::outcome::AcceleratorUsed;
use imalab_print::printable;
pub use imalab_print::{line, note, panics, render};

/// Prints what clap has to say of the command line.
pub fn arguments(error: &clap::Error) -> Exit {
    if imalab_print::arguments(error) { Exit::Usage } else { Exit::Passed }
}

/// Prints the accelerator and why it is that one.
///
/// # Errors
/// Those of the writer.
pub fn accelerator(used: &AcceleratorUsed, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "accelerator {}: {}", printable(&used.name), printable(&used.reason))
}

/// Prints an error on stderr; gives back `exit`, so that a command can end with `return fail(Exit::Usage, error)`. A plain error
/// becomes a report with [`miette::IntoDiagnostic`].
pub fn fail(exit: Exit, error: &miette::Report) -> Exit {
    imalab_print::error(error);
    exit
}
