//! `--rerun-failed`: which runs of an earlier call failed, and with which seeds.

use std::collections::BTreeMap;
use std::path::Path;

use miette::miette;

use super::Failure;
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
) -> Result<BTreeMap<RunId, u64>, Failure> {
    let suite = merge::read(results).map_err(Failure::of_document)?;
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

fn runs(suite: &SuiteResult) -> BTreeMap<RunId, u64> {
    let failed = |run: &&RunResult| run.outcome.is_failure() || run.outcome == Outcome::Interrupted;
    suite.runs.iter().filter(failed).map(|run| (RunId::of(run), run.seed)).collect()
}
