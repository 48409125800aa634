//! The one result model, and everything that prints it.
//!
//! Nothing outside of this module writes to stdout or stderr.

pub mod difference;
mod document;
mod exit;
mod files;
pub mod github;
pub mod html;
pub mod input;
pub mod journal;
pub mod json;
mod json_lines;
#[cfg(test)]
pub(crate) use json_lines::tests::run as fake_result;
#[cfg(test)]
mod json_schema;
pub mod junit;
pub mod ktap;
pub mod list;
mod listeners;
mod live;
pub mod merge;
pub mod print;
pub mod run_dir;
mod run_text;
mod skips;
mod tally;
pub mod terminal;
pub mod timeline;
pub mod trace;
pub mod words;

pub use exit::{Exit, exit_code};
pub use files::{ClaimedFiles, FilesError, ReportFiles};
pub use imalab_print::{Escaping, chain};
pub use listeners::Listeners;
pub use print::fail;
pub use tally::Tally;
pub use terminal::Terminal;
