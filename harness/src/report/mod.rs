//! The one result model, and everything that prints it.
//!
//! Nothing outside of this module writes to stdout or stderr.

pub mod atomic;
mod exit;
mod files;
pub mod html;
pub mod json;
#[cfg(test)]
mod json_schema;
pub mod junit;
pub mod ktap;
pub mod list;
mod printable;
pub mod run_dir;
mod run_id;
pub mod say;
mod tally;
pub mod terminal;
pub mod trace;

pub use exit::{Exit, exit_code};
pub use files::ReportFiles;
pub use run_id::RunId;
pub use say::fail;
pub use tally::Tally;
pub use terminal::{Context, Reporter};
