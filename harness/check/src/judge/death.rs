//! Whether the kernel is dead, and of what.

use imalab_wire::{Message, Op, StepId};

use super::first;
use crate::complaints::complaints;
use crate::ending::{self, GUEST_PANIC, GUEST_RESET};
use imalab_formats::splat::{Kind, Splat, stack};
use imalab_language::finding::{Finding, KernelDied};
use imalab_language::plan::Plan;
use imalab_trace::{Event, Trace, What};

/// How the kernel is said to have died, if it is.
pub(super) fn of(plan: &Plan, trace: &Trace) -> Option<Finding> {
    let console: Vec<&str> = ending::own_words(trace)
        .filter_map(|event| match &event.what {
            What::Console(line) => Some(line.as_str()),
            _ => None,
        })
        .collect();
    if let Some(splat) = complaints(plan, &console).into_iter().find(is_death) {
        return Some(by_report(splat).into());
    }
    let panicked = |event: &Event| match &event.what {
        What::Qmp(value) if value["event"] == "GUEST_PANICKED" => Some(KernelDied::ToldOfAPanic {}),
        _ => None,
    };
    let death = first(trace, panicked).or_else(|| match ending::shutdown(trace) {
        Some((_, GUEST_PANIC)) => Some(KernelDied::Panicked {}),
        // Its last words were no complaint.
        Some((_, GUEST_RESET)) if plan.panics() > 0 && is_between_kernels(plan, trace) => {
            Some(KernelDied::NoKernelAfterPanic {})
        }
        Some((_, GUEST_RESET)) => Some(KernelDied::Reset {}),
        _ => None,
    });
    death.map(Finding::from)
}

/// With the function in which it died, and all of its report's call trace.
fn by_report(splat: Splat) -> KernelDied {
    let functions = stack::functions(&splat.excerpt);
    let (function, called_from) = match stack::function(&splat.excerpt) {
        Some(at) => (Some(at.name), at.called_from),
        None => (None, None),
    };
    let line = splat.title;
    match splat.kind {
        Kind::Panic => KernelDied::Panic { line, function, called_from, functions },
        Kind::Bug => KernelDied::Bug { line, function, called_from, functions },
        _ => KernelDied::Oops { line, function, called_from, functions },
    }
}

fn is_death(splat: &Splat) -> bool {
    match splat.kind {
        Kind::Panic | Kind::Oops => true,
        // BUG() is an invalid instruction, hence an oops; other complaints of that name are not.
        Kind::Bug => splat.title.starts_with("kernel BUG at"),
        _ => false,
    }
}

/// Whether the guest was last heard of when it was about to go on in another kernel.
pub(super) fn is_between_kernels(plan: &Plan, trace: &Trace) -> bool {
    let is_kexec = |id: StepId, op: u16| {
        let tasks = plan.program.tasks.iter().map(|task| &task.steps);
        let mut steps = tasks.chain([&plan.program.finally]).flatten();
        let ops = steps.find(|step| step.id == id).map_or(&[][..], |step| &step.ops);
        ops.get(usize::from(op)).is_some_and(Op::leaves)
    };
    let mut left = None;
    for event in trace.notable() {
        match &event.what {
            What::Guest(Message::OpStarted { step, op, .. }) if is_kexec(*step, *op) => {
                left = Some((*step, *op))
            }
            What::Guest(Message::OpDone { step, op, .. }) if left == Some((*step, *op)) => left = None,
            What::Guest(Message::Hello { .. }) => left = None,
            _ => {}
        }
    }
    left.is_some()
}
