//! Invariant `steps`: every step gave what the scenario expects, and the trace fits the plan.

#[cfg(test)]
mod tests;

use imalab_wire::{Op, Outcome};

use super::evidence::{Evidence, StepSeen};
use super::op_text::{describe, errno_name};
use super::sheet::{Sheet, count};
use crate::outcome::CheckResult;
use crate::plan::{Expect, Observed};

pub(super) fn check(evidence: &Evidence<'_>) -> CheckResult {
    let mut sheet = Sheet::new("steps");
    for oddity in &evidence.oddities {
        sheet.finding(oddity.to_string());
    }
    for (task, status) in evidence.tasks_ended.iter().filter(|(_, status)| **status != 0) {
        let name = evidence.plan.program.tasks.get(usize::from(*task)).map_or("?", |task| &task.name);
        sheet.finding(format!("task `{name}` ended with status {status}, expected 0"));
    }
    let mut refusals = 0;
    for (at, step) in evidence.steps.iter().enumerate() {
        let finding = match missing(step) {
            Some(_) => continue,
            None => judge(evidence, at, step),
        };
        match finding {
            Some(finding) => sheet.finding(format!("{}: {finding}", evidence.name(at))),
            None if matches!(step.planned.expect, Expect::Errno(_)) => refusals += 1,
            None => {}
        }
    }
    unfinished(evidence, &mut sheet);
    if !evidence.steps.is_empty() {
        let refused = if refusals == 0 { String::new() } else { format!(" ({refusals} refused)") };
        sheet.fact(format!("{} as expected{refused}", count(evidence.steps.len(), "step")));
    }
    sheet.result()
}

/// The first operation of which no result came.
fn missing(step: &StepSeen<'_>) -> Option<usize> {
    step.seen.iter().position(|seen| seen.ended.is_none())
}

/// For each task the first step that has no result, and where the guest was.
fn unfinished(evidence: &Evidence<'_>, sheet: &mut Sheet) {
    let last = evidence.plan.program.tasks.len();
    for task in 0..=last {
        let mut stuck = (0..evidence.steps.len())
            .filter(|at| usize::from(evidence.steps[*at].planned.task) == task)
            .filter_map(|at| missing(&evidence.steps[at]).map(|op| (at, op)));
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
            Expect::Ok | Expect::Any | Expect::Blocked | Expect::Errno(_) => None,
        }),
    }
}

/// Operations that succeeded, but not with the value that success has.
fn values(step: &StepSeen<'_>) -> Option<String> {
    step.ops.iter().zip(&step.seen).enumerate().find_map(|(number, (op, seen))| {
        let Some(Outcome::Value(found)) = seen.outcome() else {
            return Some(format!("operation {number}, {}, was not attempted", describe(op)));
        };
        let (expected, what) = match op {
            Op::Write { bytes, .. } => (bytes.len() as u64, "bytes written"),
            Op::Measure { count, .. } => (*count, "files measured"),
            Op::Mark { .. } => (0, "as TPM response code"),
            _ => return None,
        };
        (u64::try_from(found) != Ok(expected)).then(|| {
            format!("operation {number}, {}: expected {expected} {what}, found {found}", describe(op))
        })
    })
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
