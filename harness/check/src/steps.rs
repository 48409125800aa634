//! Invariant `steps`: every step gave what the scenario expects, and the trace fits the plan.

mod cut_off;
mod endings;
#[cfg(test)]
mod tests;
mod waiting;

use imalab_wire::{Op, Outcome};

use super::evidence::{Evidence, StepSeen};
use super::op_text::{describe, errno_name};
use super::sheet::{Sheet, count};
use crate::outcome::CheckResult;
use cut_off::{CutOff, cut_off};
use endings::Endings;
use imalab_language::plan::{Expect, MarkDeed, Observed};

pub(super) fn check(evidence: &Evidence<'_>) -> CheckResult {
    let mut sheet = Sheet::new("steps");
    for oddity in evidence.oddities.iter() {
        sheet.finding(oddity.to_string());
    }
    if evidence.oddities.more() > 0 {
        sheet.finding(format!("{} more messages that do not fit", evidence.oddities.more()));
    }
    let endings = Endings::of(evidence);
    let find = |sheet: &mut Sheet, at: usize, finding: &str| {
        sheet.finding_at(evidence.began(at), format!("{}: {finding}", evidence.name(at)));
    };
    let (mut judged, mut refusals, mut lost, mut excused, mut free) = (0, 0, 0, 0, 0);
    for (at, step) in evidence.steps.iter().enumerate() {
        if endings.excuse(step) {
            excused += 1;
            continue;
        }
        if step.planned.expect == Expect::Blocked {
            judged += 1;
            if let Some(why) = waiting::unproved(evidence, step) {
                find(&mut sheet, at, &why);
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
                CutOff::Owes => {
                    Some("the guest went on in another kernel before it gave its result".to_owned())
                }
            },
            None => {
                judged += usize::from(step.planned.expect != Expect::Any);
                free += usize::from(step.planned.expect == Expect::Any);
                judge(evidence, at, step)
            }
        };
        match finding {
            Some(finding) => find(&mut sheet, at, &finding),
            None if matches!(step.planned.expect, Expect::Errno(_)) => refusals += 1,
            None => {}
        }
    }
    unfinished(evidence, &endings, &mut sheet);
    for (task, status) in &evidence.tasks_ended {
        let Some(expected) = endings.expected(*task, *status) else { continue };
        let name = evidence.plan.program.tasks.get(usize::from(*task)).map_or("?", |task| &task.name);
        sheet.finding(format!("task `{name}` ended with status {status}, expected {expected}"));
    }
    faults(evidence, &mut sheet);
    let refused = if refusals == 0 { String::new() } else { format!(" ({refusals} refused)") };
    sheet.fact(format!("{} as expected{refused}", count(judged, "step")));
    sheet.rests_on(judged, "steps");
    for (number, what) in [
        (free, "steps of which anything may come"),
        (excused, "steps after their task had ended or their time was over"),
        (lost, "steps cut off by a kexec"),
    ] {
        sheet.leaves_out(number, what);
        if number > 0 {
            sheet.fact(format!("{number} {what}"));
        }
    }
    sheet.result()
}

/// What was to happen to TPM commands happened, or the run shows less than its scenario says.
fn faults(evidence: &Evidence<'_>, sheet: &mut Sheet) {
    let armed = evidence.plan.marks.iter().filter_map(|mark| match mark.does {
        MarkDeed::Arm(fault) => Some(u64::from(fault.times)),
        MarkDeed::Read | MarkDeed::Quote | MarkDeed::Hold => None,
    });
    let armed: u64 = armed.sum();
    if armed != evidence.faults {
        sheet.finding(format!(
            "something was to happen to {} of the guest, it happened to {}",
            count(usize::try_from(armed).unwrap_or(usize::MAX), "TPM command"),
            evidence.faults
        ));
    }
}

/// The first operation of which no result came.
fn missing(step: &StepSeen<'_>) -> Option<usize> {
    step.seen.iter().position(|seen| seen.ended.is_none())
}

/// For each task the first step that has no result, and where the guest was.
fn unfinished(evidence: &Evidence<'_>, endings: &Endings, sheet: &mut Sheet) {
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
        let place = match step.seen[op].started {
            Some(moment) => format!(
                "no result: the guest was in operation {op}, {}, since {} ms",
                describe(&step.ops[op]),
                moment.ns / 1_000_000
            ),
            None => format!("no result: operation {op}, {}, was not reached", describe(&step.ops[op])),
        };
        let more = match stuck.count() {
            0 => String::new(),
            more => format!("; nor of {} after it", count(more, "step")),
        };
        sheet.finding(format!("{}: {place}{more}", evidence.name(at)));
    }
}

/// What is wrong with the results of a step.
fn judge(evidence: &Evidence<'_>, at: usize, step: &StepSeen<'_>) -> Option<String> {
    let failed = step.seen.iter().position(|seen| matches!(seen.outcome(), Some(Outcome::Errno(_))));
    let errno = failed.and_then(|op| match step.seen[op].outcome() {
        Some(Outcome::Errno(errno)) => Some((op, errno)),
        _ => None,
    });
    match (step.planned.expect, errno) {
        (Expect::Any, _) => None,
        (Expect::Errno(expected), Some((_, found))) if expected == found => None,
        (Expect::Errno(expected), Some((op, found))) => Some(format!(
            "expected {}, operation {op}, {}, failed with {}",
            errno_name(expected),
            describe(&step.ops[op]),
            errno_name(found)
        )),
        (Expect::Errno(expected), None) => {
            Some(format!("expected {}, every operation succeeded", errno_name(expected)))
        }
        (_, Some((op, found))) => Some(format!(
            "expected success, operation {op}, {}, failed with {}",
            describe(&step.ops[op]),
            errno_name(found)
        )),
        (expect, None) => values(step).or_else(|| match expect {
            Expect::NewRecords(expected) => growth(evidence, at, expected),
            Expect::Records(expected) => holds(evidence, at, expected),
            Expect::Counter(expected) => counted(evidence, at, expected),
            Expect::Ok | Expect::Any | Expect::Blocked | Expect::Value(_) | Expect::Errno(_) => None,
        }),
    }
}

/// Operations that succeeded, but not with the value that success has.
fn values(step: &StepSeen<'_>) -> Option<String> {
    step.ops.iter().zip(&step.seen).enumerate().find_map(|(number, (op, seen))| {
        let Some(Outcome::Value(found)) = seen.outcome() else {
            return Some(format!("operation {number}, {}, was not attempted", describe(op)));
        };
        let (expected, what) = match (step.planned.expect, op) {
            (Expect::Value(expected), _) => (expected, "as its value"),
            (_, Op::Write { bytes, .. } | Op::WriteAt { bytes, .. } | Op::Create { bytes, .. }) => {
                (whole(bytes.len() as u64), "bytes written")
            }
            (_, Op::Measure { count, .. } | Op::Execute { count, .. } | Op::MapExecute { count, .. }) => {
                (whole(*count), "files measured")
            }
            (_, Op::Violate { count, .. }) => (whole(*count), "files violated"),
            (_, Op::Mark { .. }) => (0, "as TPM response code"),
            _ => return None,
        };
        (found != expected).then(|| {
            format!("operation {number}, {}: expected {expected} {what}, found {found}", describe(op))
        })
    })
}

/// What the kernel gives for a number of bytes or files.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What is wrong with the number that a counter showed.
fn counted(evidence: &Evidence<'_>, at: usize, expected: i64) -> Option<String> {
    let Some(counter) = evidence.counters_of(at).first() else {
        return Some("the counter was not read".to_owned());
    };
    (i64::try_from(counter.value) != Ok(expected))
        .then(|| format!("expected {expected} as the counter's value, found {}", counter.value))
}

fn growth(evidence: &Evidence<'_>, at: usize, expected: u64) -> Option<String> {
    let mut counts = evidence.counters_of(at).iter().filter(|counter| counter.of == Observed::Count);
    let (Some(before), Some(after)) = (counts.next(), counts.next_back()) else {
        return Some("the counter of records was not read before and after".to_owned());
    };
    (before.value.checked_add(expected) != Some(after.value)).then(|| {
        format!("expected {expected} new records, the counter went from {} to {}", before.value, after.value)
    })
}

fn holds(evidence: &Evidence<'_>, at: usize, expected: u64) -> Option<String> {
    let lists = evidence.lists_of(at);
    if lists.is_empty() {
        return Some("no list was read".to_owned());
    }
    lists.iter().find(|list| list.count as u64 != expected || list.broken.is_some()).map(|list| {
        let broken =
            list.broken.as_ref().map_or_else(String::new, |why| format!(" up to where it is broken: {why}"));
        format!("expected {expected} records in the {}, found {}{broken}", list.name(), list.count)
    })
}
