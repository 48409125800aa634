//! `imalab recheck`: a stored trace, judged by today's checks.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::check::{self, judge};
use crate::outcome::{RunResult, SuiteResult};
use crate::report::run_dir::{RunDir, SCENARIO, TRACE};
use crate::report::{Exit, Reporter, trace};
use crate::scenario::{self, KnownDefect};

#[derive(Args)]
pub struct RecheckArgs {
    /// Folder of a run, or a bundle
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Judges the trace of a run again, without a machine.
pub fn recheck(args: &RecheckArgs) -> Result<Exit, Failure> {
    let dir = RunDir::existing(&args.dir);
    let plan = dir.read_plan().map_err(Failure::setup)?;
    let trace = trace::read(&args.dir.join(TRACE)).map_err(Failure::setup)?;
    let mut result = dir.read_result().map_err(Failure::setup)?;
    let defect = known_defect(&dir, &plan.scenario)?;
    result.checks = check::all(&plan, &trace);
    let judgement = judge::of(&plan, &trace, &result.checks, defect.as_ref());
    result.outcome = judgement.outcome;
    result.reason = judgement.reason;
    tell(result)
}

/// The defect that the stored scenario shows, if it shows one.
pub(super) fn known_defect(dir: &RunDir, id: &str) -> Result<Option<KnownDefect>, Failure> {
    let path = dir.path().join(SCENARIO);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(miette::miette!("cannot read {}: {error}", path.display()))
    })?;
    let scenario = scenario::parse(id, &path.to_string_lossy(), &text)
        .map_err(|error| Failure::usage(miette::Report::new(error)))?;
    Ok(scenario.known_defect)
}

/// Tells one run's result as a suite of one.
pub(super) fn tell(result: RunResult) -> Result<Exit, Failure> {
    let suite = SuiteResult { schema: 1, wall_ms: result.wall_ms, runs: vec![result], interrupted: false };
    let reporter = Reporter::on_terminal();
    for run in &suite.runs {
        reporter.run_finished(run);
    }
    reporter.suite_finished(&suite).map_err(Failure::setup)?;
    Ok(Exit::of(&suite))
}
