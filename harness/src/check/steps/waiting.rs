//! Steps that must have been seen waiting within a system call.

use imalab_wire::{Op, Outcome};

use crate::check::evidence::{Evidence, Moment, OpSeen, StepSeen};

/// Whether another task saw the step wait: its look ended while an operation of the step was under way.
pub(super) fn seen(evidence: &Evidence<'_>, step: &StepSeen<'_>) -> bool {
    let spans: Vec<_> = step.seen.iter().filter_map(OpSeen::span).collect();
    looks(evidence, step).any(|look| spans.iter().any(|(begin, end)| *begin <= look.1 && look.0 <= *end))
}

/// When other tasks looked at the step's task and found it waiting.
fn looks<'e>(
    evidence: &'e Evidence<'_>,
    step: &'e StepSeen<'_>,
) -> impl Iterator<Item = (Moment, Moment)> + 'e {
    let task = step.planned.task;
    let all = evidence.steps.iter().flat_map(|step| step.ops.iter().zip(&step.seen));
    all.filter(move |(op, seen)| {
        matches!(op, Op::AwaitBlocked { task: looked_at } if *looked_at == task)
            && matches!(seen.outcome(), Some(Outcome::Value(_)))
    })
    .filter_map(|(_, seen)| seen.span())
}
