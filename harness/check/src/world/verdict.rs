//! What tests say of a check's result.

use chrono::NaiveDate;

use crate::outcome::{CheckResult, Verdict};
use imalab_language::plan::Plan;
use imalab_trace::Trace;

/// A day on which no entry of the allow list has ended.
pub(crate) const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day");

/// The results of all checks.
pub(crate) fn all(plan: &Plan, trace: &Trace) -> Vec<CheckResult> {
    crate::digest(plan, trace).check(TODAY)
}

/// The result of one check.
pub(crate) fn result(plan: &Plan, trace: &Trace, check: &str) -> CheckResult {
    all(plan, trace).into_iter().find(|result| result.check == check).expect("a check of that name")
}

/// Fails unless the check passed, or does not concern the run.
#[track_caller]
pub(crate) fn passed(result: &CheckResult) {
    assert!(!result.verdict.is_bad(), "{result:#?}");
}

/// Fails unless the check does not concern the run, and says why.
#[track_caller]
pub(crate) fn not_applicable(result: &CheckResult, words: &[&str]) {
    assert_eq!(result.verdict, Verdict::NotApplicable, "{result:#?}");
    says(result, words);
}

/// Fails unless the check failed with a finding that has all of these words.
#[track_caller]
pub(crate) fn failed(result: &CheckResult, words: &[&str]) {
    assert_eq!(result.verdict, Verdict::Failed, "{result:#?}");
    says(result, words);
}

/// Fails unless the check could not run, for a reason that has all of these words.
#[track_caller]
pub(crate) fn could_not_run(result: &CheckResult, words: &[&str]) {
    assert_eq!(result.verdict, Verdict::CouldNotRun, "{result:#?}");
    says(result, words);
}

#[track_caller]
fn says(result: &CheckResult, words: &[&str]) {
    let told = |finding: &String| words.iter().all(|word| finding.contains(word));
    assert!(result.findings.iter().any(told), "no finding with {words:?}: {result:#?}");
}
