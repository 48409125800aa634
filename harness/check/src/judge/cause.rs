//! Which of all findings is the reason: the one that names the fault most directly.

use super::Judgement;
use crate::kernel_health::COMPLAINT;
use crate::outcome::{CheckResult, Outcome, Verdict};

/// A check, and which of its findings.
type Row = (&'static str, fn(&str) -> bool);

/// Findings by how directly they name a fault, the most direct first: a kernel's own complaint names the line of the source; the
/// tap stands outside the guest and names the record; what the lists lead to says that something is wrong with them, and what the
/// files show of them in which; the model names the call, by what came before it; a quote fails as the PCR does; and a step's
/// result is often but what an earlier fault led to.
const DIRECTNESS: &[Row] = &[
    ("kernel-health", is_complaint),
    ("exactly-once", any),
    ("replay", any),
    ("kexec", any),
    ("readers", any),
    ("views-agree", any),
    ("model", any),
    ("quote", any),
    ("kernel-health", any),
    ("steps", any),
];

fn is_complaint(finding: &str) -> bool {
    finding.starts_with(COMPLAINT)
}

fn any(_: &str) -> bool {
    true
}

/// How directly a check's first finding names the fault; of a check that the table does not know, last.
fn directness(check: &CheckResult) -> usize {
    let finding = check.findings.first().map_or("", String::as_str);
    DIRECTNESS.iter().position(|(name, is)| *name == check.check && is(finding)).unwrap_or(DIRECTNESS.len())
}

/// By what the checks say alone.
pub(super) fn by_checks(checks: &[CheckResult]) -> Judgement {
    let mut wrong: Vec<&CheckResult> = checks.iter().filter(|check| check.verdict.is_bad()).collect();
    // What was found says more than what could not be looked at.
    wrong.sort_by_key(|check| (check.verdict != Verdict::Failed, directness(check)));
    let Some((worst, rest)) = wrong.split_first() else { return Judgement::new(Outcome::Passed, "") };
    let finding = worst.findings.first().map_or("no finding", String::as_str);
    let how = if worst.verdict == Verdict::Failed { "" } else { " could not run" };
    let more: Vec<&str> = rest.iter().map(|check| check.check.as_str()).collect();
    let more = if more.is_empty() { String::new() } else { format!(" (also: {})", more.join(", ")) };
    Judgement::new(Outcome::Failed, format!("{}{how}: {finding}{more}", worst.check))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(check: &str, finding: &str) -> CheckResult {
        CheckResult::new(check, Verdict::Failed, vec![finding.to_owned()])
    }

    const COMPLAINS: &str =
        "console line 3, event 9: BUG: KASAN: slab-use-after-free in ima_measurements_next+0x1/0x2";

    /// One finding of each row of the table.
    fn rows() -> Vec<CheckResult> {
        let finding = |is: fn(&str) -> bool| if is("x") { "x" } else { COMPLAINS };
        DIRECTNESS.iter().map(|(check, is)| failed(check, finding(*is))).collect()
    }

    #[test]
    fn of_each_two_findings_the_more_direct_one_is_the_reason_however_they_stand() {
        let rows = rows();
        for (at, direct) in rows.iter().enumerate() {
            for other in &rows[at + 1..] {
                for checks in [[direct.clone(), other.clone()], [other.clone(), direct.clone()]] {
                    let reason = by_checks(&checks).reason;
                    let expected = format!("{}: {}", direct.check, direct.findings[0]);
                    assert!(reason.starts_with(&expected), "{reason}, expected {expected}");
                }
            }
        }
    }

    #[test]
    fn the_table_knows_every_check() {
        let (plan, trace) = crate::world::World::new().finish();
        for result in crate::all(&plan, &trace) {
            assert!(directness(&failed(&result.check, "x")) < DIRECTNESS.len(), "{}", result.check);
        }
    }

    #[test]
    fn what_was_found_comes_before_what_could_not_be_looked_at() {
        let blind = CheckResult { verdict: Verdict::CouldNotRun, ..failed("exactly-once", "why") };
        let reason = by_checks(&[blind.clone(), failed("steps", "what")]).reason;
        assert_eq!(reason, "steps: what (also: exactly-once)");
        assert_eq!(by_checks(&[blind]).reason, "exactly-once could not run: why");
    }
}
