//! Arguments that say where results go.

use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;

use crate::report::ReportFiles;
use crate::report::github::SUMMARY;

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
    /// Write the job's summary for GitHub Actions ($GITHUB_STEP_SUMMARY), and annotations
    #[arg(long)]
    github: bool,
}

impl ReportArgs {
    /// Where each form goes.
    ///
    /// # Errors
    /// `--github` where GitHub's runner is not.
    pub(super) fn files(&self) -> Result<ReportFiles, Failure> {
        let summary = std::env::var_os(SUMMARY).map(PathBuf::from);
        if self.github && summary.is_none() {
            let help = "GitHub Actions sets it for each step; elsewhere it may name any file";
            return Err(Failure::usage(miette!(help = help, "--github needs {SUMMARY}, which is not set")));
        }
        Ok(ReportFiles {
            json: self.json.clone(),
            json_lines: self.json_lines.clone(),
            junit: self.junit.clone(),
            ktap: self.ktap.clone(),
            html: self.html.clone(),
            github: summary.filter(|_| self.github),
        })
    }
}
