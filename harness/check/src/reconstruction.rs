//! The whole log at each checkpoint: drives the [`Ledger`] with what the guest did, in the guest's own order.

use std::collections::BTreeSet;

use super::changes::{Change, Changes, ListChange};
use super::evidence::{Evidence, IMA_PCR, Moment, RecordId};
use super::extended::{all_extended, before, extends};
use super::history::History;
use super::ledger::{Ledger, Loss, SavedAgain, Snapshot, Source, Stretch, Surprise};
use super::run_length::RunLength;
use super::timeline::{self, ListOperation, What, first_list};

/// The whole log at one checkpoint.
#[derive(Debug)]
pub(super) struct Reconstruction {
    /// Place of the checkpoint in the evidence.
    pub(super) step: usize,
    /// Its mark.
    pub(super) mark: Option<u64>,
    /// Whether nothing could be measured between the readings and the mark.
    pub(super) quiescent: bool,
    /// Where the records come from, in order.
    pub(super) stretches: Vec<Stretch>,
    /// The records, in order.
    pub(super) records: RunLength<RecordId>,
}

/// The whole log at all checkpoints, in the order of time.
#[derive(Debug, Default)]
pub(super) struct Reconstructions {
    pub(super) all: Vec<Reconstruction>,
    pub(super) surprises: Vec<Surprise>,
    /// Places in the log of records whose extend was kept from the TPM, as planned.
    kept: BTreeSet<usize>,
    /// Readings of the current list that are no part of the whole log at the end.
    pub(super) misfits: Vec<Misfit>,
    /// What user space had saved and a kexec carried all the same.
    pub(super) saved_again: Vec<SavedAgain>,
    /// What became of the lists.
    pub(super) changes: Vec<ListChange>,
}

/// A reading of the current list that does not go into the whole log.
#[derive(Debug)]
pub(super) struct Misfit {
    /// The step that read.
    pub(super) step: usize,
    /// First record of the whole log that differs, from 0.
    pub(super) at: usize,
    /// What was read in its place.
    pub(super) read: RecordId,
}

impl Reconstruction {
    /// For each extend up to its mark the record that it is of; `None` where nothing is known of that record.
    pub(super) fn order_of_extends(&self, evidence: &Evidence<'_>) -> RunLength<Option<RecordId>> {
        let violations = self.records.iter().filter(|id| evidence.records.get(*id).violation);
        before(evidence, self.mark_seq(evidence), violations.collect())
    }

    /// The numbers of the events that [`Self::order_of_extends`] tells of.
    pub(super) fn extend_events<'e>(
        &self,
        evidence: &'e Evidence<'_>,
    ) -> impl Iterator<Item = u64> + use<'e> {
        extends(evidence, self.mark_seq(evidence)).map(|extend| extend.seq)
    }

    fn mark_seq(&self, evidence: &Evidence<'_>) -> u64 {
        self.mark.and_then(|mark| evidence.pcrs.get(&mark)).map_or(u64::MAX, |mark| mark.seq)
    }
}

impl Reconstructions {
    pub(super) fn of(evidence: &Evidence<'_>, timeline: &[ListOperation]) -> Reconstructions {
        let mut ledger = Ledger::default();
        // What any reader saw; those of checkpoints make a whole log each.
        let mut snapshots: Vec<(usize, Snapshot, bool)> = Vec::new();
        let mut changes = Changes::default();
        for (number, operation) in timeline.iter().enumerate() {
            let ListOperation { at, end, step, ref what } = *operation;
            let change = |step, what| ListChange { at, end, step, what };
            match *what {
                What::Request(request) => changes.push(change(step, ledger.request(step, request))),
                What::Kexec { ref unanswered } => {
                    let next = first_list(evidence, &timeline[number + 1..]);
                    for (step, request) in unanswered {
                        let settled = next.and_then(|(_, next)| ledger.settle(*step, *request, next));
                        if let Some(what) = settled {
                            changes.push(change(*step, what));
                        }
                    }
                    let loss = loss(evidence, at.boot, changes.clone());
                    ledger.kexec(step, &loss);
                    let (kept, lost) = (loss.kept, loss.records.len());
                    changes.push(change(step, Change::Carried { kept, lost }));
                }
                What::Read { list, keeps, snapshot } => {
                    let Some((list, records)) = timeline::read(evidence, list) else { continue };
                    if list.is_staged() {
                        ledger.read_staged(step, records, keeps);
                        changes.read_staged(step, records.len(), keeps);
                        continue;
                    }
                    if keeps {
                        ledger.read_current(records);
                    }
                    snapshots.push((step, ledger.snapshot(step, records), snapshot));
                }
            }
        }
        let checkpoints = snapshots.iter().filter(|(.., checkpoint)| *checkpoint);
        let all: Vec<Reconstruction> = checkpoints
            .map(|(step, snapshot, _)| {
                let stretches = ledger.resolve(snapshot);
                Reconstruction {
                    step: *step,
                    mark: evidence.steps[*step].planned.mark,
                    quiescent: evidence.quiescent(*step),
                    records: stretches.iter().flat_map(|stretch| stretch.records.iter()).collect(),
                    stretches,
                }
            })
            .collect();
        let last = all.last().filter(|whole| !whole.has_gap());
        let misfits = last.into_iter().flat_map(|whole| {
            let misfit = |(step, snapshot, _): &(usize, Snapshot, bool)| {
                whole.misfit(evidence, &ledger.resolve(snapshot)).map(|(at, read)| Misfit {
                    step: *step,
                    at,
                    read,
                })
            };
            snapshots.iter().filter_map(misfit)
        });
        let misfits = misfits.collect();
        let kept = all.last().map(|whole| kept(evidence, whole)).unwrap_or_default();
        Reconstructions {
            misfits,
            surprises: ledger.surprises().to_vec(),
            kept,
            saved_again: ledger.saved_again().to_vec(),
            changes: changes.done(),
            all,
        }
    }

    /// The records of `whole` that were extended into this PCR.
    pub(super) fn extended(
        &self,
        evidence: &Evidence<'_>,
        whole: &Reconstruction,
        pcr: u32,
    ) -> RunLength<RecordId> {
        let records = whole.records.iter().enumerate().filter(|(at, _)| !self.kept.contains(at));
        records.map(|(_, id)| id).filter(|id| evidence.records.get(*id).pcr == pcr).collect()
    }

    /// The whole log at the end.
    pub(super) fn last(&self) -> Option<&Reconstruction> {
        self.all.last()
    }
}

/// What the kexec that ends a boot, from 1, is known to lose, after these changes. Nothing when what should be carried is not
/// known: then `exactly-once` fails.
fn loss(evidence: &Evidence<'_>, boot: u32, mut changes: Changes) -> Loss {
    let Some(limit) = evidence.limit.filter(|limit| u32::from(limit.lost.kexec) == boot) else {
        return Loss::default();
    };
    let extended = all_extended(evidence);
    let at = Moment { boot, ns: u64::MAX };
    changes.push(ListChange { at, end: at, step: 0, what: Change::Carried { kept: 0, lost: 0 } });
    let history = History::of(evidence, &extended, &changes.done());
    let carried = history.carried.last().map_or(&[][..], Vec::as_slice);
    let lost = limit.lost.records.map_or(carried.len(), |lost| usize::try_from(lost).unwrap_or(usize::MAX));
    let kept = carried.len().saturating_sub(lost);
    let records: Option<RunLength<RecordId>> =
        carried[kept..].iter().map(|at| extended.get(*at).flatten()).collect();
    Loss { kept, records: records.unwrap_or_default() }
}

/// Which of the records the tap kept from the TPM. The guest appends and extends in one order, so the n-th record is the
/// n-th that it tried to extend; where it is not, `exactly-once` fails.
fn kept(evidence: &Evidence<'_>, whole: &Reconstruction) -> BTreeSet<usize> {
    if evidence.tap.kept.is_empty() {
        return BTreeSet::new();
    }
    let mut pcrs: BTreeSet<u32> = whole.records.iter().map(|id| evidence.records.get(id).pcr).collect();
    pcrs.insert(IMA_PCR);
    let attempts = &evidence.tap.attempts;
    let of_pcrs = (0..attempts.len()).filter(|at| attempts.pcr(*at).is_some_and(|pcr| pcrs.contains(&pcr)));
    let kept = of_pcrs.enumerate().filter(|(_, attempt)| evidence.tap.kept.contains(attempt));
    kept.map(|(at, _)| at).collect()
}

impl Reconstruction {
    /// Whether every record of it was read by somebody.
    pub(super) fn has_gap(&self) -> bool {
        self.stretches.iter().any(|stretch| matches!(stretch.source, Source::Gap { .. }))
    }

    /// Where what somebody read is not the start of this log. Nothing is known of a reading with a gap.
    fn misfit(&self, evidence: &Evidence<'_>, stretches: &[Stretch]) -> Option<(usize, RecordId)> {
        if stretches.iter().any(|stretch| matches!(stretch.source, Source::Gap { .. })) {
            return None;
        }
        let read = stretches.iter().flat_map(|stretch| stretch.records.iter());
        let same = |at: usize, id| self.records.get(at).is_some_and(|own| evidence.records.are_same(own, id));
        read.enumerate().find(|(at, id)| !same(*at, *id))
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
