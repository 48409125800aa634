//! A guest that no longer gets on: by its kernel's word, or by its silence.

use crate::processors;
use imalab_formats::splat::hang::{self, Does, Holder, Hung};
use imalab_formats::splat::{self, stack};
use imalab_language::plan::Plan;
use imalab_trace::{Event, Host, Trace, What};
use imalab_wire::Message;

use super::{first, host};

/// Tasks that a reason names besides the one that the kernel complains of.
const OTHERS: usize = 3;

/// What the kernel itself told: which task or processor, in which function, and who holds what it waits for.
pub(super) fn told(plan: &Plan, trace: &Trace) -> Option<String> {
    let text = first(trace, |event| match &event.what {
        What::Host(Host::Hang { text }) => Some(text.clone()),
        _ => None,
    })?;
    let console = console(trace);
    let reason = format!("the kernel hangs: {text}");
    let Some(hung) = hang::hung(&console, &text) else {
        let report = splat::find(&console).into_iter().find(|splat| splat.title == text);
        let function = report.and_then(|splat| stack::function(&splat.excerpt));
        return Some(reason + &function.map_or_else(String::new, |function| format!(", in {function}")));
    };
    let names = Names { plan, trace };
    let holder = match &hung.holder {
        Holder::Task { task, .. } => Some(task.as_str()),
        Holder::Untold | Holder::NotFound | Holder::Itself => None,
    };
    let blocked = hang::blocked(&console);
    let others = blocked.iter().filter(|one| one.task != hung.task && Some(one.task.as_str()) != holder);
    Some(format!("{reason}; {}{}", waits(&hung, &names), names.others(others)))
}

/// What a hung task waits for, and what whoever holds that does.
fn waits(hung: &Hung, names: &Names<'_>) -> String {
    let task = names.scenarios(&hung.task).map(|name| format!(" (task {name})")).unwrap_or_default();
    let at = hung.function.as_deref().map(|function| format!(" in {function}")).unwrap_or_default();
    let lock = hung.lock.map(|lock| format!(" for a {lock}")).unwrap_or_default();
    let holder = match &hung.holder {
        Holder::Untold => String::new(),
        Holder::NotFound => ", whose holder is not found".to_owned(),
        Holder::Itself => ", which it likely holds itself".to_owned(),
        Holder::Task { task, does } => {
            let does = match does {
                Does::Waits(Some(function)) => format!(", which waits in {function}"),
                Does::Waits(None) => ", which waits too".to_owned(),
                Does::Runs(function) => format!(", which runs in {function}"),
                Does::IsNotBlocked => ", which is not blocked".to_owned(),
                Does::Unknown => String::new(),
            };
            format!("; likely holder: {}{does}", names.told(task))
        }
    };
    format!("it{task} waits{at}{lock}{holder}")
}

/// What a scenario calls the tasks of a guest.
struct Names<'a> {
    plan: &'a Plan,
    trace: &'a Trace,
}

impl Names<'_> {
    /// The scenario's name of a task that a kernel writes as `agent:72`, where it is a process: its threads have numbers that the
    /// agent does not tell.
    fn scenarios(&self, task: &str) -> Option<&str> {
        let number: i32 = task.rsplit_once(':')?.1.parse().ok()?;
        let mut found = None;
        for event in self.trace.notable() {
            match &event.what {
                // Another kernel numbers its processes afresh.
                What::Guest(Message::Hello { .. }) => found = None,
                // Who comes later with the same number is a thread of it.
                What::Guest(Message::TaskStarted { task, pid }) if *pid == number => {
                    found = found.or(Some(*task));
                }
                _ => {}
            }
        }
        self.plan.program.tasks.get(usize::from(found?)).map(|task| task.name.as_str())
    }

    /// It by both names.
    fn told(&self, task: &str) -> String {
        match self.scenarios(task) {
            Some(name) => format!("{task} (task {name})"),
            None => task.to_owned(),
        }
    }

    /// Other tasks that wait, as a reason goes on.
    fn others<'a>(&self, blocked: impl Iterator<Item = &'a hang::Shown>) -> String {
        let one = |one: &hang::Shown| match &one.function {
            Some(function) => format!("; {} waits in {function}", self.told(&one.task)),
            None => format!("; {} waits", self.told(&one.task)),
        };
        blocked.take(OTHERS).map(one).collect()
    }
}

/// A run in which nothing happened for too long, with what its processors did and its tasks waited for.
pub(super) fn silent(plan: &Plan, trace: &Trace) -> Option<String> {
    let reason = first(trace, |event| match &event.what {
        What::Host(Host::Deadline { text }) => Some(text.clone()),
        _ => None,
    })?;
    // What the agent complained of before it fell silent says more than the silence.
    let reason = match first(trace, host::fault) {
        Some(fault) => format!("{fault}; then {reason}"),
        None => reason,
    };
    let others = Names { plan, trace }.others(hang::blocked(&console(trace)).iter());
    Some(reason + &idle(trace) + &others)
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
