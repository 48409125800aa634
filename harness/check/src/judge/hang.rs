//! A guest that no longer gets on: by its kernel's word, or by its silence.

use imalab_formats::splat::hang::{self, Does};
use imalab_formats::splat::{self, stack};
use imalab_language::finding::{Holder, Run, Waiter};
use imalab_language::plan::Plan;
use imalab_trace::{Event, Host, Trace, What};
use imalab_wire::Message;

use super::{first, host};

/// Tasks that a reason names besides the one that the kernel complains of.
const OTHERS: usize = 3;

/// What the kernel itself told: which task or processor, in which function, and who holds what it waits for.
pub(super) fn told(plan: &Plan, trace: &Trace) -> Option<Run> {
    let line = first(trace, |event| match &event.what {
        What::Host(Host::Hang { text }) => Some(text.clone()),
        _ => None,
    })?;
    let console = console(trace);
    let Some(hung) = hang::hung(&console, &line) else {
        let report = splat::find(&console).into_iter().find(|splat| splat.title == line);
        let at = report.and_then(|splat| stack::function(&splat.excerpt));
        let (function, called_from) =
            at.map_or((None, None), |at: stack::Function| (Some(at.name), at.called_from));
        return Some(Run::Hangs {
            line,
            task: None,
            scenario_task: None,
            function,
            called_from,
            lock: None,
            holder: None,
            waiters: Vec::new(),
        });
    };
    let names = Names { plan, trace };
    let holder = match &hung.holder {
        hang::Holder::Task { task, .. } => Some(task.as_str()),
        hang::Holder::Untold | hang::Holder::NotFound | hang::Holder::Itself => None,
    };
    let blocked = hang::blocked(&console);
    let others = blocked.iter().filter(|one| one.task != hung.task && Some(one.task.as_str()) != holder);
    Some(Run::Hangs {
        line,
        scenario_task: names.scenarios(&hung.task),
        called_from: None,
        lock: hung.lock.map(str::to_owned),
        holder: names.holder(&hung.holder),
        waiters: names.waiters(others),
        task: Some(hung.task),
        function: hung.function,
    })
}

/// What a scenario calls the tasks of a guest.
struct Names<'a> {
    plan: &'a Plan,
    trace: &'a Trace,
}

impl Names<'_> {
    /// The scenario's name of a task that a kernel writes as `agent:72`, where it is a process: its threads have numbers that the
    /// agent does not tell.
    fn scenarios(&self, task: &str) -> Option<String> {
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
        self.plan.program.tasks.get(usize::from(found?)).map(|task| task.name.clone())
    }

    /// Who holds what a hung task waits for, if the kernel tells.
    fn holder(&self, holder: &hang::Holder) -> Option<Holder> {
        let nobody = |who: &str| Holder {
            who: who.to_owned(),
            task: None,
            scenario_task: None,
            does: "unknown".to_owned(),
            function: None,
        };
        match holder {
            hang::Holder::Untold => None,
            hang::Holder::NotFound => Some(nobody("not-found")),
            hang::Holder::Itself => Some(nobody("itself")),
            hang::Holder::Task { task, does } => {
                let (does, function) = match does {
                    Does::Waits(function) => ("waits", function.clone()),
                    Does::Runs(function) => ("runs", Some(function.clone())),
                    Does::IsNotBlocked => ("is-not-blocked", None),
                    Does::Unknown => ("unknown", None),
                };
                let (scenario_task, does) = (self.scenarios(task), does.to_owned());
                Some(Holder { task: Some(task.clone()), scenario_task, does, function, ..nobody("task") })
            }
        }
    }

    /// Other tasks that wait.
    fn waiters<'a>(&self, blocked: impl Iterator<Item = &'a hang::Shown>) -> Vec<Waiter> {
        let one = |one: &hang::Shown| Waiter {
            task: one.task.clone(),
            scenario_task: self.scenarios(&one.task),
            function: one.function.clone(),
        };
        blocked.take(OTHERS).map(one).collect()
    }
}

/// A run in which nothing happened for too long, with what its processors did and its tasks waited for.
pub(super) fn silent(plan: &Plan, trace: &Trace) -> Option<Run> {
    let deadline = first(trace, |event| match &event.what {
        What::Host(Host::Deadline { text }) => Some(text.clone()),
        _ => None,
    })?;
    let (idle, processors) = processors(trace).unzip();
    Some(Run::NoProgress {
        deadline,
        // What the agent complained of before it fell silent says more than the silence.
        agent_error: first(trace, host::fault),
        idle,
        processors,
        waiters: Names { plan, trace }.waiters(hang::blocked(&console(trace)).iter()),
    })
}

/// All that the console said, what the kernel answered to the NMI included.
fn console(trace: &Trace) -> Vec<String> {
    let line = |event: &Event| match &event.what {
        What::Console(line) => Some(line.clone()),
        _ => None,
    };
    trace.notable().filter_map(line).collect()
}

/// How many processors of a machine in which nothing happened any more waited for an interrupt, and how many it has.
fn processors(trace: &Trace) -> Option<(u64, u64)> {
    let (idle, all) = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::Processors { text, .. }) => Some(crate::processors::count(text)),
        _ => None,
    })?;
    (all > 0).then_some((idle as u64, all as u64))
}

/// A guest in which nothing happened any more since its emulated interrupt controller waits for the end of an interrupt that no
/// processor is in: it was lost on the way, and the kernel cannot be blamed for what came after.
pub(super) fn unended(event: &Event) -> Option<Run> {
    let What::Host(Host::Processors { text, emulated: true }) = &event.what else { return None };
    let (processor, vector) = crate::processors::unended(text)?;
    Some(Run::InterruptLost { processor: processor as u64, vector })
}
