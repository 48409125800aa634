//! What only a task that is alone can know.

use std::collections::BTreeSet;

use super::super::error::{ScenarioError, Source};
use super::super::model::{Expectation, Records, Start, Task, Verb, task_named};

pub(super) fn check(source: &Source, tasks: &[Task]) -> Result<(), ScenarioError> {
    let single = tasks.iter().zip(0..).all(|(task, boot)| task.boot == boot);
    for (at, task) in tasks.iter().enumerate() {
        let mut others = Others::of(tasks, at);
        for step in &task.steps {
            others.step(tasks, at, &step.verb);
            let (what, alone) = match (&step.verb, step.expect) {
                (Verb::Trim { records: Records::All }, _) => ("`records: all`", single),
                (_, Expectation::NewRecords(_)) => ("`new-records`", others.none()),
                (Verb::Checkpoint, _) => ("`checkpoint`", others.none()),
                (Verb::Stress { choose, .. }, _) => {
                    let all = choose.iter().flatten().find(|step| {
                        matches!(step.verb, Verb::Trim { records: Records::All })
                            || matches!(step.expect, Expectation::NewRecords(_))
                    });
                    match all {
                        Some(step) => {
                            return Err(source
                                .error(step.at, "how many records there are here is left to chance")
                                .expected("a number of records for `trim`, and no `new-records`"));
                        }
                        None => continue,
                    }
                }
                _ => continue,
            };
            if !alone {
                let needs = match step.verb {
                    Verb::Trim { .. } => "a scenario with a single task",
                    _ => "that no other task runs",
                };
                return Err(source
                    .error(step.at, format!("{what} needs {needs}"))
                    .expected("with other tasks running, the list can change at any moment"));
            }
        }
    }
    Ok(())
}

/// The other tasks of a boot that may be running.
struct Others(BTreeSet<usize>);

impl Others {
    /// When the task begins.
    fn of(tasks: &[Task], at: usize) -> Others {
        let same = |other: &usize| *other != at && tasks[*other].boot == tasks[at].boot;
        let descends = |other: usize| {
            let mut from = other;
            while let Some(spawn) = tasks[from].start.spawn() {
                from = spawn.by;
                if from == at {
                    return true;
                }
            }
            false
        };
        Others((0..tasks.len()).filter(same).filter(|other| !descends(*other)).collect())
    }

    fn step(&mut self, tasks: &[Task], at: usize, verb: &Verb) {
        let boot = tasks[at].boot;
        match verb {
            Verb::Spawn { task, .. } => {
                let mut new: Vec<_> = task_named(tasks, boot, task).into_iter().collect();
                while let Some(task) = new.pop() {
                    self.0.insert(task);
                    let by = |start: Start| start.spawn().is_some_and(|spawn| spawn.by == task);
                    new.extend((0..tasks.len()).filter(|other| by(tasks[*other].start)));
                }
            }
            // What it has started may still run.
            Verb::Kill { task, .. } => {
                if let Some(killed) = task_named(tasks, boot, task) {
                    self.0.remove(&killed);
                }
            }
            _ => {}
        }
    }

    fn none(&self) -> bool {
        self.0.is_empty()
    }
}
