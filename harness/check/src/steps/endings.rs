//! Tasks that end before their last step because the scenario says so, and steps whose clock had run out.

use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::{Op, Outcome, Start, StepId, TaskId};

use crate::evidence::{Evidence, StepSeen};

/// What ends a process by a signal: its status is this and the signal (`Message::TaskEnded`).
const SIGNALLED: i32 = 128;

/// Which steps owe no result, and with which status tasks end.
pub(super) struct Endings {
    /// Tasks whose process was ended, or that never began since what should start them failed.
    over: BTreeSet<TaskId>,
    /// Statuses besides 0.
    statuses: BTreeMap<TaskId, Status>,
    /// Steps that go by a clock.
    clocked: BTreeSet<StepId>,
    /// Tasks that stand for processes of programs.
    observed: BTreeSet<TaskId>,
}

/// How a task ends.
#[derive(Clone, Copy)]
enum Status {
    /// It says so itself.
    Exits(i32),
    /// Another one ends it; it may have ended before.
    Killed(i32),
}

impl Endings {
    pub(super) fn of(evidence: &Evidence<'_>) -> Endings {
        let tasks = &evidence.plan.program.tasks;
        let processes = processes(evidence);
        let process = |task: TaskId| processes.get(&task).copied().unwrap_or(task);
        let members = |task: TaskId| -> Vec<TaskId> {
            let all = (0..=TaskId::MAX).zip(tasks).map(|(other, _)| other);
            all.filter(|other| process(*other) == process(task)).collect()
        };
        let (mut over, mut statuses) = (BTreeSet::new(), BTreeMap::new());
        let mut started: BTreeMap<TaskId, bool> = BTreeMap::new();
        for step in &evidence.steps {
            for (op, seen) in step.ops.iter().zip(&step.seen) {
                let succeeded = matches!(seen.outcome(), Some(Outcome::Value(_)));
                match *op {
                    Op::Kill { task, signal } if succeeded => {
                        let status = Status::Killed(SIGNALLED.saturating_add(signal));
                        over.extend(members(task));
                        statuses.extend(members(task).into_iter().map(|member| (member, status)));
                    }
                    Op::Exit { status } if seen.started.is_some() => {
                        over.extend(members(step.planned.task));
                        let exits = |member| (member, Status::Exits(status));
                        statuses.extend(members(step.planned.task).into_iter().map(exits));
                    }
                    Op::Fork { task } | Op::Thread { task } | Op::Start { task } => {
                        *started.entry(task).or_default() |=
                            !matches!(seen.outcome(), Some(Outcome::Errno(_)));
                    }
                    _ => {}
                }
            }
        }
        // What stands for a process of a program ends as that does.
        let observed = (0..).zip(tasks).filter(|(_, task)| task.start == Start::Observed);
        let observed: BTreeSet<TaskId> = observed.map(|(task, _)| task).collect();
        over.extend(&observed);
        over.extend(started.into_iter().filter(|(_, started)| !started).map(|(task, _)| task));
        let steps = tasks.iter().flat_map(|task| &task.steps);
        let clocked = steps.filter(|step| step.clock.is_some()).map(|step| step.id).collect();
        Endings { over, statuses, clocked, observed }
    }

    /// The status with which a task should have ended, when this is not it.
    pub(super) fn expected(&self, task: TaskId, found: i32) -> Option<i32> {
        match self.statuses.get(&task) {
            None if self.observed.contains(&task) => None,
            None => Some(0),
            Some(Status::Exits(status)) => Some(*status),
            Some(Status::Killed(status)) if found != 0 => Some(*status),
            Some(Status::Killed(_)) => None,
        }
        .filter(|expected| *expected != found)
    }

    /// Whether a step owes no result, or none but that it was not attempted.
    pub(super) fn excuse(&self, step: &StepSeen<'_>) -> bool {
        let task = step.planned.task;
        let missing = step.seen.iter().any(|seen| seen.ended.is_none());
        if missing {
            return self.over.contains(&task);
        }
        let idle = step.seen.iter().all(|seen| seen.outcome() == Some(Outcome::NotAttempted));
        idle && self.clocked.contains(&step.planned.id)
    }
}

/// The first task of the process of each thread.
fn processes(evidence: &Evidence<'_>) -> BTreeMap<TaskId, TaskId> {
    let mut processes = BTreeMap::new();
    for step in &evidence.steps {
        for op in step.ops {
            if let Op::Thread { task } = op {
                // A thread's number is above that of the one that starts it: this one's process is known.
                let process = processes.get(&step.planned.task).copied().unwrap_or(step.planned.task);
                processes.insert(*task, process);
            }
        }
    }
    processes
}
