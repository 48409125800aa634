//! What tests say of a check's result: by codes and fields.

use chrono::NaiveDate;
use serde_json::Value;

use crate::outcome::{Check, CheckResult, Verdict};
use imalab_language::finding::{Finding, Pattern};
use imalab_language::plan::Plan;
use imalab_trace::Trace;

/// A day on which no entry of the allow list has ended.
pub(crate) const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day");

/// The results of all checks.
pub(crate) fn all(plan: &Plan, trace: &Trace) -> Vec<CheckResult> {
    crate::digest(plan, trace).check(TODAY)
}

/// The result of one check.
pub(crate) fn result(plan: &Plan, trace: &Trace, check: Check) -> CheckResult {
    all(plan, trace).into_iter().find(|result| result.check == check).expect("a result of that check")
}

/// Whether a finding has these fields: its `code`, and whichever others.
pub(crate) fn is(finding: &Finding, fields: &Value) -> bool {
    let Value::Object(with) = fields else { panic!("no fields: {fields}") };
    Pattern { code: None, with: with.clone() }.matches(finding)
}

/// Whether one of the findings has these fields.
pub(crate) fn has(result: &CheckResult, fields: &Value) -> bool {
    result.findings.iter().any(|finding| is(finding, fields))
}

/// Fails unless the check passed, or does not concern the run.
#[track_caller]
pub(crate) fn passed(result: &CheckResult) {
    assert!(!result.verdict.is_bad(), "{result:#?}");
}

/// Fails unless the check does not concern the run, for this reason.
#[track_caller]
pub(crate) fn not_applicable(result: &CheckResult, fields: &Value) {
    verdict(result, Verdict::NotApplicable, fields);
}

/// Fails unless the check failed with a finding that has these fields.
#[track_caller]
pub(crate) fn failed(result: &CheckResult, fields: &Value) {
    verdict(result, Verdict::Failed, fields);
}

/// Fails unless the check could not run, for a reason that has these fields.
#[track_caller]
pub(crate) fn could_not_run(result: &CheckResult, fields: &Value) {
    verdict(result, Verdict::CouldNotRun, fields);
}

#[track_caller]
fn verdict(result: &CheckResult, verdict: Verdict, fields: &Value) {
    assert_eq!(result.verdict, verdict, "{result:#?}");
    assert!(has(result, fields), "no finding with {fields}: {result:#?}");
}
