//! When the TPM was held, as the plan says.

use std::collections::BTreeMap;

use imalab_wire::{Op, TaskId};

use super::Moment;
use imalab_language::plan::{MarkAction, Plan};

/// A time in which the TPM answered nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    mark: u64,
    /// Sequence number of the message that says that it was about to be taken.
    from: u64,
    /// Sequence number of what ended it.
    to: Option<u64>,
    /// When a task was about to let go of it.
    pub(crate) released: Option<Moment>,
}

impl Hold {
    /// Whether it was in force when this event came.
    pub(crate) fn is_in_force(&self, seq: u64) -> bool {
        self.from < seq && self.to.is_none_or(|to| seq < to)
    }
}

/// Gathers the holds from the agent's messages.
#[derive(Debug, Default)]
pub(super) struct Digester {
    holds: Vec<Hold>,
    /// When each task began the operation that it is in.
    began: BTreeMap<TaskId, Moment>,
}

impl Digester {
    /// A task is about to attempt this operation.
    pub(super) fn started(&mut self, plan: &Plan, seq: u64, task: TaskId, at: Moment, op: Option<&Op>) {
        self.began.insert(task, at);
        let is_hold = |number: u64| {
            plan.marks.iter().any(|mark| mark.number == number && mark.does == MarkAction::Hold)
        };
        if let Some(Op::Mark { number: mark, .. }) = op
            && is_hold(*mark)
        {
            self.holds.push(Hold { mark: *mark, from: seq, to: None, released: None });
        }
    }

    /// This operation has ended, and with it what it held.
    pub(super) fn ended(&mut self, seq: u64, op: Option<&Op>) {
        if let Some(Op::Mark { number, .. }) = op {
            self.end(seq, *number);
        }
    }

    /// A task lets go of a hold.
    pub(super) fn released(&mut self, seq: u64, task: TaskId, number: u64) {
        let began = self.began.get(&task).copied();
        for hold in self.holds.iter_mut().filter(|hold| hold.mark == number && hold.to.is_none()) {
            hold.released = began;
        }
        self.end(seq, number);
    }

    /// Another boot: nothing of the one before is held.
    pub(super) fn boot(&mut self, seq: u64) {
        self.began.clear();
        for hold in &mut self.holds {
            hold.to.get_or_insert(seq);
        }
    }

    fn end(&mut self, seq: u64, number: u64) {
        for hold in self.holds.iter_mut().filter(|hold| hold.mark == number) {
            hold.to.get_or_insert(seq);
        }
    }

    /// In the order in which they were taken.
    pub(super) fn finish(self) -> Vec<Hold> {
        self.holds
    }
}
