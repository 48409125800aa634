//! What is removed must have been read before, or nobody can prove afterwards what it was.

use super::super::error::{ScenarioError, Source};
use super::super::model::{Attestation, Call, File, Start, Step, Task, Transfer, Verb};
use super::super::open_files::origin;
use crate::interface::adapter;
use crate::vocabulary::Action;
use imalab_formats::Interface;
use imalab_formats::ima::dialect::OwnFile;

/// What a task can vouch for.
#[derive(Clone, Copy, Default)]
struct Held {
    /// The staged list was read whole since it was staged.
    saved: bool,
    /// The current list was read whole, by whichever descriptor, and nothing of it was staged since.
    seen: bool,
}

/// `spoken` are the interfaces in whose words requests are spelled out.
pub(super) fn check(source: &Source, tasks: &[Task], spoken: &[Interface]) -> Result<(), ScenarioError> {
    // Before each step of each task: what one that it starts goes on with.
    let mut before: Vec<Vec<Held>> = Vec::new();
    for (at, task) in tasks.iter().enumerate() {
        let mut held = match task.start {
            // A boot begins with nothing staged: what was staged before is carried over into the list.
            Start::Boot => Held::default(),
            Start::Forked(spawn) | Start::Threaded(spawn) => {
                before.get(spawn.by).and_then(|steps| steps.get(spawn.step)).copied().unwrap_or_default()
            }
        };
        // How the tasks take turns is not known here; the run's checks prove the rest.
        let elsewhere = tasks
            .iter()
            .enumerate()
            .any(|(other, task)| other != at && task.boot == tasks[at].boot && saves(tasks, other));
        let mut seen = Vec::with_capacity(task.steps.len());
        for (number, step) in task.steps.iter().enumerate() {
            seen.push(held);
            if let Verb::Stress { choose, .. } = &step.verb {
                for steps in choose {
                    let mut held = Held::default();
                    for (within, step) in steps.iter().enumerate() {
                        let file = |slot: &str| opened(steps, within, slot);
                        held = take(source, step, held, false, &file, spoken)?;
                    }
                }
                held = Held::default();
                continue;
            }
            let file = |slot: &str| origin(tasks, at, number, slot).and_then(|origin| origin.file(tasks));
            held = take(source, step, held, elsewhere, &file, spoken)?;
        }
        before.push(seen);
    }
    Ok(())
}

/// The file behind a descriptor, within steps that are kept together.
fn opened<'t>(steps: &'t [Step], before: usize, name: &str) -> Option<&'t File> {
    steps[..before].iter().rev().find_map(|step| match &step.verb {
        Verb::Call(Call::Open { slot, file, .. }) if slot == name => Some(file),
        _ => None,
    })
}

/// Whether a task has a step that saves.
fn saves(tasks: &[Task], task: usize) -> bool {
    tasks[task].steps.iter().enumerate().any(|(number, step)| match &step.verb {
        Verb::Save | Verb::View { file: File::List { staged: true, .. } } => step.expect.may_succeed(),
        Verb::Call(Call::Read { slot, what: Transfer::Stream { limit: None, .. } }) => {
            let file = origin(tasks, task, number, slot).and_then(|origin| origin.file(tasks));
            step.expect.may_succeed() && matches!(file, Some(File::List { staged: true, .. }))
        }
        _ => false,
    })
}

/// What a task can vouch for after a step.
fn take<'t>(
    source: &Source,
    step: &Step,
    held: Held,
    elsewhere: bool,
    file: &dyn Fn(&str) -> Option<&'t File>,
    spoken: &[Interface],
) -> Result<Held, ScenarioError> {
    if !step.expect.may_succeed() {
        return Ok(held);
    }
    let staged = |slot: &str| match file(slot) {
        Some(File::List { staged, .. }) => Some(*staged),
        Some(File::Own(name)) => OwnFile::named(name).filter(|own| own.divides).map(|_| false),
        _ => None,
    };
    let read = |staged: Option<bool>| Held {
        saved: held.saved || staged == Some(true),
        seen: held.seen || staged == Some(false),
    };
    let removes = match &step.verb {
        // A staged list that was read stays what it is until its delete; the next one is another.
        Verb::Stage | Verb::Attest(Attestation::Stage) => return Ok(Held::default()),
        Verb::Save => return Ok(read(Some(true))),
        Verb::View { file: File::List { staged, .. } } => return Ok(read(Some(*staged))),
        Verb::Snapshot { .. } => return Ok(read(Some(false))),
        Verb::Delete => true,
        Verb::Call(Call::Read { slot, what: Transfer::Stream { limit: None, .. } }) => {
            return Ok(read(staged(slot)));
        }
        Verb::Call(call) => match (call.hands_over(), call.uses().and_then(file)) {
            (Some(request), Some(file)) => {
                let meaning = |one: &Interface| adapter(*one).meaning(file.in_model()?, request);
                let means = |wanted: fn(Action) -> bool| spoken.iter().filter_map(meaning).any(wanted);
                if means(|action| matches!(action, Action::Trim { .. } | Action::TrimTo)) && !held.seen {
                    return Err(unread(source, step));
                }
                if means(|action| action == Action::Stage) {
                    return Ok(Held::default());
                }
                means(|action| action == Action::Delete)
            }
            _ => false,
        },
        _ => false,
    };
    match removes {
        true if !held.saved && !elsewhere => Err(unsaved(source, step)),
        true => Ok(Held { saved: false, ..held }),
        false => Ok(held),
    }
}

fn unread(source: &Source, step: &Step) -> ScenarioError {
    source
        .error(step.at, "a written number may trim records that nobody has read")
        .expected("`trim`, which reads the list first, a `read` of the whole list, or an errno in `expect:`")
}

fn unsaved(source: &Source, step: &Step) -> ScenarioError {
    let what = if step.verb == Verb::Delete { "`delete`" } else { "this write" };
    source
        .error(step.at, format!("{what} removes records that nobody saved"))
        .expected("a `save` between `stage` and `delete`, or an errno in `expect:`")
}
