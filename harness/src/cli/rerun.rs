//! `--rerun-failed`: which runs of an earlier call failed, and with which seeds.

use std::collections::BTreeMap;
use std::path::Path;

use miette::miette;

use super::Failure;
use super::lane::LaneArgs;
use crate::report::{Exit, RunId, merge};
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use imalab_language::scenario::Scenario;
use imalab_run::Kernel;

/// The failed and interrupted runs of an earlier call that are among these scenarios and kernels, with their seeds.
///
/// # Errors
/// When the results cannot be read, or nothing of them is to be run again.
pub(super) fn failed(
    results: &Path,
    scenarios: &[Scenario],
    kernels: &[Kernel],
    lane: &LaneArgs,
) -> Result<BTreeMap<RunId, u64>, Failure> {
    let suite = merge::read(results).map_err(Failure::of_document)?;
    same_lane(&suite, lane)?;
    let all = runs(&suite);
    let nothing = |help: &'static str| Failure {
        exit: Exit::NothingRan,
        error: miette!(help = help, "{} has no failed run to run again", results.display()),
    };
    if all.is_empty() {
        return Err(nothing("failed and interrupted runs are run again"));
    }
    let here = |id: &RunId| {
        scenarios.iter().any(|scenario| scenario.id == id.scenario)
            && kernels.iter().any(|kernel| kernel.name == id.kernel)
    };
    let wanted: BTreeMap<RunId, u64> = all.into_iter().filter(|(id, _)| here(id)).collect();
    if wanted.is_empty() {
        return Err(nothing("its failed runs are of other scenarios or kernels; give the same ones"));
    }
    Ok(wanted)
}

/// A seed means something else in another lane, and with another strategy.
fn same_lane(suite: &SuiteResult, lane: &LaneArgs) -> Result<(), Failure> {
    let asked = (lane.lane, lane.strategy());
    let other = |run: &&RunResult| is_wanted(run) && (run.lane, run.strategy.clone()) != asked;
    let Some(run) = suite.runs.iter().find(other) else { return Ok(()) };
    let with = |strategy: &Option<String>| {
        strategy.as_ref().map_or_else(String::new, |strategy| format!(" --strategy {strategy}"))
    };
    let help = format!("add `--lane {}{}`", run.lane, with(&run.strategy));
    Err(Failure::usage(miette!(
        help = help,
        "{} ran in the {} lane, and a seed says nothing in another",
        RunId::of(run),
        run.lane
    )))
}

fn is_wanted(run: &RunResult) -> bool {
    run.outcome.is_failure() || run.outcome == Outcome::Interrupted
}

fn runs(suite: &SuiteResult) -> BTreeMap<RunId, u64> {
    suite.runs.iter().filter(|run| is_wanted(run)).map(|run| (RunId::of(run), run.seed)).collect()
}
