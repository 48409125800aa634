//! Programs that steps name.

use super::super::error::{ScenarioError, Source};
use super::super::model::{Program, Task, Verb};
use super::super::programs::start_of;

/// Most starts of programs: each is a process or more of a small guest.
const MAX_STARTS: usize = 256;

pub(super) fn check(source: &Source, tasks: &[Task], programs: &[Program]) -> Result<(), ScenarioError> {
    let known = |name: &str| programs.iter().any(|program| program.name == name);
    let mut starts = 0;
    for (at, task) in tasks.iter().enumerate() {
        for (number, step) in task.steps.iter().enumerate() {
            let (name, begins) = match &step.verb {
                Verb::Start { program, .. } => (program, true),
                Verb::WaitFor { program, .. } => (program, false),
                Verb::Kill { task, .. } if known(task) => (task, false),
                _ => continue,
            };
            if !known(name) {
                let names = programs.iter().map(|program| program.name.as_str());
                return Err(source
                    .error(step.at, format!("there is no program `{name}`"))
                    .one_of(name, names.collect::<Vec<_>>()));
            }
            starts += usize::from(begins);
            if starts > MAX_STARTS {
                return Err(source.error(step.at, format!("more than {MAX_STARTS} starts of programs")));
            }
            if !begins && start_of(tasks, (at, number), name).is_none() {
                return Err(source
                    .error(step.at, format!("which start of program `{name}` is meant is not clear"))
                    .expected("a `start` before it in the same task, or a single one in this boot"));
            }
        }
    }
    Ok(())
}
