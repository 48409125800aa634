//! Steps that must have been seen waiting within a system call.
//!
//! A look counts for the operation that the agent's first process found the task in, at a moment within it, and for no other
//! (`images/agent/src/supervise/asleep.rs`). A short sleep, for memory or for a grace period, is no wait for somebody else:
//! where the plan holds the TPM, whoever waits for that can end only after it was let go of.

#[cfg(test)]
mod tests;

use crate::evidence::{Asleep, Evidence, Hold, OpSeen, StepSeen};
use imalab_language::finding::Steps;
use imalab_language::plan::MarkAction;

/// Why the step is not proved to have waited, if it is not.
pub(super) fn unproved(evidence: &Evidence<'_>, at: usize, step: &StepSeen<'_>) -> Option<Steps> {
    let mut why = Steps::NotBlocked { step: evidence.step(at) };
    for seen in &step.seen {
        for look in seen.asleep.iter().filter(|look| is_within(seen, look)) {
            why = refuted(evidence, at, seen, look)?;
        }
    }
    Some(why)
}

/// Whether the look's moment lies within the operation.
fn is_within(seen: &OpSeen<'_>, look: &Asleep) -> bool {
    seen.span().is_some_and(|(begin, end)| begin < look.at && look.at < end)
}

/// Why an operation that was found asleep did not wait for what the plan holds.
fn refuted(evidence: &Evidence<'_>, at: usize, seen: &OpSeen<'_>, look: &Asleep) -> Option<Steps> {
    if !evidence.plan.marks.iter().any(|mark| mark.does == MarkAction::Hold) {
        return None;
    }
    let mut in_force = evidence.holds.iter().filter(|hold| hold.is_in_force(look.seq)).peekable();
    if in_force.peek().is_none() {
        return Some(Steps::BlockedWithoutHold { step: evidence.step(at) });
    }
    (!in_force.any(|hold| outlasts(seen, hold)))
        .then(|| Steps::EndedBeforeRelease { step: evidence.step(at) })
}

/// Whether the operation ended after the hold was let go of, or never.
fn outlasts(seen: &OpSeen<'_>, hold: &Hold) -> bool {
    seen.ended.is_none_or(|ended| hold.released.is_some_and(|released| released <= ended.end))
}
