//! What a run did to the list, task by task: the operations, taken apart where one does several things.

use imalab_wire::{Start, TaskId};

use super::event::{Does, Event};
use super::ops::Maker;
use super::policy::Policy;
use crate::evidence::{Evidence, Moment, ends};
use crate::log::WholeLog;
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::Dialect;
use imalab_formats::ima::lists::{ListId, Request};
use imalab_formats::ima::model::{Call, File, Found, ListFile};

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
    /// For each event the steps from the first on to its own end: a look at a file is a step.
    ends: Vec<usize>,
}

impl<'e> Sequence<'e> {
    /// How many steps it has.
    pub(super) fn steps(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The event that a step, from 0, belongs to, and which of its steps it is.
    pub(super) fn step(&self, step: usize) -> Option<(usize, usize)> {
        let event = self.ends.partition_point(|end| *end <= step);
        let before = event.checked_sub(1).map_or(0, |before| self.ends[before]);
        (event < self.events.len()).then(|| (event, step - before))
    }

    fn number(&mut self) {
        let steps = self.events.iter().map(|event| match &event.does {
            Does::Files(files) => files.looks(),
            _ => 1,
        });
        let mut end = 0_usize;
        self.ends = steps
            .map(|steps| {
                end = end.saturating_add(steps);
                end
            })
            .collect();
    }
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
                ends: Vec::new(),
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
        events.staged_lengths(evidence.plan.interface.dialect());
        events.sequences.iter_mut().for_each(Sequence::number);
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
    fn staged_lengths(&mut self, dialect: &Dialect) {
        let mut staged = Vec::new();
        for (at, sequence) in self.sequences.iter().enumerate() {
            for (number, event) in sequence.events.iter().enumerate() {
                if let (Does::Write { bytes, .. }, Found::Value(1..)) = (&event.does, event.found)
                    && stages_all(dialect, bytes)
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

/// Whether a request stages the whole list, on whichever of its files.
fn stages_all(dialect: &Dialect, request: &[u8]) -> bool {
    [ListId::CURRENT, ListId::STAGED].into_iter().any(|list| {
        let file = File::List(ListFile { ascii: false, bank: Bank::Sha1, list });
        dialect.request(file, request).is_some_and(Request::stages_all)
    })
}
