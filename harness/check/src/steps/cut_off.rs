//! Steps of which no result came because the guest went on in another kernel.

use crate::evidence::Evidence;
use imalab_language::plan::Expect;

/// What a kexec did to a step without a result.
pub(super) enum CutOff {
    /// Nothing: its boot is the last.
    No,
    /// It is the one that left.
    Left,
    /// It was under way or still to come, which its scenario allows.
    Allowed,
    /// It should have shown something.
    Owes,
}

/// Whether the step at this place was cut off.
pub(super) fn cut_off(evidence: &Evidence<'_>, at: usize) -> CutOff {
    let Some(step) = evidence.steps.get(at) else { return CutOff::No };
    // Steps of `finally` belong to the last boot.
    let task = evidence.plan.program.tasks.get(usize::from(step.planned.task));
    let Some(boot) = task.map(|task| u32::from(task.boot) + 1) else { return CutOff::No };
    if boot >= evidence.boots {
        return CutOff::No;
    }
    let may_lack = matches!(step.planned.expect, Expect::Ok | Expect::Any | Expect::Blocked);
    match evidence.left_by(boot) {
        Some(left) if left == at && may_lack => CutOff::Left,
        _ if may_lack => CutOff::Allowed,
        _ => CutOff::Owes,
    }
}
