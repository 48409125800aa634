//! What a task was reading or writing while another one looked.

use imalab_wire::{Op, TaskId};

use super::Evidence;

impl Evidence<'_> {
    /// The slot that a task was reading or writing during an operation of another, given by its step and index.
    pub(crate) fn transfer_during(&self, task: TaskId, (step, op): (usize, usize)) -> Option<u16> {
        let (begin, end) = self.steps.get(step)?.seen.get(op)?.span()?;
        let steps = self.steps.iter().filter(|step| step.planned.task == task);
        steps.flat_map(|step| step.ops.iter().zip(&step.seen)).find_map(|(op, seen)| {
            let (from, to) = seen.span()?;
            // They meet: the other may have gone on as soon as the descriptor was taken.
            if from <= end && begin <= to { transferred(op) } else { None }
        })
    }
}

/// The slot of a call that reads or writes.
fn transferred(op: &Op) -> Option<u16> {
    match *op {
        Op::Read { slot, .. }
        | Op::ReadAt { slot, .. }
        | Op::ReadBadPointer { slot, .. }
        | Op::ReadNumber { slot }
        | Op::FindQuoted { slot, .. }
        | Op::Write { slot, .. }
        | Op::WriteAt { slot, .. }
        | Op::WriteBadPointer { slot, .. }
        | Op::WriteFound { slot }
        | Op::WriteFilled { slot, .. } => Some(slot),
        _ => None,
    }
}
