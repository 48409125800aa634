//! Calls that programs were observed to make, as steps of the plan: what the scenario did not know before the run becomes what the
//! agent's own tasks do, and every invariant holds for both.

use std::borrow::Cow;
use std::collections::BTreeMap;

use imalab_wire::{Message, Observed, Op, Start, Step, StepId, TaskId};

use super::ending;
use imalab_formats::ima::dialect::Dialect;
use imalab_formats::ima::model::File;
use imalab_language::plan::{Plan, PlannedStep};
use imalab_language::vocabulary::{self, Action, Expect, Form, Reading};
use imalab_trace::{Trace, What};

/// The plan with what programs were observed to do; the plan itself where there are none.
///
/// What the guest says of a step that the plan has, or in the name of a task that stands for no program, is left out: messages
/// about it are then oddities.
pub fn with_observed<'p>(plan: &'p Plan, trace: &Trace) -> Cow<'p, Plan> {
    let mut calls: Vec<&Observed> = Vec::new();
    let mut places: BTreeMap<StepId, usize> = BTreeMap::new();
    for event in ending::own_words(trace) {
        let What::Guest(Message::Observed(call)) = &event.what else { continue };
        if !is_sound(plan, call) {
            continue;
        }
        match places.get(&call.step).copied() {
            // What it turned out to be.
            Some(place) if calls[place].task == call.task => calls[place] = call,
            Some(_) => {}
            None => {
                places.insert(call.step, calls.len());
                calls.push(call);
            }
        }
    }
    if calls.is_empty() {
        return Cow::Borrowed(plan);
    }
    // In the order of their numbers, which is that in which each task made them.
    calls.sort_by_key(|call| call.step);
    let mut with = plan.clone();
    let dialect = plan.dialect();
    let lines = lines(plan);
    for call in calls {
        let name = match with.program.tasks.get_mut(usize::from(call.task)) {
            Some(task) => {
                task.steps.push(Step { id: call.step, clock: None, ops: vec![call.op.clone()] });
                task.name.clone()
            }
            None => continue,
        };
        with.steps.push(PlannedStep {
            id: call.step,
            task: call.task,
            text: format!("{name}: {}", text(call)),
            line: lines.get(&call.task).copied().unwrap_or(0),
            action: Action::SystemCall,
            expect: Expect::Any,
            reads: reads(&dialect, call),
            mark: None,
        });
    }
    Cow::Owned(with)
}

/// Whether a call can be one of a program.
fn is_sound(plan: &Plan, call: &Observed) -> bool {
    let tasks = &plan.program.tasks;
    let observed =
        |task: TaskId| tasks.get(usize::from(task)).is_some_and(|task| task.start == Start::Observed);
    let known = match &call.op {
        Op::Fork { task } | Op::Thread { task } => observed(*task),
        Op::Open { .. }
        | Op::Close { .. }
        | Op::Read { .. }
        | Op::ReadAt { .. }
        | Op::ReadThrough { .. }
        | Op::Write { .. }
        | Op::WriteAt { .. }
        | Op::WriteBadPointer { .. }
        | Op::Seek { .. }
        | Op::Duplicate { .. }
        | Op::Map { .. }
        | Op::Poll { .. }
        | Op::Truncate { .. }
        | Op::SetUser { .. } => true,
        _ => false,
    };
    known && observed(call.task) && plan.steps.iter().all(|step| step.id != call.step)
}

/// For each task that stands for a process, the line on which its program is started.
fn lines(plan: &Plan) -> BTreeMap<TaskId, u32> {
    let mut lines = BTreeMap::new();
    let mut line = 0;
    for (number, task) in (0..).zip(&plan.program.tasks) {
        match task.start {
            Start::Program => {
                let id = task.steps.first().map(|step| step.id);
                let step = plan.steps.iter().find(|step| Some(step.id) == id);
                line = step.map_or(0, |step| step.line);
            }
            Start::Observed => drop(lines.insert(number, line)),
            Start::Boot | Start::Spawned => {}
        }
    }
    lines
}

/// The call as a reader would name it.
fn text(call: &Observed) -> String {
    let file = call.path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or("a file");
    match &call.op {
        Op::Open { .. } => format!("open {file}"),
        Op::Close { .. } => format!("close {file}"),
        Op::Read { limit: None, .. } | Op::ReadThrough { .. } => format!("read {file}"),
        Op::Read { limit: Some(bytes), .. } => format!("read {bytes} bytes of {file}"),
        Op::ReadAt { offset, bytes, .. } => format!("read {bytes} bytes of {file} at {offset}"),
        Op::Write { bytes, .. } | Op::WriteAt { bytes, .. } => {
            let shown = &bytes[..bytes.len().min(32)];
            format!("write \"{}\" to {file}", shown.escape_ascii())
        }
        Op::WriteBadPointer { .. } => format!("write from nowhere to {file}"),
        Op::Seek { offset, .. } => format!("seek {offset} in {file}"),
        Op::Duplicate { .. } => format!("duplicate {file}"),
        Op::Map { .. } => format!("map {file}"),
        Op::Truncate { length, .. } => format!("truncate {file} to {length}"),
        Op::Fork { .. } => "fork".to_owned(),
        Op::Thread { .. } => "start a thread".to_owned(),
        Op::SetUser { uid } => format!("set-user {uid}"),
        _ => format!("use {file}"),
    }
}

/// What a file that was read whole shows.
fn reads(dialect: &Dialect, call: &Observed) -> Vec<Reading> {
    let Some(path) = call.path.as_deref().filter(|_| call.whole) else { return Vec::new() };
    let of = match dialect.file(path) {
        File::List(list) => vocabulary::Observed::List {
            form: if list.ascii { Form::Ascii } else { Form::Binary },
            bank: list.bank,
            staged: list.list.is_staged(),
        },
        File::Count => vocabulary::Observed::Count,
        File::Violations => vocabulary::Observed::Violations,
        _ => return Vec::new(),
    };
    // A number is read whole by the agent's own operation alone.
    let whole =
        matches!(call.op, Op::Read { limit: None, .. }) || matches!(of, vocabulary::Observed::List { .. });
    if whole { vec![Reading { op: 0, of }] } else { Vec::new() }
}

#[cfg(test)]
mod tests;
