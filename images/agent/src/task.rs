//! Carries out steps: operation after operation, each announced and reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use imalab_wire::{Message, Op, Outcome, Program, Step, StepId, TaskId};

use crate::clock::now_ns;
use crate::observe::Ended;
use crate::ops::{self, Attested, Failure, Report};
use crate::packet::Sleep;
use crate::process::Process;
use crate::uplink::{Broken, Uplink};

/// One who runs steps, and what they refer to.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) program: Arc<Program>,
    /// Boot of the program that this kernel is.
    pub(crate) boot: u16,
    pub(crate) process: Arc<Process>,
    /// When the task's clocks run out, by their numbers.
    pub(crate) clocks: BTreeMap<u16, u64>,
    pub(crate) attested: Attested,
    /// The program that it has run.
    pub(crate) ran: Option<Ended>,
}

impl Task {
    pub(crate) fn new(id: TaskId, program: Arc<Program>, boot: u16, process: Arc<Process>) -> Self {
        Self { id, program, boot, process, clocks: BTreeMap::new(), attested: Attested::default(), ran: None }
    }

    /// Whether it is the first process, with the last steps: its number is that after the last task's.
    pub(crate) fn is_last(&self) -> bool {
        usize::from(self.id) >= self.program.tasks.len()
    }

    /// An operation of a task.
    pub(crate) fn operation(&self, task: TaskId, step: StepId, op: u16) -> Option<&Op> {
        let steps = &self.program.tasks.get(usize::from(task))?.steps;
        steps.iter().find(|found| found.id == step)?.ops.get(usize::from(op))
    }

    /// Answers who asks for the program that it has run, until nobody is left who could.
    pub(crate) fn stay(&mut self, uplink: &mut impl Uplink) -> Result<(), Broken> {
        match self.ran.take() {
            Some(ended) => ended.answer(self, uplink),
            None => Ok(()),
        }
    }

    /// Runs the task's steps. What fails is reported; only a broken uplink ends it.
    pub(crate) fn run(&mut self, uplink: &mut impl Uplink) -> Result<(), Broken> {
        let program = Arc::clone(&self.program);
        let steps = program.tasks.get(usize::from(self.id)).map_or(&program.finally, |task| &task.steps);
        for step in steps {
            self.step(step, uplink)?;
        }
        uplink.flush()
    }

    fn step(&mut self, step: &Step, uplink: &mut impl Uplink) -> Result<(), Broken> {
        let too_late = step
            .clock
            .and_then(|clock| self.clocks.get(&clock))
            .is_some_and(|runs_out| now_ns() >= *runs_out);
        let mut failed = false;
        for (index, op) in (0..=u16::MAX).zip(&step.ops) {
            let (begin_ns, end_ns, outcome) = if too_late || failed && !self.cleans_up(op) {
                let now = now_ns();
                (now, now, Outcome::NotAttempted)
            } else {
                self.attempt(step, index, op, uplink)?
            };
            failed |= matches!(outcome, Outcome::Errno(_));
            let (task, step) = (self.id, step.id);
            uplink.send(&Message::OpDone { task, step, op: index, begin_ns, end_ns, outcome })?;
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        step: &Step,
        index: u16,
        op: &Op,
        uplink: &mut impl Uplink,
    ) -> Result<(u64, u64, Outcome), Broken> {
        uplink.send(&Message::OpStarted { task: self.id, step: step.id, op: index, at_ns: now_ns() })?;
        uplink.sleeps(ops::sleep(op));
        uplink.flush()?;
        let mut report = Report::new(self.id, step.id, index, &mut *uplink);
        let begin_ns = now_ns();
        let result = ops::run(op, self, &mut report);
        let end_ns = now_ns();
        let outcome = match result {
            Ok(value) => Outcome::Value(value),
            Err(Failure::Op(errno)) => Outcome::Errno(errno as i32),
            Err(Failure::Uplink(broken)) => return Err(broken),
        };
        report.finish()?;
        uplink.sleeps(Sleep::Outside);
        Ok((begin_ns, end_ns, outcome))
    }

    /// Whether an operation is due even after a failure: a step leaves no descriptor open by failing half-way.
    fn cleans_up(&self, op: &Op) -> bool {
        matches!(op, Op::Close { slot } if self.process.slots.is_open(*slot))
    }
}
