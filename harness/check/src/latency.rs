//! Measures, from the guest's own times, how long operations took while a list was changed.
//!
//! No invariant: there is no promise of a time, and hosts differ. The figures are kept with the results.

use std::collections::BTreeMap;

use imalab_wire::{Op, Outcome, TaskId};

use super::changes::{Change, ListChange};
use super::evidence::{Evidence, Moment, StepSeen};
use crate::figures::{By, Freed, Held, Latency};
use imalab_formats::ima::dialect::Dialect;
use imalab_formats::ima::model::File;

/// A change of a list, or a snapshot of it, while it was under way.
struct Timed {
    task: TaskId,
    by: By,
    span: (Moment, Moment),
}

/// The file whose readings tell the kernel's memory, and its line.
const MEMORY: (&str, &str) = ("/proc/meminfo", "SUnreclaim:");

/// What each delete and trim freed, where the same task read `/proc/meminfo` before and after it.
pub(super) fn freed(evidence: &Evidence<'_>, changes: &[ListChange]) -> Vec<Freed> {
    let readings: Vec<(TaskId, Moment, i64)> = evidence
        .steps
        .iter()
        .filter(|step| step.ops.iter().any(|op| matches!(op, Op::Open { path, .. } if path == MEMORY.0)))
        .flat_map(|step| step.seen.iter().map(move |seen| (step.planned.task, seen)))
        .filter_map(|(task, seen)| Some((task, seen.ended?.end, kib(&seen.text())?)))
        .collect();
    let mut staged = 0;
    let mut all = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        if let Change::Staged { records } = change.what {
            staged = records.unwrap_or(0) as u64;
        }
        let Some(by) = removes(changes, at) else { continue };
        let records = match change.what {
            Change::DeletedFirst { records, .. } | Change::Trimmed { records } => records,
            _ => staged,
        };
        let Some(step) = evidence.steps.get(change.step) else { continue };
        let of_task = || readings.iter().filter(|(task, ..)| *task == step.planned.task);
        let before = of_task().rfind(|(_, moment, _)| *moment <= change.at);
        let after = of_task().find(|(_, moment, _)| *moment >= change.end);
        if let (Some((.., before)), Some((.., after))) = (before, after) {
            all.push(Freed { by, records, kib: before - after });
        }
    }
    all
}

/// The line's kibibytes.
fn kib(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(MEMORY.1)?.split_whitespace().next()?.parse().ok())
}

/// The times of a run by who was held up and what overlapped it.
pub(super) fn latency(evidence: &Evidence<'_>, changes: &[ListChange]) -> Vec<Latency> {
    let dialect = evidence.plan.interface.dialect();
    let changes = timed(evidence, changes);
    let mut times: BTreeMap<(Held, By), Vec<u64>> = BTreeMap::new();
    for change in &changes {
        times.entry((Held::Writer, change.by)).or_default().push(length(change.span));
    }
    for step in &evidence.steps {
        for (op, seen) in step.ops.iter().zip(&step.seen) {
            let (Some(held), Some(ended)) = (held(dialect, op), seen.ended) else { continue };
            if ended.outcome == Outcome::NotAttempted {
                continue;
            }
            let span = (ended.begin, ended.end);
            let by = overlapping(&changes, step.planned.task, span);
            times.entry((held, by)).or_default().push(length(span));
        }
    }
    times.into_iter().filter_map(|((held, by), times)| Latency::of(held, by, times)).collect()
}

fn length((begin, end): (Moment, Moment)) -> u64 {
    if begin.boot == end.boot { end.ns.saturating_sub(begin.ns) } else { 0 }
}

/// In order of their begin: a writer has the lists to itself.
fn timed(evidence: &Evidence<'_>, changes: &[ListChange]) -> Vec<Timed> {
    let of = |(at, change): (usize, &ListChange)| {
        let by = match change.what {
            // Nobody waits for it but who removes what he staged.
            Change::Staged { .. } if removes(changes, at + 1) == Some(By::Trim) && is_one(changes, at) => {
                return None;
            }
            Change::Staged { .. } => By::Stage,
            Change::Carried { .. } => return None,
            _ => removes(changes, at)?,
        };
        let task = evidence.steps.get(change.step)?.planned.task;
        Some(Timed { task, by, span: (change.at, change.end) })
    };
    let mut timed: Vec<Timed> =
        changes.iter().enumerate().filter_map(of).chain(snapshots(evidence)).collect();
    timed.sort_by_key(|change| change.span);
    timed
}

/// The opens that had the kernel record all PCRs.
fn snapshots<'e>(evidence: &'e Evidence<'_>) -> impl Iterator<Item = Timed> + 'e {
    let dialect = evidence.plan.interface.dialect();
    let divides = move |path: &str| match dialect.file(path) {
        File::Own(name) => dialect.own_file(name).is_some_and(|own| own.divides),
        _ => false,
    };
    let of_step = move |step: &'e StepSeen<'_>| {
        let task = step.planned.task;
        step.ops.iter().zip(&step.seen).filter_map(move |(op, seen)| match (op, seen.ended) {
            (Op::Open { path, .. }, Some(ended)) if divides(path) => {
                let took = matches!(ended.outcome, Outcome::Value(_));
                took.then_some(Timed { task, by: By::Snapshot, span: (ended.begin, ended.end) })
            }
            _ => None,
        })
    };
    evidence.steps.iter().flat_map(of_step)
}

/// How the change at a place removed records, if it did: what a step staged itself it trims, where the interface has no
/// other way.
fn removes(changes: &[ListChange], at: usize) -> Option<By> {
    match changes.get(at)?.what {
        Change::Trimmed { .. } => Some(By::Trim),
        Change::Deleted { .. } | Change::DeletedFirst { .. } => {
            let own = at.checked_sub(1).is_some_and(|before| is_one(changes, before));
            Some(if own { By::Trim } else { By::Delete })
        }
        Change::Staged { .. } | Change::Carried { .. } => None,
    }
}

/// Whether a staging and the change after it are of one step.
fn is_one(changes: &[ListChange], at: usize) -> bool {
    let (one, next) = (changes.get(at), changes.get(at + 1));
    one.zip(next)
        .is_some_and(|(one, next)| matches!(one.what, Change::Staged { .. }) && one.step == next.step)
}

/// The change of another task that the span overlaps, the longest when there are several.
fn overlapping(changes: &[Timed], task: TaskId, (begin, end): (Moment, Moment)) -> By {
    let before = changes.partition_point(|change| change.span.0 < end);
    let others = changes[..before].iter().rev().take_while(|change| change.span.1 > begin);
    let others = others.filter(|change| change.task != task);
    others.max_by_key(|change| length(change.span)).map_or(By::Nothing, |change| change.by)
}

fn held(dialect: &Dialect, op: &Op) -> Option<Held> {
    match op {
        Op::Measure { count: 1, .. } | Op::Execute { count: 1, .. } | Op::MapExecute { count: 1, .. } => {
            Some(Held::Append)
        }
        Op::Open { path, .. } if matches!(dialect.file(path), File::List(_)) => Some(Held::Open),
        // What is read and sent is a list or a counter of a few bytes.
        Op::Read { send: true, .. } => Some(Held::Read),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;
    use crate::fake_run::{FakeRun, read};
    use imalab_language::plan::Action;

    #[test]
    fn what_a_delete_freed_is_the_difference_of_the_readings_around_it() {
        let mut fake = FakeRun::new();
        fake.measure(4);
        fake.stage();
        fake.save();
        let memory = |fake: &mut FakeRun, kib: u64| {
            let text = format!("MemTotal:  999 kB\nSUnreclaim:     {kib} kB\n");
            fake.step("view", Action::SystemCall, read("/proc/meminfo", text.into_bytes()), vec![]);
        };
        memory(&mut fake, 1000);
        fake.delete();
        memory(&mut fake, 900);
        let (plan, trace) = fake.finish();
        assert_eq!(digest(&plan, &trace).freed(), [Freed { by: By::Delete, records: 5, kib: 100 }]);
    }

    #[test]
    fn what_overlaps_a_change_is_held_up_by_it() {
        let mut fake = FakeRun::new();
        fake.measure(1);
        fake.checkpoint();
        let before = fake.now;
        (fake.task, fake.takes) = (1, 500_000);
        fake.measure(1);
        (fake.task, fake.takes, fake.now) = (0, 100_000, before + 1_000);
        fake.stage();
        fake.now += 10_000_000;
        fake.save();
        fake.delete();
        let (plan, trace) = fake.finish();
        let times = digest(&plan, &trace).latency();
        let of = |held, by| times.iter().find(|latency| latency.held == held && latency.by == by);
        assert_eq!(
            of(Held::Append, By::Stage).map(|latency| (latency.count, latency.max_us)),
            Some((1, 500))
        );
        assert_eq!(of(Held::Append, By::Nothing).map(|latency| latency.count), Some(1));
        assert_eq!(of(Held::Writer, By::Stage).map(|latency| latency.max_us), Some(100));
        assert_eq!(of(Held::Writer, By::Delete).map(|latency| latency.count), Some(1));
        assert_eq!(of(Held::Append, By::Delete), None);
    }

    #[test]
    fn who_opens_the_file_that_divides_the_log_holds_others_up() {
        let mut fake = FakeRun::new();
        let before = fake.now;
        (fake.task, fake.takes) = (1, 500_000);
        fake.measure(1);
        (fake.task, fake.takes, fake.now) = (0, 100_000, before + 1_000);
        fake.step("snapshot", Action::SystemCall, read("snapshot", Vec::new()), vec![]);
        let (mut plan, trace) = fake.finish();
        let of = |plan: &_| {
            let times = digest(plan, &trace).latency();
            let of = |held, by| {
                times.iter().find(|times| (times.held, times.by) == (held, by)).map(|times| times.max_us)
            };
            (of(Held::Append, By::Snapshot), of(Held::Writer, By::Snapshot))
        };
        // Elsewhere it is a file like any other.
        assert_eq!(of(&plan), (None, None));
        plan.interface = imalab_language::plan::Interface::SNAPSHOT;
        assert_eq!(of(&plan), (Some(500), Some(100)));
    }
}
