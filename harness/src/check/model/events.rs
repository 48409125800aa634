//! What a run did to the list, task by task: the operations, taken apart where one does several things.

use std::borrow::Cow;
use std::rc::Rc;

use imalab_wire::{Start, TaskId};

use super::ops::Maker;
use super::policy::Policy;
use crate::check::evidence::{Evidence, Moment, RecordId, ends};
use crate::check::log::WholeLog;
use crate::ima::model::{Call, Found};

/// One thing that happened within an operation, at some moment of it.
#[derive(Debug)]
pub(super) struct Event<'e> {
    /// Place of its step in the evidence.
    pub(super) step: usize,
    /// Its operation.
    pub(super) op: usize,
    /// The operation's begin and end.
    pub(super) begin: Moment,
    pub(super) end: Moment,
    pub(super) does: Does<'e>,
    pub(super) found: Found,
    /// Length of the whole log at that moment, as far as what was read tells: an order to try first.
    pub(super) length: Option<usize>,
    /// Records that nothing else explains may be made by this operation.
    pub(super) measures: bool,
}

/// What it was.
#[derive(Debug)]
pub(super) enum Does<'e> {
    /// A call that the model knows.
    Call(Call<'e>),
    /// A write, whose bytes may be made up from what a call before it gave.
    Write { slot: u16, bytes: Cow<'e, [u8]> },
    /// A list was read to its end, and held this.
    List { slot: u16, records: &'e [RecordId], staged: bool },
    /// A counter was read whole.
    Counter { slot: u16, number: u64 },
    /// A file was measured, or violated.
    File(Measured),
    /// Something that may have measured something.
    Other,
}

/// A file that IMA was made to look at.
#[derive(Debug)]
pub(super) struct Measured {
    /// Places of its records in the whole log.
    pub(super) same: Rc<[usize]>,
    /// Its path.
    pub(super) name: String,
    /// Whether it must be recorded unless its digest is known.
    pub(super) certain: bool,
    pub(super) violation: bool,
}

/// The events of a task, in order.
#[derive(Debug)]
pub(super) struct Sequence<'e> {
    pub(super) task: TaskId,
    /// Boot in which it runs, from 0.
    pub(super) boot: u16,
    /// Whether another task starts it.
    pub(super) spawned: bool,
    pub(super) events: Vec<Event<'e>>,
    /// For each event the length of the whole log at the first event from it on of which that is known.
    pub(super) lengths: Vec<Option<usize>>,
}

/// The sequences of all tasks; the last is that of the steps after all tasks.
#[derive(Debug)]
pub(super) struct Events<'e> {
    pub(super) sequences: Vec<Sequence<'e>>,
    pub(super) policy: Policy,
    /// Operations that became events.
    pub(super) ops: usize,
    /// Operations on files that are nothing of the list.
    pub(super) foreign: usize,
}

impl<'e> Events<'e> {
    pub(super) fn of(evidence: &'e Evidence<'e>, log: &WholeLog<'_>) -> Events<'e> {
        let program = &evidence.plan.program;
        let last = program.tasks.iter().map(|task| task.boot).max().unwrap_or_default();
        let tasks = program.tasks.iter().map(|task| (task.boot, task.start == Start::Spawned));
        let mut sequences: Vec<Sequence<'e>> = (0..)
            .zip(tasks.chain([(last, false)]))
            .map(|(task, (boot, spawned))| Sequence {
                task,
                boot,
                spawned,
                events: Vec::new(),
                lengths: Vec::new(),
            })
            .collect();
        let policy = Policy::of(evidence.plan);
        let mut maker = Maker::new(evidence, log, policy);
        for (at, step) in evidence.steps.iter().enumerate() {
            if let Some(sequence) = sequences.get_mut(usize::from(step.planned.task)) {
                maker.step(at, &mut sequence.events);
            }
        }
        let (ops, foreign) = (maker.ops, maker.foreign);
        let mut events = Events { sequences, policy, ops, foreign };
        events.end_tasks(evidence);
        events.staged_lengths();
        events
    }

    /// A task's descriptors are closed some time after its last operation; what it never came back from was over by
    /// then.
    fn end_tasks(&mut self, evidence: &Evidence<'_>) {
        let over = ends(evidence.plan, &evidence.steps, &evidence.tasks_ended);
        let Some((_, tasks)) = self.sequences.split_last_mut() else { return };
        for sequence in tasks {
            let Some(event) = sequence.events.last() else { continue };
            let begin = if event.found == Found::Never { event.begin } else { event.end };
            let (step, op) = (event.step, event.op);
            let never = Moment { boot: begin.boot, ns: u64::MAX };
            // With a kernel its tasks are over, whoever waits for them.
            let over = over.get(&sequence.task).filter(|over| over.boot == begin.boot);
            let end = over.copied().unwrap_or(never).max(begin);
            for event in &mut sequence.events {
                event.end = event.end.min(end);
            }
            if evidence.tasks_ended.contains_key(&sequence.task) {
                let (does, found) = (Does::Call(Call::End), Found::Value(0));
                let event = Event { step, op, begin, end, does, found, length: None, measures: false };
                sequence.events.push(event);
            }
        }
    }

    /// A staged list that was read says how long the whole log was when it was staged.
    fn staged_lengths(&mut self) {
        let mut staged = Vec::new();
        for (at, sequence) in self.sequences.iter().enumerate() {
            for (number, event) in sequence.events.iter().enumerate() {
                if let (Does::Write { bytes, .. }, Found::Value(1..)) = (&event.does, event.found)
                    && stages_all(bytes)
                {
                    staged.push((event.begin, at, number));
                }
            }
        }
        staged.sort_unstable();
        let mut known = Vec::new();
        for sequence in &mut self.sequences {
            for event in &mut sequence.events {
                let Does::List { staged: true, .. } = event.does else { continue };
                let Some(length) = event.length.take() else { continue };
                let before = staged.partition_point(|(begin, ..)| *begin <= event.begin);
                if let Some((_, at, number)) = before.checked_sub(1).map(|before| staged[before]) {
                    known.push((at, number, length));
                }
            }
        }
        for (at, number, length) in known {
            self.sequences[at].events[number].length = Some(length);
        }
        for sequence in &mut self.sequences {
            let mut next = None;
            let from_behind = sequence.events.iter().rev();
            sequence.lengths = from_behind
                .map(|event| {
                    next = event.length.or(next);
                    next
                })
                .collect();
            sequence.lengths.reverse();
        }
    }
}

/// Whether a request stages the whole list, in the words of any interface.
fn stages_all(request: &[u8]) -> bool {
    [&b"A\n"[..], b"9223372036854775807\n"].contains(&request)
}
