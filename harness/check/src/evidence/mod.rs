//! What a run showed, put in order once for all checks.
//!
//! Everything the guest sent is untrusted: whatever does not fit the plan or itself becomes an [`Oddity`], never
//! a panic and never silence.

mod extends;
mod guest;
mod holds;
mod lists;
mod oddity;
mod portion;
mod records;
mod tap;
#[cfg(test)]
mod tests;
mod transfers;

use std::collections::BTreeMap;
use std::io::Read;

use imalab_wire::{Op, Outcome, StepId, TaskId};

use super::ending;
use imalab_language::plan::{Plan, PlannedStep};
use imalab_language::scenario::KnownLimit;
use imalab_trace::{Host, PcrReading, QuoteTaken, Trace, What};

pub(super) use extends::{Chosen, Extend};
pub(super) use holds::Hold;
pub(super) use lists::{CounterSeen, ListSeen};
pub(super) use oddity::{Oddities, Oddity};
pub(super) use portion::{Pieces, Portion};
pub(super) use records::{KnownRecord, RecordId, Records};
pub(super) use tap::{IMA_PCR, Tap};

/// A moment of the guest: the boot, counted from 1, and its `CLOCK_BOOTTIME` in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub(super) boot: u32,
    pub(super) ns: u64,
}

/// An operation as the guest told of it.
#[derive(Clone, Debug, Default)]
pub(super) struct OpSeen<'a> {
    /// When it was about to be attempted.
    pub(super) started: Option<Moment>,
    /// How it ended.
    pub(super) ended: Option<Ended>,
    /// What it read, in pieces without gaps.
    pub(super) pieces: Vec<Portion<'a>>,
    /// Bytes of all pieces.
    pub(super) length: u64,
    /// When it was found asleep in one of its system calls.
    pub(super) asleep: Vec<Asleep>,
}

/// An operation was found asleep in one of its system calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asleep {
    /// Place in the stream.
    pub(super) seq: u64,
    pub(super) at: Moment,
}

/// Most bytes of a short file: a counter has some ten, the names of a folder and a device's memory some thousand.
const SHORT: u64 = 1024 * 1024;

/// The end of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) begin: Moment,
    pub(super) end: Moment,
    pub(super) outcome: Outcome,
}

impl OpSeen<'_> {
    /// What it read of a short file, as far as a short file goes; what cannot be read back is missing.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let _ = Pieces::new(&self.pieces).take(SHORT).read_to_end(&mut text);
        text
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.ended.map(|ended| ended.outcome)
    }

    /// From when to when the guest was in it: to the end of time when it never ended. `None`: it was not
    /// attempted, or nothing is known of it.
    pub(super) fn span(&self) -> Option<(Moment, Moment)> {
        match self.ended {
            Some(Ended { outcome: Outcome::NotAttempted, .. }) => None,
            Some(Ended { begin, end, .. }) => Some((begin, end)),
            None => self.started.map(|at| (at, Moment { boot: at.boot, ns: u64::MAX })),
        }
    }
}

/// A planned step and what became of it.
#[derive(Debug)]
pub(super) struct StepSeen<'a> {
    pub(super) planned: &'a PlannedStep,
    /// Its operations as in the program.
    pub(super) ops: &'a [Op],
    /// What became of each.
    pub(super) seen: Vec<OpSeen<'a>>,
}

impl StepSeen<'_> {
    /// The one write that carries out the step's action: a verb opens, reads and closes around it.
    pub(super) fn write(&self) -> Option<&OpSeen<'_>> {
        let at = self.ops.iter().rposition(|op| {
            matches!(op, Op::Write { .. } | Op::WriteFound { .. } | Op::WriteFilled { .. })
        })?;
        self.seen.get(at)
    }

    /// From the begin of its first operation to the end of its last.
    pub(super) fn span(&self) -> Option<(Moment, Moment)> {
        self.seen.iter().filter_map(OpSeen::span).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

/// PCR values or a quote, with their place in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtMark<T> {
    /// Sequence number of the event: extends before it are in the PCR, later ones are not.
    pub(super) seq: u64,
    pub(super) seen: T,
}

/// The digest of a plan and its trace.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) plan: &'a Plan,
    /// In the order of the plan.
    pub(super) steps: Vec<StepSeen<'a>>,
    /// Boots of the guest: how often the agent said hello.
    pub(super) boots: u32,
    /// Sequence number of the agent's last message.
    pub(super) done: Option<u64>,
    /// Exit status of each task that ended.
    pub(super) tasks_ended: BTreeMap<TaskId, i32>,
    /// Programs of which not all calls are known, by the task that runs each, and why.
    pub(super) unobserved: Vec<(TaskId, String)>,
    /// Lists that were read, by step and operation.
    pub(super) lists: Vec<ListSeen>,
    /// Counters that were read, by step and operation.
    pub(super) counters: Vec<CounterSeen>,
    /// Every record that any list showed.
    pub(super) records: Records,
    /// What the tap saw.
    pub(super) tap: Tap,
    /// PCR values by mark.
    pub(super) pcrs: BTreeMap<u64, AtMark<&'a PcrReading>>,
    /// Quotes by mark.
    pub(super) quotes: BTreeMap<u64, AtMark<&'a QuoteTaken>>,
    /// Console lines with their sequence numbers.
    pub(super) console: Vec<(u64, &'a str)>,
    /// When the TPM was held.
    pub(super) holds: Vec<Hold>,
    /// What the kernel that the guest began with is known to lose.
    pub(super) limit: Option<&'a KnownLimit>,
    /// Commands to which the tap did something.
    pub(super) faults: u64,
    /// Why not all of this is what it was, when it is not.
    pub(super) trouble: Option<String>,
    /// What does not fit.
    pub(super) oddities: Oddities,
    /// When each task was in an operation that may measure, in order of time.
    busy: BTreeMap<TaskId, Vec<(Moment, Moment)>>,
}

impl<'a> Evidence<'a> {
    pub(super) fn of(plan: &'a Plan, trace: &'a Trace) -> Evidence<'a> {
        let (mut oddities, mut of_tap, mut unreadable) = (Oddities::default(), Oddities::default(), None);
        let mut guest = guest::Digester::new(plan, &mut oddities);
        let mut tap = tap::Digester::new(&plan.machine.banks);
        // What is much is read but once.
        for seen in trace.iter() {
            match seen {
                Ok(seen) => match &seen.event().what {
                    What::Guest(message) => guest.message(message, &seen),
                    What::Tpm(exchange) => tap.exchange(seen.event().seq, exchange, &mut of_tap),
                    _ => {}
                },
                Err(error) => unreadable = Some(Oddity::Unreadable { why: error.to_string() }),
            }
        }
        let (guest, (tap, trouble)) = (guest.finish(), tap.finish());
        oddities.append(of_tap);
        if let Some(unreadable) = unreadable {
            oddities.push(unreadable);
        }
        let mut records = Records::new(&plan.machine.banks);
        let (lists, counters) = lists::digest(&guest.steps, &mut records, &mut oddities);
        let trouble = records.close().or(trouble);
        let mut evidence = Evidence {
            plan,
            boots: guest.boots,
            done: guest.done,
            busy: busy(plan, &guest.steps, &guest.tasks_ended),
            tasks_ended: guest.tasks_ended,
            unobserved: guest.unobserved,
            steps: guest.steps,
            holds: guest.holds,
            lists,
            counters,
            records,
            tap,
            pcrs: BTreeMap::new(),
            quotes: BTreeMap::new(),
            console: Vec::new(),
            faults: 0,
            limit: plan.known_limit.as_ref().filter(|limit| limit.kernels.concerns(&guest.release)),
            trouble,
            oddities,
        };
        if evidence.limit.is_some() {
            let attempts = &evidence.tap.attempts;
            evidence.records.add_extended((0..attempts.len()).filter_map(|at| attempts.get(at)));
        }
        evidence.marks_and_console(trace);
        evidence
    }

    fn marks_and_console(&mut self, trace: &'a Trace) {
        for event in ending::own_words(trace) {
            let (mark, twice) = match &event.what {
                What::Pcrs(reading) => {
                    let seen = AtMark { seq: event.seq, seen: reading };
                    (reading.mark, self.pcrs.insert(reading.mark, seen).is_some())
                }
                What::Quote(quote) => {
                    let seen = AtMark { seq: event.seq, seen: &**quote };
                    (quote.mark, self.quotes.insert(quote.mark, seen).is_some())
                }
                What::Console(line) => {
                    self.console.push((event.seq, line));
                    continue;
                }
                What::Host(Host::Fault { .. }) => {
                    self.faults += 1;
                    continue;
                }
                What::Guest(_) | What::Tpm(_) | What::Qmp(_) | What::Host(_) => continue,
            };
            if twice {
                self.oddities.push(Oddity::MarkTwice { seq: event.seq, mark });
            }
            if !self.plan.marks.iter().any(|planned| planned.number == mark) {
                self.oddities.push(Oddity::UnknownMark { seq: event.seq, mark });
            }
        }
    }

    /// A step as a report names it.
    pub(super) fn name(&self, step: usize) -> String {
        self.steps.get(step).map_or_else(|| format!("step #{step}"), |step| name(step.planned))
    }

    /// When a step began.
    pub(super) fn began(&self, step: usize) -> Option<Moment> {
        self.steps.get(step).and_then(StepSeen::span).map(|(begin, _)| begin)
    }

    /// The step by which the guest left a boot, from 1, for another kernel: an execution that never came back.
    pub(super) fn left_by(&self, boot: u32) -> Option<usize> {
        self.steps.iter().position(|step| {
            let ops = step.ops.iter().zip(&step.seen);
            ops.filter(|(op, _)| op.leaves())
                .any(|(_, seen)| seen.ended.is_none() && seen.started.is_some_and(|at| at.boot == boot))
        })
    }

    /// The lists that a step read.
    pub(super) fn lists_of(&self, step: usize) -> &[ListSeen] {
        let from = self.lists.partition_point(|list| list.step < step);
        let to = self.lists.partition_point(|list| list.step <= step);
        &self.lists[from..to]
    }

    /// The bytes of a list as they were read.
    pub(super) fn bytes_of(&self, list: &ListSeen) -> Pieces<'_, 'a> {
        let seen = self.steps.get(list.step).and_then(|step| step.seen.get(usize::from(list.op)));
        Pieces::new(seen.map_or(&[], |seen| seen.pieces.as_slice()))
    }

    /// The counters that a step read.
    pub(super) fn counters_of(&self, step: usize) -> &[CounterSeen] {
        let from = self.counters.partition_point(|counter| counter.step < step);
        let to = self.counters.partition_point(|counter| counter.step <= step);
        &self.counters[from..to]
    }

    /// Whether no other task was in an operation while the step ran: nothing could be measured then, so the
    /// list and the PCR owe each other equality. A task that waits at a barrier measures nothing.
    pub(super) fn quiescent(&self, step: usize) -> bool {
        let Some(step) = self.steps.get(step) else { return false };
        let Some((begin, end)) = step.span() else { return false };
        self.busy.iter().filter(|(task, _)| **task != step.planned.task).all(|(_, spans)| {
            // A task's operations follow one another, so the last that began in time is the one that could reach
            // in. Times are taken right around the system calls: equal ones do not overlap.
            let before = spans.partition_point(|span| span.0 < end);
            before == 0 || spans[before - 1].1 <= begin
        })
    }
}

/// A step as a report names it.
pub(super) fn name(step: &PlannedStep) -> String {
    match step.line {
        0 => format!("step {} `{}` (added)", step.id, step.text),
        line => format!("step {} `{}` (line {line})", step.id, step.text),
    }
}

/// The program's operations of each step.
fn operations(plan: &Plan) -> BTreeMap<StepId, (TaskId, &[Op])> {
    let last = TaskId::try_from(plan.program.tasks.len()).unwrap_or(TaskId::MAX);
    let tasks = plan.program.tasks.iter().map(|task| &task.steps).chain([&plan.program.finally]);
    (0..=last)
        .zip(tasks)
        .flat_map(|(task, steps)| steps.iter().map(move |step| (step.id, (task, step.ops.as_slice()))))
        .collect()
}

/// When each task was in an operation that may measure. A task that has ended is in none, whatever it was in then.
fn busy(
    plan: &Plan,
    steps: &[StepSeen<'_>],
    tasks_ended: &BTreeMap<TaskId, i32>,
) -> BTreeMap<TaskId, Vec<(Moment, Moment)>> {
    let over = ends(plan, steps, tasks_ended);
    let mut busy: BTreeMap<TaskId, Vec<(Moment, Moment)>> = BTreeMap::new();
    for step in steps {
        let task = step.planned.task;
        let spans = busy.entry(task).or_default();
        for (op, seen) in step.ops.iter().zip(&step.seen) {
            if !matches!(op, Op::Barrier { .. } | Op::ReceiveDescriptor { .. } | Op::AwaitBlocked { .. }) {
                let over = over.get(&task).copied();
                let cut = |(begin, end): (Moment, Moment)| (begin, over.map_or(end, |over| end.min(over)));
                spans.extend(seen.span().map(cut));
            }
        }
    }
    for spans in busy.values_mut() {
        spans.sort_unstable();
    }
    busy
}

/// By when each task that has ended did so: when it had been killed, or when PID 1, which waits for all of them, began the
/// last steps.
pub(super) fn ends(
    plan: &Plan,
    steps: &[StepSeen<'_>],
    tasks_ended: &BTreeMap<TaskId, i32>,
) -> BTreeMap<TaskId, Moment> {
    let mut ends = BTreeMap::new();
    let last = steps.iter().filter(|step| usize::from(step.planned.task) == plan.program.tasks.len());
    if let Some((begin, _)) = last.flat_map(|step| &step.seen).find_map(OpSeen::span) {
        ends.extend(tasks_ended.keys().map(|task| (*task, begin)));
    }
    for step in steps {
        for (op, seen) in step.ops.iter().zip(&step.seen) {
            if let (Op::Kill { task, .. }, Some(Ended { end, outcome: Outcome::Value(_), .. })) =
                (op, seen.ended)
                && tasks_ended.contains_key(task)
            {
                ends.insert(*task, end);
            }
        }
    }
    ends
}
