//! Which `open` a descriptor comes from, across `dup`, `fork`, threads and `SCM_RIGHTS`.

use super::model::{Call, File, Start, Task, Verb, process_of, task_named};

/// Longest way from a descriptor to its `open`: beyond it, nothing is said of where it comes from.
const MAX_HOPS: usize = 64;

/// The step that opened a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// Index of the task.
    pub(crate) task: usize,
    /// Index of the step in it.
    pub(crate) step: usize,
}

impl Origin {
    /// The file that was opened.
    pub(crate) fn file(self, tasks: &[Task]) -> Option<&File> {
        match &tasks.get(self.task)?.steps.get(self.step)?.verb {
            Verb::Call(Call::Open { file, .. }) => Some(file),
            _ => None,
        }
    }
}

/// Where the descriptor that a task knows by this name before a step comes from, when the scenario alone tells.
pub(crate) fn origin(tasks: &[Task], task: usize, step: usize, name: &str) -> Option<Origin> {
    follow(tasks, task, step, name, MAX_HOPS)
}

fn follow(tasks: &[Task], task: usize, before: usize, name: &str, hops: usize) -> Option<Origin> {
    let hops = hops.checked_sub(1)?;
    if let Some(made) = made(&tasks[task], before, name) {
        return of_step(tasks, task, made, hops);
    }
    match tasks[task].start {
        Start::Boot => among_threads(tasks, task, name, hops),
        Start::Forked(spawn) => follow(tasks, spawn.by, spawn.step, name, hops),
        Start::Threaded(spawn) => {
            follow(tasks, spawn.by, spawn.step, name, hops).or_else(|| among_threads(tasks, task, name, hops))
        }
    }
}

/// The last step before this one that makes a descriptor of this name.
fn made(task: &Task, before: usize, name: &str) -> Option<usize> {
    task.steps[..before.min(task.steps.len())].iter().rposition(|step| {
        matches!(&step.verb, Verb::Call(call) if call.makes() == Some(name)) && step.expect.may_succeed()
    })
}

/// Where the descriptor comes from that a step makes.
fn of_step(tasks: &[Task], task: usize, step: usize, hops: usize) -> Option<Origin> {
    match &tasks[task].steps[step].verb {
        Verb::Call(Call::Open { .. }) => Some(Origin { task, step }),
        Verb::Call(Call::Duplicate { slot, .. }) => follow(tasks, task, step, slot, hops),
        Verb::Call(Call::Receive { .. }) => {
            let (sender, sent, name) = sent(tasks, task, step)?;
            follow(tasks, sender, sent, name, hops)
        }
        Verb::Call(Call::Take { from, .. }) => {
            let (owner, used, name) = used(tasks, task, from)?;
            follow(tasks, owner, used, name, hops)
        }
        _ => None,
    }
}

/// Where a task reads or writes: known where it does so by one descriptor alone.
fn used<'t>(tasks: &'t [Task], taker: usize, from: &str) -> Option<(usize, usize, &'t str)> {
    let owner = task_named(tasks, tasks[taker].boot, from)?;
    let mut transfers = tasks[owner].steps.iter().enumerate().filter_map(|(number, step)| match &step.verb {
        Verb::Call(Call::Read { slot, .. } | Call::Write { slot, .. }) => {
            Some((owner, number, slot.as_str()))
        }
        _ => None,
    });
    let first = transfers.next()?;
    transfers.all(|other| other.2 == first.2).then_some(first)
}

/// Another thread of the process made it, when there is one step alone that does.
fn among_threads(tasks: &[Task], task: usize, name: &str, hops: usize) -> Option<Origin> {
    let process = process_of(tasks, task);
    let mut makers =
        (0..tasks.len()).filter(|other| process_of(tasks, *other) == process).flat_map(|other| {
            let steps = tasks[other].steps.iter().enumerate();
            let makes = steps
                .filter(|(_, step)| matches!(&step.verb, Verb::Call(call) if call.makes() == Some(name)));
            makes.map(move |(step, _)| (other, step))
        });
    match (makers.next(), makers.next()) {
        (Some((other, step)), None) if other != task => of_step(tasks, other, step, hops),
        _ => None,
    }
}

/// The step that sends what a step receives: known where one task alone sends to the receiver.
fn sent(tasks: &[Task], task: usize, step: usize) -> Option<(usize, usize, &str)> {
    let receives = |verb: &Verb| matches!(verb, Verb::Call(Call::Receive { .. }));
    let before = tasks[task].steps[..step].iter().filter(|step| receives(&step.verb)).count();
    let boot = tasks[task].boot;
    let mut sent = Vec::new();
    for (sender, other) in tasks.iter().enumerate().filter(|(_, other)| other.boot == boot) {
        for (number, step) in other.steps.iter().enumerate() {
            if let Verb::Call(Call::Send { slot, to }) = &step.verb
                && task_named(tasks, boot, to) == Some(task)
            {
                sent.push((sender, number, slot.as_str()));
            }
        }
    }
    let alone = sent.first().is_some_and(|first| sent.iter().all(|other| other.0 == first.0));
    if alone { sent.get(before).copied() } else { None }
}
