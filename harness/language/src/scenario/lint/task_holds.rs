//! Holds of tasks name tasks of their boot, and steps that those have.

use super::super::error::{ScenarioError, Source};
use super::super::model::{HeldUntil, Task, Verb, task_named};
use crate::vocabulary::Shape;

/// Most that a boot may have: each is looked at whenever a place of any is come to.
const MOST: usize = 64;

pub(super) fn check(source: &Source, machine: &Shape, tasks: &[Task]) -> Result<(), ScenarioError> {
    let mut holds = 0;
    for task in tasks {
        for step in &task.steps {
            let Verb::HoldTask(hold) = &step.verb else { continue };
            holds += 1;
            if holds > MOST {
                return Err(source.error(step.at, format!("more than {MOST} holds of tasks")));
            }
            if machine.cpus < 2 {
                return Err(source
                    .error(step.at, "a task that is held keeps its processor, and there is no other one")
                    .expected("two processors or more: `machine: {cpus: 2}`"));
            }
            for name in [hold.task.as_str(), hold.until.task()] {
                if task_named(tasks, task.boot, name).is_none() {
                    let names = tasks.iter().filter(|other| other.boot == task.boot);
                    return Err(source
                        .error(step.at, format!("this boot has no task `{name}`"))
                        .one_of(name, names.map(|task| task.name.as_str()).collect::<Vec<_>>()));
                }
            }
            if hold.task == hold.until.task() {
                return Err(source
                    .error(step.at, format!("task `{}` waits here for itself", hold.task))
                    .expected("another task in `until`"));
            }
            if let HeldUntil::Ends { task: name, step: which } = &hold.until
                && let Some(other) = task_named(tasks, task.boot, name).map(|at| &tasks[at])
                && *which as usize > other.steps.len()
            {
                return Err(source
                    .error(step.at, format!("task `{name}` has no step {which}"))
                    .expected(format!("a step from 1 to {}", other.steps.len())));
            }
        }
    }
    Ok(())
}
