//! Carries out steps: operation after operation, each announced and reported.

use imalab_wire::{Message, Op, Outcome, Step, TaskId};

use crate::clock::now_ns;
use crate::ops::{self, Failure, Report, Slots};
use crate::uplink::{Broken, Uplink};

/// Runs the steps of a task with no descriptor open at first. What fails is reported; only a broken uplink ends it.
pub(crate) fn run(task: TaskId, steps: &[Step], uplink: &mut impl Uplink) -> Result<(), Broken> {
    let mut slots = Slots::default();
    for step in steps {
        run_step(task, step, &mut slots, uplink)?;
    }
    uplink.flush()
}

fn run_step(task: TaskId, step: &Step, slots: &mut Slots, uplink: &mut impl Uplink) -> Result<(), Broken> {
    let mut failed = false;
    for (index, op) in (0..=u16::MAX).zip(&step.ops) {
        let done = if failed && !cleans_up(op, slots) {
            let now = now_ns();
            (now, now, Outcome::NotAttempted)
        } else {
            uplink.send(&Message::OpStarted { task, step: step.id, op: index, at_ns: now_ns() })?;
            uplink.flush()?;
            let mut report = Report::new(task, step.id, index, &mut *uplink);
            let begin_ns = now_ns();
            let result = ops::run(op, slots, &mut report);
            let end_ns = now_ns();
            let outcome = match result {
                Ok(value) => Outcome::Value(value),
                Err(Failure::Op(errno)) => Outcome::Errno(errno as i32),
                Err(Failure::Uplink(broken)) => return Err(broken),
            };
            report.finish()?;
            failed |= matches!(outcome, Outcome::Errno(_));
            (begin_ns, end_ns, outcome)
        };
        let (begin_ns, end_ns, outcome) = done;
        uplink.send(&Message::OpDone { task, step: step.id, op: index, begin_ns, end_ns, outcome })?;
    }
    Ok(())
}

/// Whether an operation is due even after a failure: a step leaves no descriptor open by failing half-way.
fn cleans_up(op: &Op, slots: &Slots) -> bool {
    matches!(op, Op::Close { slot } if slots.is_open(*slot))
}
