//! Which of all findings is the reason: the one that names the fault most directly.

use super::Judgement;
use crate::outcome::{CheckResult, Outcome, Reason, Verdict};
use imalab_language::finding::{Evidence, Finding};

/// The finding that stands for a check which failed.
fn first(check: &CheckResult) -> Finding {
    check.findings.first().cloned().unwrap_or_else(|| Evidence::NothingCompared {}.into())
}

/// By what the checks say alone.
pub(super) fn by_checks(checks: &[CheckResult]) -> Judgement {
    let wrong = checks.iter().filter(|check| check.verdict.is_bad());
    let mut wrong: Vec<(&CheckResult, Finding)> = wrong.map(|check| (check, first(check))).collect();
    // What was found says more than what could not be looked at.
    wrong.sort_by_key(|(check, finding)| (check.verdict != Verdict::Failed, check.check.directness(finding)));
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
    use crate::outcome::Check;
    use imalab_language::finding::{KernelHealth, Kexec, Part, Quote, Steps, Trace};

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
