//! The one number that a caller gets.

use imalab::report::{Exit, exit_code};
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use rstest::rstest;

use crate::suite::{run, suite};

#[rstest]
#[case::all_passed(&[Outcome::Passed, Outcome::Passed], false, 0)]
#[case::known_defect_is_a_pass(&[Outcome::KnownDefect], false, 0)]
#[case::some_skipped(&[Outcome::Passed, Outcome::Skipped], false, 0)]
#[case::nothing_matched(&[], false, 4)]
#[case::all_skipped(&[Outcome::Skipped, Outcome::Skipped], false, 4)]
#[case::not_ordered_is_no_pass(&[Outcome::Passed, Outcome::NotOrdered, Outcome::Skipped], false, 5)]
#[case::not_ordered_hides_no_finding(&[Outcome::NotOrdered, Outcome::Failed], false, 100)]
#[case::not_ordered_and_infra(&[Outcome::NotOrdered, Outcome::Infra], false, 96)]
#[case::infra(&[Outcome::Passed, Outcome::Infra], false, 96)]
#[case::infra_and_skipped(&[Outcome::Skipped, Outcome::Infra], false, 96)]
#[case::failed(&[Outcome::Passed, Outcome::Failed], false, 100)]
#[case::timeout(&[Outcome::Timeout], false, 100)]
#[case::a_retry_must_not_lose_a_finding(&[Outcome::Failed, Outcome::Infra], false, 100)]
#[case::died(&[Outcome::KernelDied], false, 101)]
#[case::died_over_failed_and_infra(&[Outcome::Failed, Outcome::KernelDied, Outcome::Infra], false, 101)]
#[case::interrupted(&[Outcome::Passed], true, 130)]
#[case::one_was_interrupted(&[Outcome::Failed, Outcome::Interrupted], false, 130)]
#[case::interrupted_over_all(&[Outcome::KernelDied, Outcome::Failed], true, 130)]
#[case::interrupted_before_the_first(&[], true, 130)]
fn exit_codes(#[case] outcomes: &[Outcome], #[case] interrupted: bool, #[case] code: u8) {
    let runs: Vec<RunResult> = outcomes.iter().map(|outcome| run("stage/once", "7.3", *outcome)).collect();
    let mut suite = SuiteResult { runs, interrupted, ..suite() };
    assert_eq!(exit_code(&suite), code);
    suite.runs.reverse();
    assert_eq!(exit_code(&suite), code, "the order of runs does not matter");
}

#[rstest]
#[case::passed(Outcome::Passed, 96)]
#[case::failed(Outcome::Failed, 100)]
#[case::died(Outcome::KernelDied, 101)]
fn evidence_that_could_not_be_stored_never_hides_a_finding(#[case] outcome: Outcome, #[case] code: u8) {
    let mut unkept = run("stage/once", "7.3", outcome);
    unkept.not_stored = Some("cannot write trace.jsonl: no space".to_owned());
    let suite = SuiteResult { runs: vec![unkept, run("stage/once", "7.3", Outcome::Passed)], ..suite() };
    assert_eq!(exit_code(&suite), code);
}

#[rstest]
#[case(Exit::Passed, 96)]
#[case(Exit::NothingRan, 96)]
#[case(Exit::ScenarioFailed, 100)]
#[case(Exit::KernelDied, 101)]
#[case(Exit::Interrupted, 130)]
fn a_result_that_could_not_be_written_never_hides_a_finding(#[case] suite: Exit, #[case] code: u8) {
    assert_eq!(suite.and(Exit::Infra).code(), code);
}
