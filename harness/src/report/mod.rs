//! The one result model, and everything that prints it.
//!
//! Nothing outside of this module writes to stdout or stderr.

mod diagnostic;
mod document;
mod escaping;
mod exit;
mod files;
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
pub mod merge;
pub mod print;
mod printable;
pub mod run_dir;
mod run_id;
mod run_text;
mod skips;
mod tally;
pub mod terminal;
pub mod trace;
pub mod words;

pub use escaping::Escaping;
pub use exit::{Exit, exit_code};
pub use files::{ClaimedFiles, FilesError, ReportFiles};
pub use listeners::Listeners;
pub use print::fail;
pub use run_id::RunId;
pub use tally::Tally;
pub use terminal::Terminal;

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors repeat their cause in their own words.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
