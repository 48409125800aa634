//! The agent's messages, by step and operation.

use std::collections::BTreeMap;

use imalab_wire::{Message, Op, Outcome, Piece, StepId, TaskId, VERSION};

use super::holds::{self, Hold};
use super::portion::Portion;
use super::{Asleep, Ended, Moment, Oddities, Oddity, OpSeen, StepSeen, operations};
use imalab_language::plan::Plan;
use imalab_trace::Seen;

/// What the guest told.
pub(super) struct Guest<'a> {
    /// `uname -r` of the first boot; empty when it never said hello.
    pub(super) release: String,
    pub(super) steps: Vec<StepSeen<'a>>,
    pub(super) boots: u32,
    pub(super) done: Option<u64>,
    pub(super) tasks_ended: BTreeMap<TaskId, i32>,
    pub(super) unobserved: Vec<(TaskId, String)>,
    pub(super) holds: Vec<Hold>,
}

/// Sorts the agent's messages by step and operation.
pub(super) struct Digester<'a, 'o> {
    plan: &'a Plan,
    release: Option<String>,
    steps: Vec<StepSeen<'a>>,
    places: BTreeMap<StepId, usize>,
    oddities: &'o mut Oddities,
    boots: u32,
    done: Option<u64>,
    tasks_ended: BTreeMap<TaskId, i32>,
    unobserved: Vec<(TaskId, String)>,
    /// Messages and attempted operations of this boot so far.
    frames: u64,
    attempted: u64,
    /// When each task's last operation ended.
    last_end: BTreeMap<TaskId, Moment>,
    holds: holds::Digester,
}

impl<'a, 'o> Digester<'a, 'o> {
    pub(super) fn new(plan: &'a Plan, oddities: &'o mut Oddities) -> Self {
        let operations = operations(plan);
        let mut steps = Vec::with_capacity(plan.steps.len());
        let mut places = BTreeMap::new();
        for planned in &plan.steps {
            let Some((_, ops)) = operations.get(&planned.id) else {
                oddities.push(Oddity::NotInProgram { step: planned.id });
                continue;
            };
            places.insert(planned.id, steps.len());
            steps.push(StepSeen { planned, ops, seen: vec![OpSeen::default(); ops.len()] });
        }
        Digester {
            plan,
            release: None,
            steps,
            places,
            oddities,
            boots: 0,
            done: None,
            tasks_ended: BTreeMap::new(),
            unobserved: Vec::new(),
            frames: 0,
            attempted: 0,
            last_end: BTreeMap::new(),
            holds: holds::Digester::default(),
        }
    }

    /// Takes the next message, which was seen in the trace.
    pub(super) fn message(&mut self, message: &Message, seen: &Seen<'a>) {
        let seq = seen.event().seq;
        if self.done.is_some() {
            self.oddities.push(Oddity::AfterDone { seq });
        }
        if let Message::Hello { version, token, boot, release, .. } = message {
            self.release.get_or_insert_with(|| release.clone());
            if u32::from(*boot) != self.boots {
                self.oddities.push(Oddity::Boot { seq, expected: self.boots, found: *boot });
            }
            self.boots += 1;
            (self.frames, self.attempted) = (0, 0);
            self.holds.boot(seq);
            self.hello(seq, *version, *token);
        } else if self.boots == 0 {
            self.oddities.push(Oddity::BeforeHello { seq });
        }
        match message {
            Message::OpStarted { task, step, op, at_ns } => {
                let at = Moment { boot: self.boots, ns: *at_ns };
                self.attempted += 1;
                let what = self.what(*step, *op);
                self.holds.started(self.plan, seq, *task, at, what);
                if let Some(seen) = self.op(seq, *task, *step, *op) {
                    seen.started = Some(at);
                }
            }
            Message::OpDone { task, step, op, begin_ns, end_ns, outcome } => {
                let what = self.what(*step, *op);
                self.holds.ended(seq, what);
                self.ended(seq, (*task, *step, *op), (*begin_ns, *end_ns), *outcome);
            }
            Message::FoundAsleep { task, step, op, at_ns, .. } => {
                let at = Moment { boot: self.boots, ns: *at_ns };
                if let Some(seen) = self.op(seq, *task, *step, *op) {
                    seen.asleep.push(Asleep { seq, at });
                }
            }
            Message::ReleaseHold { task, hold } => self.holds.released(seq, *task, *hold),
            Message::Data(piece) => self.data(piece, seen),
            Message::TaskStarted { task, .. } => self.task(seq, *task),
            Message::TaskEnded { task, status } => {
                self.task(seq, *task);
                self.tasks_ended.insert(*task, *status);
            }
            Message::Done { ops, frames } => self.finished(seq, *ops, *frames),
            Message::Unobserved { task, text } => {
                self.task(seq, *task);
                self.unobserved.push((*task, text.clone()));
            }
            // The plan has it already.
            Message::Observed(_) | Message::Said { .. } => {}
            Message::Hello { .. } | Message::Progress { .. } | Message::Fault { .. } | Message::Waiting => {}
        }
        self.frames += 1;
    }

    fn hello(&mut self, seq: u64, version: u16, token: u64) {
        if version != VERSION {
            self.oddities.push(Oddity::Version { seq, expected: VERSION, found: version });
        }
        let expected = self.plan.program.token;
        if token != expected {
            self.oddities.push(Oddity::Token { seq, expected, found: token });
        }
    }

    fn task(&mut self, seq: u64, task: TaskId) {
        if usize::from(task) >= self.plan.program.tasks.len() {
            self.oddities.push(Oddity::UnknownTask { seq, task });
        }
    }

    /// The program's operation.
    fn what(&self, step: StepId, op: u16) -> Option<&'a Op> {
        let at = *self.places.get(&step)?;
        self.steps.get(at)?.ops.get(usize::from(op))
    }

    fn op(&mut self, seq: u64, task: TaskId, step: StepId, op: u16) -> Option<&mut OpSeen<'a>> {
        let Some(at) = self.places.get(&step) else {
            self.oddities.push(Oddity::UnknownStep { seq, step });
            return None;
        };
        let seen = &mut self.steps[*at];
        if seen.planned.task != task {
            let planned = seen.planned.task;
            self.oddities.push(Oddity::WrongTask { seq, step, planned, task });
        }
        let ops = seen.ops.len();
        let found = seen.seen.get_mut(usize::from(op));
        if found.is_none() {
            self.oddities.push(Oddity::UnknownOp { seq, step, op, ops });
        }
        found
    }

    fn ended(
        &mut self,
        seq: u64,
        (task, step, op): (TaskId, StepId, u16),
        (begin_ns, end_ns): (u64, u64),
        outcome: Outcome,
    ) {
        let boot = self.boots;
        let (begin, end) = (Moment { boot, ns: begin_ns }, Moment { boot, ns: end_ns });
        let Some(seen) = self.op(seq, task, step, op) else { return };
        if seen.ended.is_some() {
            self.oddities.push(Oddity::EndedTwice { seq, step, op });
            return;
        }
        seen.ended = Some(Ended { begin, end, outcome });
        if outcome == Outcome::NotAttempted {
            return;
        }
        let before = self.last_end.insert(task, end).filter(|before| before.boot == boot);
        let before_ns = before.map_or(0, |before| before.ns);
        if end < begin || begin_ns < before_ns {
            self.oddities.push(Oddity::Backwards { seq, step, op, begin_ns, end_ns, before_ns });
        }
    }

    fn data(&mut self, piece: &Piece, event: &Seen<'a>) {
        let seq = event.event().seq;
        let Piece { task, step, op, offset, ref bytes } = *piece;
        let sends = self
            .places
            .get(&step)
            .is_some_and(|at| self.steps[*at].ops.get(usize::from(op)).is_some_and(Op::sends_data));
        let Some(seen) = self.op(seq, task, step, op) else { return };
        if !sends || seen.ended.is_some() {
            self.oddities.push(Oddity::UnexpectedData { seq, step, op });
        } else if seen.length != offset {
            let expected = seen.length;
            self.oddities.push(Oddity::DataGap { seq, step, op, expected, found: offset });
        } else {
            seen.pieces.push(Portion::of(event));
            seen.length += bytes.len() as u64;
        }
    }

    fn finished(&mut self, seq: u64, ops: u64, frames: u64) {
        self.done.get_or_insert(seq);
        for (what, claimed, arrived) in
            [("operations", ops, self.attempted), ("frames before its last", frames, self.frames)]
        {
            if claimed != arrived {
                self.oddities.push(Oddity::DoneCounts { seq, what, claimed, arrived });
            }
        }
    }

    /// All that the guest told.
    pub(super) fn finish(mut self) -> Guest<'a> {
        self.lengths();
        let Digester { release, steps, boots, done, tasks_ended, unobserved, holds, .. } = self;
        let (release, holds) = (release.unwrap_or_default(), holds.finish());
        Guest { release, steps, boots, done, tasks_ended, unobserved, holds }
    }

    /// A read says how much it read; just so much must have arrived.
    fn lengths(&mut self) {
        for step in &self.steps {
            for ((number, op), seen) in (0..).zip(step.ops).zip(&step.seen) {
                let Some(Outcome::Value(value)) = seen.outcome() else { continue };
                if op.tells_bytes_sent() && u64::try_from(value) != Ok(seen.length) {
                    let (step, bytes) = (step.planned.id, seen.length);
                    self.oddities.push(Oddity::DataShort { step, op: number, value, bytes });
                }
            }
        }
    }
}
