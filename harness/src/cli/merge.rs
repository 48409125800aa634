//! `imalab merge`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::test::finish;
use crate::report::merge::MergeError;
use crate::report::{self, Exit, ReportFiles, Reporter};

#[derive(Args)]
pub(super) struct MergeArgs {
    /// Folders of `test --partition … --out DIR`, or files of its `--json FILE`: every part of one suite, each once; or
    /// whole suites, each of another kernel
    #[arg(value_name = "DIR", required = true)]
    parts: Vec<PathBuf>,
    /// Writes the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the results as KTAP
    #[arg(long, value_name = "FILE")]
    ktap: Option<PathBuf>,
    /// Writes the results as an HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Puts the results of a suite's parts together, and ends as the whole suite would have.
pub(super) fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let suite = report::merge::merge(&args.parts).map_err(|error| match error {
        MergeError::Read(error) => Failure::of_document(error),
        error => Failure::usage(error),
    })?;
    let files = ReportFiles {
        json: args.json.clone(),
        junit: args.junit.clone(),
        ktap: args.ktap.clone(),
        html: args.html.clone(),
    };
    files.check().map_err(Failure::of_reports)?;
    let exit = files.write(&suite).exit;
    Ok(exit.and(finish(&Reporter::beside(&files), &suite)))
}
