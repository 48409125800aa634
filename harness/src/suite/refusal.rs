//! A run that ends before it begins.

use crate::report;
use imalab_check::outcome::{CheckResult, Outcome, Reason};
use imalab_language::finding::{Finding, Run};
use imalab_run::RunError;

/// A run that ends before it begins.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) outcome: Outcome,
    pub(super) reason: Box<Reason>,
    pub(super) checks: Vec<CheckResult>,
    pub(super) console_tail: Vec<String>,
}

impl Refusal {
    pub(super) fn new(outcome: Outcome, finding: impl Into<Finding>) -> Refusal {
        let reason = Box::new(Reason::of(finding));
        Refusal { outcome, reason, checks: Vec::new(), console_tail: Vec::new() }
    }
}

/// Why a run's machine did not start.
pub(super) fn not_started(error: &RunError) -> Run {
    // A reason is one line, and QEMU may have said several.
    let lines = report::chain(error);
    let text = lines.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Run::NotStarted { error: text, hint: error.hint().map(|hint| hint.to_string()) }
}
