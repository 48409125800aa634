//! What tasks tell of themselves, where some are held at places of the kernel's code.

use imalab_schedule::TaskReport;
use imalab_wire::{Op, TaskId};

use super::PlanError;
use super::built::Built;
use super::compile::Compiler;
use super::holds::{HeldUntil, Hold};
use crate::scenario::{Expectation, Step, TaskHold, Verb};
use crate::vocabulary::{Action, Expect};

impl Compiler<'_> {
    /// Sets the next hold.
    pub(super) fn hold_task(&mut self, step: &Step, hold: &TaskHold) {
        let pin = self.pins_set;
        self.pins_set = self.pins_set.saturating_add(1);
        self.tell(step.line, format!("hold {} at {}", hold.task, hold.at), TaskReport::Arms(pin));
    }

    /// A task that a hold names says who it is, before all else.
    pub(super) fn says_who(&mut self) {
        if let Some(task) = self.named_by_a_hold() {
            self.tell(0, "tells who it is".to_owned(), TaskReport::Is(task));
        }
    }

    /// After a step that a hold waits for it says so.
    pub(super) fn says_ended(&mut self, place: usize) {
        let Some(task) = self.named_by_a_hold() else { return };
        let Ok(number) = u32::try_from(place + 1) else { return };
        let awaited = HeldUntil::Ends { task, step: number };
        if self.task_holds.iter().any(|hold| hold.until == awaited) {
            self.tell(0, format!("tells that its step {number} has ended"), TaskReport::Ends(task, number));
        }
    }

    /// At its end it says so, unless its process ends before.
    pub(super) fn says_over(&mut self, last: Option<&Step>) {
        let ends = last.is_some_and(|step| match step.verb {
            Verb::Exit { .. } => true,
            Verb::KexecExecute { .. } => !matches!(step.expect, Expectation::Errno(_)),
            _ => false,
        });
        if let (Some(task), false) = (self.named_by_a_hold(), ends) {
            self.tell(0, "tells that it has ended".to_owned(), TaskReport::Over(task));
        }
    }

    fn named_by_a_hold(&self) -> Option<TaskId> {
        let task = TaskId::try_from(self.task).ok()?;
        self.task_holds.iter().any(|hold| hold.names(task)).then_some(task)
    }

    fn tell(&mut self, line: u32, text: String, told: TaskReport) {
        let call = Built::call(text, Op::Tell { number: told.number() }, Expect::Ok);
        self.add(line, Built { action: Action::Barrier, ..call });
    }
}

/// A place of the kernel's code that a scenario names is not there.
pub fn no_such_place(scenario: &str, hold: &Hold, why: String) -> PlanError {
    PlanError::NoSuchPlace { scenario: scenario.to_owned(), line: hold.line, why }
}
