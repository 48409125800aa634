//! Tasks that are held at places of the kernel's code.

use imalab_wire::TaskId;
use serde::{Deserialize, Serialize};

use super::calls::task_id;
use super::unresolved::Unresolved;
use crate::scenario::{self, Place, Task, TaskHold, Verb};

/// A task that is held at a place of the kernel's code, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Line of the scenario.
    pub line: u32,
    /// The task.
    pub task: TaskId,
    /// Where.
    pub at: Place,
    /// Until when.
    pub until: HeldUntil,
}

/// Until when a task is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldUntil {
    /// Until this task comes to a place.
    Comes {
        /// The task.
        task: TaskId,
        /// The place.
        to: Place,
    },
    /// Until this task has ended a step of the scenario.
    Ends {
        /// The task.
        task: TaskId,
        /// Which of its steps, from 1.
        step: u32,
    },
}

impl Hold {
    /// The places that it names.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let to = match &self.until {
            HeldUntil::Comes { to, .. } => Some(to),
            HeldUntil::Ends { .. } => None,
        };
        std::iter::once(&self.at).chain(to)
    }

    /// Whether it names a task.
    pub(super) fn names(&self, task: TaskId) -> bool {
        let (HeldUntil::Comes { task: other, .. } | HeldUntil::Ends { task: other, .. }) = &self.until;
        self.task == task || *other == task
    }
}

/// Holds of all tasks, in the order of the tasks and their steps: a hold's place among them is its number.
pub(super) fn all(tasks: &[Task]) -> Result<Vec<Hold>, (u32, Unresolved)> {
    let mut holds = Vec::new();
    for task in tasks {
        for step in &task.steps {
            let Verb::HoldTask(TaskHold { task: name, at, until }) = &step.verb else { continue };
            let id = |name: &str| task_id(tasks, task.boot, name).map_err(|name| (step.line, name));
            let until = match until {
                scenario::HeldUntil::Comes { task, to } => {
                    HeldUntil::Comes { task: id(task)?, to: to.clone() }
                }
                scenario::HeldUntil::Ends { task, step } => HeldUntil::Ends { task: id(task)?, step: *step },
            };
            holds.push(Hold { line: step.line, task: id(name)?, at: at.clone(), until });
        }
    }
    Ok(holds)
}
