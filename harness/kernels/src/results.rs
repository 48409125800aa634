//! What of the harness's results matters here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The name of the run by which the harness tells what its probe of a kernel found.
pub const PROBE: &str = "kernel/probe";

#[derive(Debug, Deserialize)]
struct Results {
    runs: Vec<RunOf>,
}

/// One run.
#[derive(Debug, Deserialize)]
pub struct RunOf {
    /// Which scenario, or what the harness tells of the kernel itself.
    pub scenario: String,
    /// What became of it.
    pub outcome: String,
    /// Why; none of a run that passed.
    pub reason: Option<ReasonOf>,
}

/// Why a run has its outcome.
#[derive(Debug, Deserialize)]
pub struct ReasonOf {
    /// All of it as a sentence.
    pub text: String,
    /// The check whose finding it is.
    pub check: Option<String>,
    /// Whether that check could not run.
    pub could_not_run: bool,
    /// The finding: its code, and its fields.
    pub finding: Map<String, Value>,
}

/// Reads the runs of `--json`.
///
/// # Errors
/// When there is no such file, or it is none of the harness.
pub fn read(path: &Path) -> Result<Vec<RunOf>> {
    let text = fs::read(path).context("the harness has left no results")?;
    let results: Results = serde_json::from_slice(&text).context("cannot read the harness's results")?;
    Ok(results.runs)
}
