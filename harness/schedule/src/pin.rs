//! Tasks that are held at places of the kernel's code until another task has come to its own, or ended a step.

use serde::{Deserialize, Serialize};

use crate::range::Range;

/// A place in the kernel's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// Where one of its blocks begins.
    pub address: u64,
    /// Who comes there by a call comes from this code; empty: from anywhere.
    pub from: Vec<Range>,
}

impl Spot {
    /// Whether a call that returns to `back` and goes to `address` comes here.
    #[must_use]
    pub fn is(&self, address: u64, back: Option<u64>) -> bool {
        let by = |back| self.from.iter().any(|range| range.has(back));
        self.address == address && (self.from.is_empty() || back.is_some_and(by))
    }
}

/// Until when a task is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// Until this task comes to a place.
    Comes {
        /// Its number.
        task: u16,
        /// The place.
        to: Spot,
    },
    /// Until this task has ended a step.
    Ends {
        /// Its number.
        task: u16,
        /// Which, from 1.
        step: u32,
    },
}

impl Until {
    /// The task that is waited for.
    #[must_use]
    pub fn task(&self) -> u16 {
        match self {
            Until::Comes { task, .. } | Until::Ends { task, .. } => *task,
        }
    }
}

/// A task that is held, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its number.
    pub task: u16,
    /// Where: with the end of the block that begins there, its processor has no turn.
    pub at: Spot,
    /// Until when.
    pub until: Until,
}

/// All tasks that are held, and how a processor is known to run one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// The system call by which tasks tell of themselves: the kernel's function, which gets the caller's registers.
    pub tell: u64,
    /// Its first argument then; the second is a [`TaskReport`].
    pub option: u64,
    /// Bytes of a task's kernel stack, which begins at a multiple of them.
    pub stack: u64,
    /// In the order of the scenario.
    pub pins: Vec<Pin>,
}

impl Pins {
    /// Whether something may happen at a block that begins here.
    #[must_use]
    pub fn concern(&self, address: u64) -> bool {
        self.pins.iter().any(|pin| {
            let to = match &pin.until {
                Until::Comes { to, .. } => Some(to.address),
                Until::Ends { .. } => None,
            };
            pin.at.address == address || to == Some(address)
        })
    }
}

/// What a task reports about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskReport {
    /// It is the task of this number.
    Is(u16),
    /// From now on this pin holds, by its place in [`Pins::pins`].
    Arms(u16),
    /// The task has ended this step, counted from 1.
    Ends(u16, u32),
    /// The task has ended.
    Over(u16),
}

impl TaskReport {
    /// As a number.
    #[must_use]
    pub fn number(self) -> u64 {
        let (kind, what, step) = match self {
            TaskReport::Is(task) => (1, task, 0),
            TaskReport::Arms(pin) => (2, pin, 0),
            TaskReport::Ends(task, step) => (3, task, step),
            TaskReport::Over(task) => (4, task, 0),
        };
        kind << 48 | u64::from(what) << 32 | u64::from(step)
    }

    /// What a number says; `None`: nothing.
    #[must_use]
    pub fn of(number: u64) -> Option<TaskReport> {
        let what = u16::try_from(number >> 32 & 0xffff).ok()?;
        let step = u32::try_from(number & 0xffff_ffff).ok()?;
        let told = match number >> 48 {
            1 => TaskReport::Is(what),
            2 => TaskReport::Arms(what),
            3 => TaskReport::Ends(what, step),
            4 => TaskReport::Over(what),
            _ => return None,
        };
        (told.number() == number).then_some(told)
    }
}

/// What became of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinEnd {
    /// What it waited for has come, before the task went on from there.
    Ordered,
    /// The run did not come to the step that sets it.
    NotSet,
    /// The task did not come to the place.
    NotReached,
    /// What it waited for did not come, and the other task or the run is over.
    NeverCame,
    /// All others waited, or ran on without coming to anything.
    Stuck,
    /// It would have been the last processor that runs.
    LastOne,
    /// Another one could not be kept, and so all were given up.
    GivenUp,
}

/// A pin, as it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReport {
    /// What became of it.
    pub end: PinEnd,
    /// The processor that was held, if one was,
    pub cpu: Option<u32>,
    /// and when: instructions that all processors together had executed.
    pub instructions: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_nothing_else_is() {
        for told in [
            TaskReport::Is(0),
            TaskReport::Is(u16::MAX),
            TaskReport::Arms(7),
            TaskReport::Ends(3, u32::MAX),
            TaskReport::Over(2),
        ] {
            assert_eq!(TaskReport::of(told.number()), Some(told));
        }
        for number in [0, 5 << 48, 1, u64::MAX, TaskReport::Is(3).number() | 1] {
            assert_eq!(TaskReport::of(number), None, "{number:#x}");
        }
    }

    #[test]
    fn a_place_may_say_who_calls_it() {
        let anybody = Spot { address: 64, from: Vec::new() };
        assert!(anybody.is(64, None) && !anybody.is(65, None));
        let one = Spot { from: vec![Range { begin: 16, end: 32 }], ..anybody };
        assert_eq!(
            [None, Some(15), Some(16), Some(32)].map(|back| one.is(64, back)),
            [false, false, true, false]
        );
    }
}
