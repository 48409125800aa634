//! The whole log at each checkpoint: drives the [`Ledger`] with what the guest did, in the guest's own order.

use imalab_wire::Outcome;

use super::evidence::{Evidence, ListSeen, Moment, RecordId, StepSeen};
use super::ledger::{Ledger, Snapshot, Source, Stretch, Surprise};
use crate::plan::Action;

/// The whole log at one checkpoint.
#[derive(Debug)]
pub(super) struct Whole {
    /// Place of the checkpoint in the evidence.
    pub(super) step: usize,
    /// Its mark.
    pub(super) mark: Option<u64>,
    /// Whether nothing could be measured between the readings and the mark.
    pub(super) quiescent: bool,
    /// Where the records come from, in order.
    pub(super) stretches: Vec<Stretch>,
    /// The records, in order.
    pub(super) records: Vec<RecordId>,
}

/// The whole log at all checkpoints, in the order of time.
#[derive(Debug, Default)]
pub(super) struct Wholes {
    pub(super) all: Vec<Whole>,
    pub(super) surprises: Vec<Surprise>,
}

/// What a step did to the lists, or saw of them.
enum Deed<'e> {
    Stage,
    Delete,
    Trim(u64),
    Read { list: &'e ListSeen, records: &'e [RecordId], keeps: bool, snapshot: bool },
}

impl Wholes {
    pub(super) fn of(evidence: &Evidence<'_>) -> Wholes {
        let mut ledger = Ledger::default();
        let mut snapshots: Vec<(usize, Snapshot)> = Vec::new();
        for (_, step, deed) in deeds(evidence) {
            match deed {
                Deed::Stage => ledger.stage(step),
                Deed::Delete => ledger.delete(step),
                Deed::Trim(count) => ledger.trim(step, count),
                Deed::Read { list, records, keeps, .. } if list.staged => {
                    ledger.read_staged(step, records, keeps);
                }
                Deed::Read { records, keeps, snapshot, .. } => {
                    if keeps {
                        ledger.read_current(records);
                    }
                    if snapshot {
                        snapshots.push((step, ledger.snapshot(step, records)));
                    }
                }
            }
        }
        let all = snapshots.iter().map(|(step, snapshot)| {
            let stretches = ledger.resolve(snapshot);
            Whole {
                step: *step,
                mark: evidence.steps[*step].planned.mark,
                quiescent: evidence.quiescent(*step),
                records: stretches.iter().flat_map(|stretch| stretch.records.iter().copied()).collect(),
                stretches,
            }
        });
        Wholes { all: all.collect(), surprises: ledger.surprises().to_vec() }
    }

    /// The whole log at the end.
    pub(super) fn last(&self) -> Option<&Whole> {
        self.all.last()
    }
}

impl Whole {
    /// Whether every record of it was read by somebody.
    pub(super) fn has_gap(&self) -> bool {
        self.stretches.iter().any(|stretch| matches!(stretch.source, Source::Gap { .. }))
    }

    /// The stretch that holds record `at`, and the record's place in it.
    pub(super) fn place(&self, at: usize) -> Option<(&Stretch, usize)> {
        let mut before = 0;
        self.stretches.iter().find_map(|stretch| {
            let inside = at.checked_sub(before).filter(|inside| *inside < stretch.records.len());
            before += stretch.records.len();
            inside.map(|inside| (stretch, inside))
        })
    }

    /// Records that were taken out and that nobody had saved: the place before which they belong, the step that
    /// took them out, how many.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (usize, usize, Option<u64>)> {
        let mut before = 0;
        self.stretches.iter().filter_map(move |stretch| {
            let here = before;
            before += stretch.records.len();
            match stretch.source {
                Source::Gap { by, records } => Some((here, by, records)),
                _ => None,
            }
        })
    }
}

/// All deeds in the order in which the guest did them. A writer has the lists to itself, or readers share
/// them, so the begin of the system call orders deeds of different tasks.
fn deeds<'e>(evidence: &'e Evidence<'_>) -> Vec<(Moment, usize, Deed<'e>)> {
    let mut deeds = Vec::new();
    for (at, step) in evidence.steps.iter().enumerate() {
        let checkpoint = step.planned.action == Action::Checkpoint;
        let known: Vec<(&ListSeen, &[RecordId])> = evidence
            .lists_of(at)
            .iter()
            .filter(|list| list.broken.is_none())
            .filter_map(|list| Some((list, list.records.as_deref()?)))
            .collect();
        let last = known.iter().rfind(|(list, _)| !list.staged).map(|(list, _)| list.op);
        for (list, records) in known {
            let snapshot = checkpoint && last == Some(list.op);
            deeds.push((list.begin, at, Deed::Read { list, records, keeps: !checkpoint, snapshot }));
        }
        deeds.extend(written(step).map(|(begin, deed)| (begin, at, deed)));
    }
    // Stable: within a step the order of its operations stays.
    deeds.sort_by_key(|(begin, ..)| *begin);
    deeds
}

/// What the step's write did, if it succeeded.
fn written(step: &StepSeen<'_>) -> Option<(Moment, Deed<'static>)> {
    let deed = match step.planned.action {
        Action::Stage => Deed::Stage,
        Action::Delete => Deed::Delete,
        Action::Trim { records } => Deed::Trim(records),
        Action::Measure { .. }
        | Action::Save
        | Action::Checkpoint
        | Action::Quote
        | Action::Barrier
        | Action::SystemCall => return None,
    };
    let ended = step.write()?.ended?;
    matches!(ended.outcome, Outcome::Value(_)).then_some((ended.begin, deed))
}
