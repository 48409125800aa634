//! Tasks that steps name, what ends a task, and waiting that somebody has to see.

use super::super::error::{ScenarioError, Source};
use super::super::model::{Call, Expectation, Program, Step, Task, Verb, process_of, task_named};

pub(super) fn check(source: &Source, tasks: &[Task], programs: &[Program]) -> Result<(), ScenarioError> {
    for (at, task) in tasks.iter().enumerate() {
        for (number, step) in task.steps.iter().enumerate() {
            let ends_program = |name: &str| programs.iter().any(|program| program.name == name);
            if !matches!(&step.verb, Verb::Kill { task, .. } if ends_program(task)) {
                named(source, tasks, at, step)?;
            }
            if matches!(step.verb, Verb::Exit { .. })
                && let Some(next) = task.steps.get(number + 1)
            {
                return Err(source
                    .error(next.at, format!("task `{}` has ended before this step", task.name))
                    .expected("`exit` as the last step of its task"));
            }
            if let Verb::Call(Call::Take { from, .. }) = &step.verb {
                seen_waiting(source, task, number, from)?;
            }
            if step.expect == Expectation::Blocked {
                watched(source, tasks, at, step)?;
            }
        }
        if !ended_by_others(tasks, at) {
            received(source, tasks, at)?;
        }
    }
    Ok(())
}

/// Whether another task kills this one, or goes on to the next boot without it: then it may wait for ever.
fn ended_by_others(tasks: &[Task], at: usize) -> bool {
    let me = process_of(tasks, at);
    tasks.iter().enumerate().filter(|(_, other)| other.boot == tasks[at].boot).any(|(by, other)| {
        other.steps.iter().any(|step| match &step.verb {
            Verb::Kill { task, .. } => {
                task_named(tasks, other.boot, task).is_some_and(|killed| process_of(tasks, killed) == me)
            }
            Verb::KexecExecute { .. } => by != at && step.expect.may_succeed(),
            _ => false,
        })
    })
}

/// The task that a step means is another one, in the same boot.
fn named(source: &Source, tasks: &[Task], at: usize, step: &Step) -> Result<(), ScenarioError> {
    let boot = tasks[at].boot;
    let (name, process_too) = match &step.verb {
        Verb::Kill { task, .. } => (task, true),
        Verb::AwaitBlocked { task } => (task, false),
        Verb::Call(Call::Send { to, .. }) => (to, false),
        Verb::Call(Call::Take { from, .. }) => (from, false),
        _ => return Ok(()),
    };
    let others = || -> Vec<&str> {
        let others = tasks.iter().enumerate().filter(|(other, task)| task.boot == boot && *other != at);
        others.map(|(_, task)| task.name.as_str()).collect()
    };
    let Some(found) = task_named(tasks, boot, name) else {
        return Err(source.error(step.at, format!("this boot has no task `{name}`")).one_of(name, others()));
    };
    if found == at {
        return Err(source
            .error(step.at, format!("task `{name}` is this one itself"))
            .one_of(name, others()));
    }
    if process_too && process_of(tasks, found) == process_of(tasks, at) {
        return Err(source
            .error(step.at, format!("task `{name}` is a thread of the same process"))
            .expected("`exit` ends a process from within"));
    }
    Ok(())
}

/// What another task is reading or writing is known only while it is seen to wait.
fn seen_waiting(source: &Source, me: &Task, number: usize, other: &str) -> Result<(), ScenarioError> {
    let seen = |step: &Step| matches!(&step.verb, Verb::AwaitBlocked { task } if task == other);
    if me.steps[..number].iter().any(seen) {
        return Ok(());
    }
    Err(source
        .error(me.steps[number].at, format!("task `{other}` was not seen to wait before this step"))
        .expected(format!("`await-blocked: {other}` before it in this task")))
}

/// That a step waits has to be seen by another task.
fn watched(source: &Source, tasks: &[Task], at: usize, step: &Step) -> Result<(), ScenarioError> {
    let me = &tasks[at];
    let sees = |other: &Task| {
        let mut steps = other.steps.iter();
        steps.any(|step| matches!(&step.verb, Verb::AwaitBlocked { task } if *task == me.name))
    };
    if tasks.iter().any(|other| other.boot == me.boot && sees(other)) {
        return Ok(());
    }
    Err(source
        .error(step.at, format!("no task checks that task `{}` waits", me.name))
        .expected(format!("`await-blocked: {}` in another task", me.name)))
}

/// A task that receives more descriptors than are sent to it never ends by itself.
fn received(source: &Source, tasks: &[Task], at: usize) -> Result<(), ScenarioError> {
    let me = &tasks[at];
    let receives = me.steps.iter().filter(|step| matches!(step.verb, Verb::Call(Call::Receive { .. })));
    let sends = |step: &&Step| matches!(&step.verb, Verb::Call(Call::Send { to, .. }) if *to == me.name);
    let sent =
        tasks.iter().filter(|task| task.boot == me.boot).flat_map(|task| &task.steps).filter(sends).count();
    match receives.into_iter().nth(sent) {
        None => Ok(()),
        Some(step) => Err(source
            .error(step.at, format!("task `{}` waits for a descriptor that no task sends", me.name))
            .expected(format!("a `send-descriptor` to `{}` for each of these", me.name))),
    }
}
