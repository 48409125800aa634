//! The one result model, and everything that prints it.
//!
//! Nothing outside of this module writes to stdout or stderr.

pub mod atomic;
mod exit;
mod printable;
mod run_id;
mod tally;
pub mod terminal;

pub use exit::{Exit, exit_code};
pub use run_id::RunId;
pub use tally::Tally;
pub use terminal::{Context, Reporter};
