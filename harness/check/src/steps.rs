//! Invariant `steps`: every step gave what the scenario expects, and the trace fits the plan.

mod cut_off;
mod endings;
mod oddities;
#[cfg(test)]
mod tests;
mod waiting;

use imalab_wire::{Op, Outcome};

use super::Case;
use super::evidence::{Evidence, StepSeen};
use super::findings::Findings;
use super::subjects::{self, errno, operation};
use crate::outcome::{Check, CheckResult};
use cut_off::{CutOff, cut_off};
use endings::Endings;
use imalab_language::finding::{Amount, Fact, Step, Steps, Trace, Value};
use imalab_language::plan::{Expect, MarkAction, Observed};

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let evidence = &case.digest.evidence;
    let mut findings = Findings::new(Check::Steps);
    for oddity in evidence.oddities.iter() {
        findings.finding(oddities::finding(oddity));
    }
    if evidence.oddities.more() > 0 {
        findings.finding(Trace::More { more: evidence.oddities.more() as u64 });
    }
    let endings = Endings::of(evidence);
    let (mut judged, mut refusals, mut lost, mut excused, mut free) = (0, 0, 0, 0, 0);
    for (at, step) in evidence.steps.iter().enumerate() {
        if endings.excuse(step) {
            excused += 1;
            continue;
        }
        if step.planned.expect == Expect::Blocked {
            judged += 1;
            if let Some(why) = waiting::unproved(evidence, at, step) {
                findings.finding_at(evidence.began(at), why);
            }
            continue;
        }
        let finding = match missing(step) {
            Some(_) => match cut_off(evidence, at) {
                CutOff::No | CutOff::Left => continue,
                CutOff::Allowed => {
                    lost += 1;
                    continue;
                }
                CutOff::Owes => Some(Steps::CutOff { step: evidence.step(at) }),
            },
            None => {
                judged += usize::from(step.planned.expect != Expect::Any);
                free += usize::from(step.planned.expect == Expect::Any);
                judge(evidence, at, step)
            }
        };
        match finding {
            Some(finding) => findings.finding_at(evidence.began(at), finding),
            None if matches!(step.planned.expect, Expect::Errno(_)) => refusals += 1,
            None => {}
        }
    }
    for (task, error) in &evidence.unobserved {
        let name = evidence.plan.program.tasks.get(usize::from(*task)).map(|task| task.name.clone());
        findings.finding(Steps::Unobserved { task: name.unwrap_or_default(), error: error.clone() });
    }
    unfinished(evidence, &endings, &mut findings);
    for (task, status) in &evidence.tasks_ended {
        let Some(expected) = endings.expected(*task, *status) else { continue };
        let name = evidence.plan.program.tasks.get(usize::from(*task)).map(|task| task.name.clone());
        let (expected, found) = (Value::Number(expected.into()), Value::Number((*status).into()));
        findings.finding(Steps::TaskStatus { task: name.unwrap_or_default(), expected, found });
    }
    faults(evidence, &mut findings);
    if refusals > 0 {
        findings.fact(Fact::Refused { steps: refusals });
    }
    findings.rests_on(judged, "steps");
    for (number, what) in [
        (free, "steps with any allowed result"),
        (excused, "steps after their task had ended or their time was over"),
        (lost, "steps cut off by a kexec"),
    ] {
        findings.leaves_out(number, what);
    }
    findings.result()
}

/// What was to happen to TPM commands happened, or the run shows less than its scenario says.
fn faults(evidence: &Evidence<'_>, findings: &mut Findings) {
    let armed = evidence.plan.marks.iter().filter_map(|mark| match mark.does {
        MarkAction::Arm(fault) => Some(u64::from(fault.times)),
        MarkAction::Read | MarkAction::Quote | MarkAction::Hold => None,
    });
    let armed: u64 = armed.sum();
    if armed != evidence.faults {
        let (expected, found) = (Value::count(armed), Value::count(evidence.faults));
        findings.finding(Steps::TpmFaults { expected, found });
    }
}

/// The first operation of which no result came.
fn missing(step: &StepSeen<'_>) -> Option<usize> {
    step.seen.iter().position(|seen| seen.ended.is_none())
}

/// For each task the first step that has no result, and where the guest was.
fn unfinished(evidence: &Evidence<'_>, endings: &Endings, findings: &mut Findings) {
    // A step that had to wait may still do so.
    let owes = |step: &StepSeen<'_>| !endings.excuse(step) && step.planned.expect != Expect::Blocked;

    let last = evidence.plan.program.tasks.len();
    for task in 0..=last {
        let mut stuck = (0..evidence.steps.len())
            .filter(|at| usize::from(evidence.steps[*at].planned.task) == task && owes(&evidence.steps[*at]))
            .filter_map(|at| missing(&evidence.steps[at]).map(|op| (at, op)))
            .filter(|(at, _)| matches!(cut_off(evidence, *at), CutOff::No));
        let Some((at, op)) = stuck.next() else { continue };
        let step = &evidence.steps[at];
        findings.finding(Steps::NoResult {
            step: evidence.step(at),
            operation: operation(op, &step.ops[op]),
            since_ms: step.seen[op].started.map(|moment| moment.ns / 1_000_000),
            more: stuck.count() as u64,
        });
    }
}

/// What is wrong with the results of a step.
fn judge(evidence: &Evidence<'_>, at: usize, step: &StepSeen<'_>) -> Option<Steps> {
    let failed =
        step.seen.iter().zip(step.ops).enumerate().find_map(|(number, (seen, op))| match seen.outcome() {
            Some(Outcome::Errno(errno)) => Some((operation(number, op), errno)),
            _ => None,
        });
    let wanted = match step.planned.expect {
        Expect::Any => return None,
        Expect::Errno(expected) => Some(expected),
        _ => None,
    };
    match (wanted, failed) {
        (Some(expected), Some((_, found))) if expected == found => None,
        (wanted, Some((operation, found))) => Some(Steps::UnexpectedError {
            step: evidence.step(at),
            operation,
            expected: wanted.map_or_else(|| Value::word(Value::SUCCESS), errno),
            found: errno(found),
        }),
        (Some(expected), None) => {
            Some(Steps::UnexpectedSuccess { step: evidence.step(at), expected: errno(expected) })
        }
        (None, None) => values(evidence.step(at), step).or_else(|| match step.planned.expect {
            Expect::NewRecords(expected) => growth(evidence, at, expected),
            Expect::Records(expected) => holds(evidence, at, expected),
            Expect::Counter(expected) => counted(evidence, at, expected),
            Expect::Ok | Expect::Any | Expect::Blocked | Expect::Value(_) | Expect::Errno(_) => None,
        }),
    }
}

/// Operations that succeeded, but not with the value that success has.
fn values(at: Step, step: &StepSeen<'_>) -> Option<Steps> {
    let (number, op, seen) = (step.ops.iter().zip(&step.seen).enumerate())
        .map(|(number, (op, seen))| (number, op, seen))
        .find(|(_, op, seen)| match seen.outcome() {
            Some(Outcome::Value(found)) => owed(step, op).is_some_and(|(expected, _)| expected != found),
            _ => true,
        })?;
    let operation = operation(number, op);
    let Some(Outcome::Value(found)) = seen.outcome() else {
        return Some(Steps::NotAttempted { step: at, operation });
    };
    let (expected, of) = owed(step, op)?;
    let (expected, found) = (Value::Number(expected), Value::Number(found));
    Some(Steps::OtherValue { step: at, operation, of, expected, found })
}

/// The value that an operation has to have, and what it counts.
fn owed(step: &StepSeen<'_>, op: &Op) -> Option<(i64, Amount)> {
    Some(match (step.planned.expect, op) {
        (Expect::Value(expected), _) => (expected, Amount::Returned),
        (_, Op::Write { bytes, .. } | Op::WriteAt { bytes, .. } | Op::Create { bytes, .. }) => {
            (whole(bytes.len() as u64), Amount::BytesWritten)
        }
        (_, Op::Measure { count, .. } | Op::Execute { count, .. } | Op::MapExecute { count, .. }) => {
            (whole(*count), Amount::FilesMeasured)
        }
        (_, Op::Violate { count, .. }) => (whole(*count), Amount::FilesViolated),
        (_, Op::Mark { .. }) => (0, Amount::ResponseCode),
        _ => return None,
    })
}

/// What the kernel gives for a number of bytes or files.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What is wrong with the number that a counter showed.
fn counted(evidence: &Evidence<'_>, at: usize, expected: i64) -> Option<Steps> {
    let step = evidence.step(at);
    let Some(counter) = evidence.counters_of(at).first() else {
        return Some(Steps::CounterNotRead { step });
    };
    let (expected, found) = (Value::Number(expected), Value::count(counter.value));
    (expected != found).then_some(Steps::Counter { step, expected, found })
}

fn growth(evidence: &Evidence<'_>, at: usize, expected: u64) -> Option<Steps> {
    let step = evidence.step(at);
    let mut counts = evidence.counters_of(at).iter().filter(|counter| counter.of == Observed::Count);
    let (Some(before), Some(after)) = (counts.next(), counts.next_back()) else {
        return Some(Steps::CounterNotRead { step });
    };
    let (count_before, count_after) = (before.value, after.value);
    let found = i64::try_from(i128::from(count_after) - i128::from(count_before)).unwrap_or(i64::MAX);
    let (expected, found) = (Value::count(expected), Value::Number(found));
    (expected != found).then_some(Steps::NewRecords { step, expected, found, count_before, count_after })
}

fn holds(evidence: &Evidence<'_>, at: usize, expected: u64) -> Option<Steps> {
    let step = evidence.step(at);
    let lists = evidence.lists_of(at);
    if lists.is_empty() {
        return Some(Steps::ListNotRead { step });
    }
    let other = lists.iter().find(|list| list.count as u64 != expected || list.broken.is_some())?;
    Some(Steps::Records {
        step,
        list: subjects::list(other),
        expected: Value::count(expected),
        found: Value::count(other.count),
        malformed: other.broken.clone(),
    })
}
