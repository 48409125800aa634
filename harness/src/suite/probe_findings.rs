//! What a kernel did otherwise than promised when it was asked what it offers: a failed run of its own.

use super::refusal::Refusal;
use imalab_check::outcome::{Check, CheckResult, Outcome, Reason, Verdict};
use imalab_language::capabilities::{Capabilities, ProbeFinding};

/// What a probe found wrong, as the end of a run: nothing where it found nothing.
pub(super) fn found_by_probe(known: &Capabilities) -> Option<Refusal> {
    let died = |finding: &&ProbeFinding| finding.outcome == Outcome::KernelDied;
    let first = known.findings.iter().find(died).or(known.findings.first())?;
    let findings = known.findings.iter().map(ProbeFinding::finding).collect();
    let reason = Reason { check: Some(Check::Probe), ..Reason::of(first.finding()) };
    Some(Refusal {
        outcome: first.outcome,
        reason: Box::new(reason),
        console_tail: first.console_tail.clone(),
        checks: vec![CheckResult::new(Check::Probe, Verdict::Failed, findings)],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use imalab_language::capabilities::FindingCode;
    use imalab_language::plan::Interface;

    fn finding(code: FindingCode, outcome: Outcome) -> ProbeFinding {
        ProbeFinding {
            code,
            asked: "trim 1".to_owned(),
            expected: "a count of 3".to_owned(),
            found: "a count of 2".to_owned(),
            promise: "the first one".to_owned(),
            outcome,
            console_tail: vec![format!("{outcome:?}")],
        }
    }

    fn known(findings: Vec<ProbeFinding>) -> Capabilities {
        Capabilities {
            release: "7.3.4".to_owned(),
            interface: Interface::UPSTREAM,
            have: BTreeSet::new(),
            files: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            seen: Default::default(),
            findings,
        }
    }

    #[test]
    fn what_a_probe_found_is_a_run_that_failed() {
        assert!(found_by_probe(&known(Vec::new())).is_none());
        let failed = finding(FindingCode::TrimCount, Outcome::Failed);
        let refusal = found_by_probe(&known(vec![failed.clone()])).unwrap();
        let reason = Reason { check: Some(Check::Probe), ..Reason::of(failed.finding()) };
        assert_eq!((refusal.outcome, *refusal.reason), (Outcome::Failed, reason));
        // A boot that the kernel died of comes first, with its last words.
        let died = finding(FindingCode::BootNotSurvived, Outcome::KernelDied);
        let refusal = found_by_probe(&known(vec![failed, died.clone()])).unwrap();
        assert_eq!((refusal.outcome, refusal.reason.finding), (Outcome::KernelDied, died.finding()));
        assert_eq!(refusal.console_tail, ["KernelDied"]);
        assert_eq!(refusal.checks[0].findings.len(), 2);
        assert_eq!(refusal.checks[0].verdict, Verdict::Failed);
    }
}
