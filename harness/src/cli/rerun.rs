//! `--rerun-failed`: which runs of an earlier call failed, and with which seeds.

use std::collections::BTreeMap;
use std::path::Path;

use miette::miette;

use super::Failure;
use super::lane::LaneArgs;
use crate::report::{Exit, merge};
use crate::run_id::RunId;
use imalab_check::outcome::{Boot, Outcome, RunResult, SuiteResult};
use imalab_language::lane::Lane;
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
    boot: Boot,
) -> Result<BTreeMap<RunId, u64>, Failure> {
    let suite = merge::read(results).map_err(Failure::of_document)?;
    let all = runs(&suite);
    let nothing = |help: &'static str| Failure {
        exit: Exit::NothingRan,
        error: miette!(help = help, "{} has no failed run to repeat", results.display()),
    };
    if all.is_empty() {
        return Err(nothing("only failed and interrupted runs are repeated"));
    }
    let here = |id: &RunId| {
        scenarios.iter().any(|scenario| scenario.id == id.scenario)
            && kernels.iter().any(|kernel| kernel.name == id.kernel)
    };
    let wanted: BTreeMap<RunId, u64> = all.into_iter().filter(|(id, _)| here(id)).collect();
    if wanted.is_empty() {
        return Err(nothing("its failed runs are of other scenarios or kernels; give the same ones"));
    }
    let again = suite.runs.iter().filter(|run| wanted.contains_key(&RunId::of(run)));
    same_lane(again.clone(), lane.lane, lane.strategy())?;
    same_boot(again, boot)?;
    Ok(wanted)
}

/// Refuses runs of the deterministic lane that came to their programs in another way: a seed means something else there.
fn same_boot<'r>(runs: impl Iterator<Item = &'r RunResult>, asked: Boot) -> Result<(), Failure> {
    let other =
        |run: &&RunResult| run.lane == Lane::Deterministic && run.boot.is_some_and(|boot| boot != asked);
    let Some((run, boot)) = runs.into_iter().find(other).and_then(|run| Some((run, run.boot?))) else {
        return Ok(());
    };
    let help = format!("add `--boot {}`, and name the scenarios if others ran otherwise", boot.name());
    Err(Failure::usage(miette!(
        help = help,
        "{} ran with --boot {}, where its seed means something else",
        RunId::of(run),
        boot.name()
    )))
}

/// Refuses runs of another lane or strategy: a seed means something else there.
fn same_lane<'r>(
    runs: impl Iterator<Item = &'r RunResult>,
    lane: Lane,
    strategy: Option<String>,
) -> Result<(), Failure> {
    let asked = (lane, strategy);
    let Some(run) = runs.into_iter().find(|run| (run.lane, run.strategy.clone()) != asked) else {
        return Ok(());
    };
    let with = run.strategy.as_ref().map_or_else(String::new, |strategy| format!(" --strategy {strategy}"));
    let help = format!("add `--lane {}{with}`, and name the scenarios if others ran in another", run.lane);
    Err(Failure::usage(miette!(
        help = help,
        "{} ran in the lane {}{with}, where its seed means something else",
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same(Lane::Deterministic, Some("random:10"), None)]
    #[case::another_lane(Lane::Free, None, Some("add `--lane deterministic --strategy random:10`"))]
    #[case::another_strategy(Lane::Deterministic, Some("pct:2"), Some("--strategy random:10"))]
    fn a_seed_is_run_again_in_its_own_lane(
        #[case] lane: Lane,
        #[case] strategy: Option<&str>,
        #[case] help: Option<&str>,
    ) {
        let strategy_of_it = Some("random:10".to_owned());
        let ran = RunResult {
            lane: Lane::Deterministic,
            strategy: strategy_of_it,
            ..crate::report::fake_result(0)
        };
        let refused = same_lane([&ran].into_iter(), lane, strategy.map(str::to_owned)).err();
        let told = refused.and_then(|failure| Some(failure.error.help()?.to_string()));
        assert_eq!(told.is_some(), help.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(help.unwrap_or_default()));
    }

    #[rstest]
    #[case::the_same(Lane::Deterministic, Some(Boot::Fork), None)]
    #[case::the_other(Lane::Deterministic, Some(Boot::Cold), Some("add `--boot cold`"))]
    #[case::no_machine(Lane::Deterministic, None, None)]
    #[case::where_it_means_nothing(Lane::Free, Some(Boot::Cold), None)]
    fn a_seed_is_run_again_from_where_it_went_on(
        #[case] lane: Lane,
        #[case] boot: Option<Boot>,
        #[case] help: Option<&str>,
    ) {
        let ran = RunResult { lane, boot, ..crate::report::fake_result(0) };
        let refused = same_boot([&ran].into_iter(), Boot::Fork).err();
        let told = refused.and_then(|failure| Some(failure.error.help()?.to_string()));
        assert_eq!(told.is_some(), help.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(help.unwrap_or_default()));
    }
}
