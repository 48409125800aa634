//! Descriptors are named before they are used, and each name stands for one at a time.

use std::collections::BTreeSet;

use super::super::error::{Place, ScenarioError, Source};
use super::super::model::{Call, Expectation, File, Start, Step, Task, Transfer, Verb, process_of};
use super::super::open_files::origin;
use imalab_formats::ima::dialect::OwnFile;

/// Names of open descriptors.
type Names<'t> = BTreeSet<&'t str>;

pub(super) fn check(source: &Source, tasks: &[Task]) -> Result<(), ScenarioError> {
    // What was open before each step: what a child inherits.
    let mut before: Vec<Vec<Names<'_>>> = Vec::new();
    for (at, task) in tasks.iter().enumerate() {
        let mut open = match task.start {
            Start::Boot => Names::new(),
            Start::Forked(spawn) | Start::Threaded(spawn) => {
                before.get(spawn.by).and_then(|steps| steps.get(spawn.step)).cloned().unwrap_or_default()
            }
        };
        let shared = shared(tasks, at);
        if let Some(shared) = &shared {
            open.extend(shared);
        }
        let mut seen = Vec::with_capacity(task.steps.len());
        for (number, step) in task.steps.iter().enumerate() {
            seen.push(open.clone());
            records(source, tasks, at, number, step)?;
            if let Verb::Stress { choose, .. } = &step.verb {
                choose.iter().try_for_each(|steps| chosen(source, steps, &open))?;
            }
            take(source, step, &mut open, shared.is_some())?;
        }
        before.push(seen);
    }
    Ok(())
}

/// What the threads of a process open between them: which of them comes first is not known before the run. `None`
/// for a process of a single thread.
fn shared(tasks: &[Task], task: usize) -> Option<Names<'_>> {
    let process = process_of(tasks, task);
    let threads: Vec<_> = (0..tasks.len()).filter(|other| process_of(tasks, *other) == process).collect();
    if threads.len() == 1 {
        return None;
    }
    let steps = threads.into_iter().flat_map(|thread| &tasks[thread].steps);
    Some(steps.filter_map(made).collect())
}

/// The descriptor that a step makes.
fn made(step: &Step) -> Option<&str> {
    match &step.verb {
        Verb::Call(call) => call.makes(),
        _ => None,
    }
}

/// One step's use of names.
fn take<'t>(
    source: &Source,
    step: &'t Step,
    open: &mut Names<'t>,
    shared: bool,
) -> Result<(), ScenarioError> {
    let Verb::Call(call) = &step.verb else { return Ok(()) };
    if let Some(slot) = call.uses()
        && !open.contains(slot)
    {
        return Err(unopened(source, step.at, slot, open));
    }
    // Where the open must fail, there is nothing to close or to use afterwards.
    if let Some(slot) = call.makes()
        && step.expect.may_succeed()
        && !open.insert(slot)
        && !shared
    {
        return Err(source
            .error(step.at, format!("descriptor `{slot}` is open already"))
            .expected("another name, or a `close` before"));
    }
    if let Call::Close { slot } = call
        && !shared
    {
        open.remove(slot.as_str());
    }
    Ok(())
}

/// Steps that are left to chance close what they open, and nothing else.
fn chosen(source: &Source, steps: &[Step], before: &Names<'_>) -> Result<(), ScenarioError> {
    let mut open = before.clone();
    for step in steps {
        take(source, step, &mut open, false)?;
    }
    let (Some(step), false) = (steps.last(), open == *before) else { return Ok(()) };
    let odd: Vec<_> = open.symmetric_difference(before).map(|name| format!("`{name}`")).collect();
    Err(source
        .error(step.at, format!("after these steps {} is not as before", odd.join(", ")))
        .expected("steps that are left to chance close what they open, and nothing else"))
}

/// How many records a reading shows is known only of a list that is read whole, and a value only a counter has.
fn records(
    source: &Source,
    tasks: &[Task],
    task: usize,
    number: usize,
    step: &Step,
) -> Result<(), ScenarioError> {
    if let (Expectation::Value(_), Verb::View { file }) = (step.expect, &step.verb) {
        return match file {
            File::Count | File::Violations | File::Own(_) => Ok(()),
            File::List { .. } | File::Path(_) => Err(source
                .error(step.at, "only a counter has a value")
                .expected("`count`, `violations` or a file of the interface's own as the file")),
        };
    }
    if !matches!(step.expect, Expectation::Records(_)) {
        return Ok(());
    }
    match &step.verb {
        Verb::View { file } if !is_list(file) => {
            Err(source.error(step.at, "only a measurement list has records"))
        }
        Verb::Call(Call::Read { slot, what }) => {
            let opened = origin(tasks, task, number, slot);
            let list = opened.and_then(|origin| origin.file(tasks));
            let before = tasks[task].steps[..number].iter().enumerate().any(|(at, step)| match &step.verb {
                // A call that fails moves nothing.
                Verb::Call(call) if call.moves_offset() && step.expect.may_succeed() => {
                    call.uses().is_some_and(|slot| origin(tasks, task, at, slot) == opened)
                }
                _ => false,
            });
            let whole = matches!(what, Transfer::Stream { limit: None, .. });
            if list.is_some_and(is_list) && whole && !before {
                return Ok(());
            }
            Err(source
                .error(step.at, "how many records this reads is not known")
                .expected("the first read of a measurement list's descriptor, without `limit`"))
        }
        _ => Ok(()),
    }
}

/// Whether a file shows records: a list, or a part of one.
fn is_list(file: &File) -> bool {
    match file {
        File::List { .. } => true,
        File::Own(name) => OwnFile::named(name).is_some_and(|own| own.divides),
        _ => false,
    }
}

fn unopened(source: &Source, at: Place, slot: &str, open: &Names<'_>) -> ScenarioError {
    let error = source.error(at, format!("descriptor `{slot}` is not open here"));
    if open.is_empty() {
        return error.expected("an `open` with this name before");
    }
    error.one_of(slot, open.iter().copied())
}
