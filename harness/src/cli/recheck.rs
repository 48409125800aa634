//! `imalab recheck`: a stored trace, judged by today's checks.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::check::{self, judge};
use crate::outcome::{RunResult, SuiteResult};
use crate::report::run_dir::{RunDir, TRACE};
use crate::report::{Exit, Reporter, trace};

#[derive(Args)]
pub(super) struct RecheckArgs {
    /// Folder of a run, or a bundle
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Judges the trace of a run again, without a machine.
pub(super) fn recheck(args: &RecheckArgs) -> Result<Exit, Failure> {
    let dir = RunDir::existing(&args.dir);
    let plan = dir.read_plan().map_err(Failure::setup)?;
    let trace = trace::read(&args.dir.join(TRACE)).map_err(Failure::setup)?;
    let mut result = dir.read_result().map_err(Failure::setup)?;
    result.checks = check::all(&plan, &trace);
    let judgement = judge::of(&plan, &trace, &result.checks);
    judgement.put_into(&mut result);
    tell(result, false)
}

/// Tells one run's result as a suite of one, which a signal may have `interrupted`.
pub(super) fn tell(result: RunResult, interrupted: bool) -> Result<Exit, Failure> {
    let suite =
        SuiteResult { schema: 1, wall_ms: result.wall_ms, runs: vec![result], interrupted, shard: None };
    let reporter = Reporter::on_terminal();
    for run in &suite.runs {
        reporter.run_finished(run);
    }
    reporter.suite_finished(&suite).map_err(Failure::setup)?;
    Ok(Exit::of(&suite))
}
