//! `imalab recheck`: a stored trace, judged by today's checks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;
use crate::event::{Listener, SuiteEvent};
use crate::report::run_dir::{Bundle, BundleError, PLAN, RESULT, RunDir, TRACE};
use crate::report::trace::{self, TraceError};
use crate::report::{Exit, Listeners, json};
use crate::suite::{keep_beside_the_trace, today};
use imalab_check::outcome::{RunResult, SuiteResult};

#[derive(Args)]
pub(super) struct RecheckArgs {
    /// Directory of a run, or a bundle
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Judges the trace of a run again, without a machine.
pub(super) fn recheck(args: &RecheckArgs) -> Result<Exit, Failure> {
    let dir = RunDir::existing(&args.dir);
    sound(&dir, &[PLAN, TRACE, RESULT])?;
    let plan = dir.read_plan().map_err(Failure::of_document)?;
    let trace = trace::read(&args.dir.join(TRACE)).map_err(|error| match error {
        TraceError::File(error) => Failure::of_file(error),
        error => Failure::usage(error),
    })?;
    let mut result = dir.read_result().map_err(Failure::of_document)?;
    // A trace that contradicts its plan in a way that no run can is somebody's work, and no reason to fall over.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        imalab_check::digest(&imalab_check::with_observed(&plan, &trace), &trace).judge(today())
    }));
    let Ok(judged) = judged else {
        return Err(Failure::usage(miette!(
            "{} cannot be judged: its trace contradicts its plan",
            args.dir.display()
        )));
    };
    let before = result.reason.take();
    judged.put_into(&mut result);
    keep_beside_the_trace(before, &mut result);
    tell(result, false)
}

/// The bundle in a folder, if it is one, when its evidence is what its run left.
pub(super) fn sound(dir: &RunDir, needed: &[&str]) -> Result<Option<Bundle>, Failure> {
    dir.sound_bundle(needed).map_err(|error| match error {
        BundleError::Read(error) => Failure::of_document(error),
        error => Failure::usage(error),
    })
}

/// Tells one run's result as a suite of one, which a signal may have `interrupted`.
pub(super) fn tell(result: RunResult, interrupted: bool) -> Result<Exit, Failure> {
    let suite = SuiteResult {
        schema: json::SCHEMA,
        wall_ms: result.wall_ms,
        runs: vec![result],
        interrupted,
        not_begun: None,
        shard: None,
    };
    let mut listeners = Listeners::terminal();
    for run in &suite.runs {
        listeners.event(SuiteEvent::RunEnded(run));
    }
    listeners.event(SuiteEvent::Finished(&suite));
    Ok(Exit::of(&suite).and(listeners.exit()))
}
