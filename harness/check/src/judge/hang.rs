//! A guest that no longer gets on: by its kernel's word, or by its silence.

use crate::processors;
use imalab_formats::splat::{self, stack};
use imalab_trace::{Event, Host, Trace, What};

use super::{first, host};

/// Tasks that a reason names besides the one that the kernel complains of.
const OTHERS: usize = 3;

/// What the kernel itself told: which task or processor, in which function, and who holds what it waits for.
pub(super) fn told(trace: &Trace) -> Option<String> {
    let text = first(trace, |event| match &event.what {
        What::Host(Host::Hang { text }) => Some(text.clone()),
        _ => None,
    })?;
    let console = console(trace);
    let reason = format!("the kernel hangs: {text}");
    let Some(task) = stack::hung(&text) else {
        let report = splat::find(&console).into_iter().find(|splat| splat.title == text);
        let function = report.and_then(|splat| stack::function(&splat.excerpt));
        return Some(reason + &function.map_or_else(String::new, |function| format!(", in {function}")));
    };
    let blocked = stack::blocked(&console);
    let place = |task: &str| {
        let of = blocked.iter().find(|one| one.task == task).and_then(|one| one.function.as_deref());
        of.map_or_else(String::new, |function| format!(" in {function}"))
    };
    let holder = stack::holder(&console, task);
    let held = holder.map_or_else(String::new, |holder| {
        format!(", for a lock that {holder}{} likely holds", place(holder))
    });
    let others = others(blocked.iter().filter(|one| one.task != task && Some(one.task.as_str()) != holder));
    Some(format!("{reason}; it waits{}{held}{others}", place(task)))
}

/// A run in which nothing happened for too long, with what its processors did and its tasks waited for.
pub(super) fn silent(trace: &Trace) -> Option<String> {
    let reason = first(trace, |event| match &event.what {
        What::Host(Host::Deadline { text }) => Some(text.clone()),
        _ => None,
    })?;
    // What the agent complained of before it fell silent says more than the silence.
    let reason = match first(trace, host::fault) {
        Some(fault) => format!("{fault}; then {reason}"),
        None => reason,
    };
    Some(reason + &idle(trace) + &others(stack::blocked(&console(trace)).iter()))
}

fn others<'a>(blocked: impl Iterator<Item = &'a stack::Blocked>) -> String {
    let one = |one: &stack::Blocked| match &one.function {
        Some(function) => format!("; {} waits in {function}", one.task),
        None => format!("; {} waits", one.task),
    };
    blocked.take(OTHERS).map(one).collect()
}

/// All that the console said, what the kernel answered to the NMI included.
fn console(trace: &Trace) -> Vec<String> {
    let line = |event: &Event| match &event.what {
        What::Console(line) => Some(line.clone()),
        _ => None,
    };
    trace.notable().filter_map(line).collect()
}

/// How many processors of a machine in which nothing happened any more waited for an interrupt, as a reason goes on.
fn idle(trace: &Trace) -> String {
    let told = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::Processors { text, .. }) => Some(processors::count(text)),
        _ => None,
    });
    match told {
        Some((idle, all @ 1..)) => format!(", {idle} of {all} processors idle"),
        Some((_, 0)) | None => String::new(),
    }
}

/// A guest in which nothing happened any more since its emulated interrupt controller waits for the end of an interrupt that no
/// processor is in: it was lost on the way, and the kernel cannot be blamed for what came after.
pub(super) fn unended(event: &Event) -> Option<String> {
    let What::Host(Host::Processors { text, emulated: true }) = &event.what else { return None };
    let (processor, vector) = processors::unended(text)?;
    Some(format!(
        "QEMU lost the end of an interrupt: processor {processor} is halted with vector {vector} in service, so none of its \
         priority or below gets through any more"
    ))
}
