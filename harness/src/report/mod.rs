//! The one result model, and everything that prints it.
//!
//! Nothing outside of this module writes to stdout or stderr.

pub mod atomic;
mod exit;
pub mod html;
pub mod trace;
pub mod ktap;
pub mod junit;
pub mod json;
pub mod list;
mod printable;
pub mod run_dir;
mod run_id;
pub mod say;
mod tally;
pub mod terminal;

pub use exit::{Exit, exit_code};
pub use run_id::RunId;
pub use say::fail;
pub use tally::Tally;
pub use terminal::{Context, Reporter};
