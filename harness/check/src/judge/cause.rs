//! Which of all findings is the reason: the one that names the fault most directly.

use super::Judgement;
use crate::outcome::{Check, CheckResult, Outcome, Reason, Verdict};
use imalab_language::finding::{Evidence, Finding, KernelHealth};

/// How directly a finding of a check names a fault; the least first.
///
/// A kernel's own complaint names the line of the source; the tap stands outside the guest and names the record; what the lists
/// lead to says that something is wrong with them, and what the files show of them in which; the model names the call, by what
/// came before it; a quote fails as the PCR does; and a step's result is often but what an earlier fault led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Directness {
    Complaint,
    Offer,
    Tap,
    Log,
    Carried,
    Read,
    Shown,
    Model,
    Quote,
    Health,
    Step,
}

impl Directness {
    fn of(check: Check, finding: &Finding) -> Directness {
        match check {
            Check::KernelHealth => match finding {
                Finding::KernelHealth(
                    KernelHealth::Complaint { .. } | KernelHealth::AllowedNoLonger { .. },
                ) => Directness::Complaint,
                _ => Directness::Health,
            },
            Check::Offers | Check::Probe => Directness::Offer,
            Check::ExactlyOnce => Directness::Tap,
            Check::Replay => Directness::Log,
            Check::Kexec => Directness::Carried,
            Check::Readers => Directness::Read,
            Check::ViewsAgree => Directness::Shown,
            Check::Model => Directness::Model,
            Check::Quote => Directness::Quote,
            Check::Steps => Directness::Step,
        }
    }
}

/// The finding that stands for a check which failed.
fn first(check: &CheckResult) -> Finding {
    check.findings.first().cloned().unwrap_or_else(|| Evidence::NothingCompared {}.into())
}

/// By what the checks say alone.
pub(super) fn by_checks(checks: &[CheckResult]) -> Judgement {
    let wrong = checks.iter().filter(|check| check.verdict.is_bad());
    let mut wrong: Vec<(&CheckResult, Finding)> = wrong.map(|check| (check, first(check))).collect();
    // What was found says more than what could not be looked at.
    wrong.sort_by_key(|(check, finding)| {
        (check.verdict != Verdict::Failed, Directness::of(check.check, finding))
    });
    let Some(((worst, finding), rest)) = wrong.split_first() else { return Judgement::passed() };
    let reason = Reason {
        check: Some(worst.check),
        could_not_run: worst.verdict != Verdict::Failed,
        also: rest.iter().map(|(check, _)| check.check).collect(),
        ..Reason::of(finding.clone())
    };
    Judgement { outcome: Outcome::Failed, reason: Some(reason), checks: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_language::finding::{Kexec, Part, Quote, Steps, Trace};

    fn failed(check: Check, finding: impl Into<Finding>) -> CheckResult {
        CheckResult::new(check, Verdict::Failed, vec![finding.into()])
    }

    /// A finding of each kind, the most direct one first.
    fn rows() -> Vec<CheckResult> {
        let any = |check| failed(check, Quote::NonceReused { mark: 1 });
        let complaint = KernelHealth::Complaint { line: Part::sample("line"), kind: "kasan".to_owned() };
        vec![
            failed(Check::KernelHealth, complaint),
            any(Check::ExactlyOnce),
            any(Check::Replay),
            failed(Check::Kexec, Kexec::NoKexecStep {}),
            any(Check::Readers),
            any(Check::ViewsAgree),
            any(Check::Model),
            any(Check::Quote),
            failed(Check::KernelHealth, KernelHealth::NoShutdown {}),
            failed(Check::Steps, Trace::BeforeHello { event: 3 }),
        ]
    }

    #[test]
    fn of_each_two_findings_the_more_direct_one_is_the_reason_however_they_stand() {
        let rows = rows();
        for (at, direct) in rows.iter().enumerate() {
            for other in &rows[at + 1..] {
                for checks in [[direct.clone(), other.clone()], [other.clone(), direct.clone()]] {
                    let reason = by_checks(&checks).reason.unwrap();
                    let found = (reason.check, &reason.finding, &reason.also[..]);
                    assert_eq!(found, (Some(direct.check), &direct.findings[0], &[other.check][..]));
                }
            }
        }
    }

    #[test]
    fn what_was_found_comes_before_what_could_not_be_looked_at() {
        let blind = CheckResult {
            verdict: Verdict::CouldNotRun,
            ..failed(Check::ExactlyOnce, Evidence::NoListRead {})
        };
        let step = failed(Check::Steps, Steps::NotBlocked { step: Part::sample("step") });
        let reason = by_checks(&[blind.clone(), step]).reason.unwrap();
        assert_eq!((reason.check, reason.could_not_run), (Some(Check::Steps), false));
        assert_eq!(reason.also, [Check::ExactlyOnce]);
        let reason = by_checks(&[blind]).reason.unwrap();
        assert_eq!((reason.check, reason.could_not_run), (Some(Check::ExactlyOnce), true));
        assert_eq!(reason.finding, Evidence::NoListRead {}.into());
    }
}
