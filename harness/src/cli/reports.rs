//! Arguments that say where results go.

use std::path::PathBuf;

use clap::Args;

use crate::report::ReportFiles;

/// Result files.
#[derive(Args)]
#[command(next_help_heading = "Results")]
pub(super) struct ReportArgs {
    /// Write the results as JSON to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write events as JSON to FILE while the suite runs, one per line (`-`: standard output)
    #[arg(long, value_name = "FILE")]
    json_lines: Option<PathBuf>,
    /// Write the results as JUnit XML to FILE
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the results as KTAP to FILE; to standard output (`-`), a FIFO or a device while the suite runs
    #[arg(long, value_name = "FILE")]
    ktap: Option<PathBuf>,
    /// Write the results as an HTML page to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl ReportArgs {
    /// Where each form goes.
    pub(super) fn files(&self) -> ReportFiles {
        ReportFiles {
            json: self.json.clone(),
            json_lines: self.json_lines.clone(),
            junit: self.junit.clone(),
            ktap: self.ktap.clone(),
            html: self.html.clone(),
        }
    }
}
