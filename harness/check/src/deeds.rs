//! What was done to the lists and seen of them, in the order in which the guest did it, over all its boots.

use imalab_wire::{Op, Outcome};

use super::evidence::{Evidence, ListSeen, Moment, RecordId, StepSeen};
use super::ledger::Doubt;
use super::runs::Runs;
use imalab_language::plan::Action;

/// What a step did to the lists, or saw of them.
#[derive(Debug)]
pub(super) enum Deed<'e> {
    /// Moved the current list to the staged list.
    Stage,
    /// Removed the staged list.
    Delete,
    /// Removed so many records from the current list.
    Trim(u64),
    /// Read a list. User space `keeps` what it read itself; a checkpoint's last reading makes a `snapshot`.
    Read { list: &'e ListSeen, records: &'e Runs<RecordId>, keeps: bool, snapshot: bool },
    /// Left for another kernel.
    Kexec {
        /// Deletes and trims that were under way and of which no result came.
        doubts: Vec<Doubt>,
    },
}

/// A deed with its place.
#[derive(Debug)]
pub(super) struct Done<'e> {
    /// Right before its system call; the end of the boot for a kexec.
    pub(super) at: Moment,
    /// The step that did it.
    pub(super) step: usize,
    pub(super) deed: Deed<'e>,
}

/// All deeds in the order in which the guest did them. A writer has the lists to itself, or readers share
/// them, so the begin of the system call orders deeds of different tasks.
pub(super) fn deeds<'e>(evidence: &'e Evidence<'_>) -> Vec<Done<'e>> {
    let mut deeds = Vec::new();
    for (at, step) in evidence.steps.iter().enumerate() {
        let checkpoint = step.planned.action == Action::Checkpoint;
        let known: Vec<(&ListSeen, &Runs<RecordId>)> = evidence
            .lists_of(at)
            .iter()
            .filter(|list| list.broken.is_none())
            .filter_map(|list| Some((list, list.records.as_ref()?)))
            .collect();
        let last = known.iter().rfind(|(list, _)| !list.staged).map(|(list, _)| list.op);
        for (list, records) in known {
            let snapshot = checkpoint && last == Some(list.op);
            let deed = Deed::Read { list, records, keeps: !checkpoint, snapshot };
            deeds.push(Done { at: list.begin, step: at, deed });
        }
        deeds.extend(written(step).map(|(begin, deed)| Done { at: begin, step: at, deed }));
    }
    deeds.extend((1..evidence.boots).map(|boot| kexec(evidence, boot)));
    // Stable: within a step the order of its operations stays.
    deeds.sort_by_key(|done| done.at);
    deeds
}

/// The end of a boot, from 1, after which there was another.
fn kexec<'e>(evidence: &Evidence<'_>, boot: u32) -> Done<'e> {
    let doubts = evidence.steps.iter().enumerate().filter_map(|(at, step)| {
        let write = step.write()?;
        let unknown = write.ended.is_none() && write.started.is_some_and(|started| started.boot == boot);
        match step.planned.action {
            Action::Delete if unknown => Some(Doubt::Delete(at)),
            Action::Trim { records } if unknown => Some(Doubt::Trim(at, records)),
            Action::TrimFound if unknown => Some(Doubt::Trim(at, found(step)?)),
            _ => None,
        }
    });
    Done {
        at: Moment { boot, ns: u64::MAX },
        step: evidence.left_by(boot).unwrap_or(evidence.steps.len()),
        deed: Deed::Kexec { doubts: doubts.collect() },
    }
}

/// The list that a kernel began with, as far as anybody read it before it was changed. `after` is what was done in it.
pub(super) fn next_list<'e>(after: &[Done<'e>]) -> Option<&'e Runs<RecordId>> {
    let mut moved = false;
    for done in after {
        match &done.deed {
            Deed::Stage if !moved => moved = true,
            Deed::Read { list, records, .. } if list.staged == moved => return Some(records),
            Deed::Read { .. } => {}
            Deed::Stage | Deed::Delete | Deed::Trim(_) | Deed::Kexec { .. } => return None,
        }
    }
    None
}

/// What the step's write did, if it succeeded.
fn written(step: &StepSeen<'_>) -> Option<(Moment, Deed<'static>)> {
    let deed = match step.planned.action {
        Action::Stage => Deed::Stage,
        Action::Delete => Deed::Delete,
        Action::Trim { records } => Deed::Trim(records),
        Action::TrimFound => Deed::Trim(found(step).filter(|found| *found > 0)?),
        Action::Measure { .. }
        | Action::Save
        | Action::Checkpoint
        | Action::Quote
        | Action::Barrier
        | Action::Violate { .. }
        | Action::KexecLoad
        | Action::KexecExecute
        | Action::SystemCall => return None,
    };
    let ended = step.write()?.ended?;
    matches!(ended.outcome, Outcome::Value(_)).then_some((ended.begin, deed))
}

/// The number of records that the step found to be in the PCR.
fn found(step: &StepSeen<'_>) -> Option<u64> {
    let at = step.ops.iter().position(|op| matches!(op, Op::FindQuoted { .. }))?;
    match step.seen.get(at)?.outcome()? {
        Outcome::Value(found) => u64::try_from(found).ok(),
        _ => None,
    }
}
