//! The one whole log, put together from what was saved, staged and current.
//!
//! Order is that of `Documentation/security/IMA-export-delete.rst`: staging moves the whole current list to the
//! staged list; a trim takes records off the head of the current list, which are *younger* than those that are
//! staged meanwhile. So the whole log is what was taken out, then the staged list, then what was trimmed while
//! it was staged, then the current list.

use std::rc::Rc;

use super::evidence::RecordId;

/// Which staging, counted from 0.
pub(super) type Generation = usize;

/// A stretch of the whole log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Whence it is known.
    pub(super) source: Source,
    /// Records, in order; none for a gap.
    pub(super) records: Rc<[RecordId]>,
}

/// Whence a stretch of the whole log is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Read off the staged list by the step at this place, and deleted since.
    Saved(usize),
    /// Staged when the whole log was looked at.
    Staged(usize),
    /// Read off the current list and trimmed by the step at this place.
    Trimmed(usize),
    /// Current when the whole log was looked at.
    Current(usize),
    /// Deleted or trimmed by the step at this place, and never read: nobody but the tap knows these records.
    Gap {
        /// The step that took them out.
        by: usize,
        /// How many, once known.
        records: Option<u64>,
    },
}

/// A step of the kernel that the records of user space cannot explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Surprise {
    /// Staging succeeded while records were staged.
    StagedOver {
        /// The step that staged.
        step: usize,
    },
    /// A delete succeeded with nothing staged.
    DeletedNothing {
        /// The step that deleted.
        step: usize,
    },
    /// The staged list shows records while nothing is staged.
    StagedFromNowhere {
        /// The step that read.
        step: usize,
        /// How many it read.
        records: usize,
    },
    /// Two readings of one staged list differ.
    StagedChanged {
        /// The step that read first.
        first: usize,
        /// The step that read something else.
        then: usize,
        /// First record that differs, from 0.
        at: usize,
    },
}

#[derive(Clone, Debug)]
enum Chunk {
    /// Taken out by the step at this place.
    Deleted(Generation, usize),
    Staged(Generation),
    Known(Stretch),
}

#[derive(Clone, Debug)]
struct Staging {
    by: usize,
    /// First reading of it by anybody, with the step.
    read: Option<(usize, Rc<[RecordId]>)>,
    /// The step by which user space read it, which makes it saved.
    saved: Option<usize>,
}

/// What is where; driven by what steps did, in the order in which the guest did it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Taken out, oldest first.
    out: Vec<Chunk>,
    staged: Option<Generation>,
    stagings: Vec<Staging>,
    /// Trimmed since the staging that is in force.
    trimmed_meanwhile: Vec<Chunk>,
    /// What user space last read off the current list, while its head has not moved.
    head: Option<Vec<RecordId>>,
    surprises: Vec<Surprise>,
}

/// The whole log as it was at some moment; resolved once all is known.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    chunks: Vec<Chunk>,
}

impl Ledger {
    /// The current list was moved to the staged list.
    pub(super) fn stage(&mut self, step: usize) {
        if self.staged.is_some() {
            self.surprises.push(Surprise::StagedOver { step });
            self.take_out(step);
        }
        self.staged = Some(self.stagings.len());
        self.stagings.push(Staging { by: step, read: None, saved: None });
        self.head = None;
    }

    /// The staged list was read; `keeps` when it was user space that did, and not a checkpoint of ours.
    pub(super) fn read_staged(&mut self, step: usize, records: &[RecordId], keeps: bool) {
        let Some(staging) = self.staged.map(|generation| &mut self.stagings[generation]) else {
            if !records.is_empty() {
                self.surprises.push(Surprise::StagedFromNowhere { step, records: records.len() });
            }
            return;
        };
        if keeps {
            staging.saved.get_or_insert(step);
        }
        match &staging.read {
            None => staging.read = Some((step, records.into())),
            Some((first, before)) => {
                if **before != *records {
                    let same = before.iter().zip(records).take_while(|(a, b)| a == b).count();
                    self.surprises.push(Surprise::StagedChanged { first: *first, then: step, at: same });
                }
            }
        }
    }

    /// User space read the current list.
    pub(super) fn read_current(&mut self, records: &[RecordId]) {
        self.head = Some(records.to_vec());
    }

    /// The staged list was deleted.
    pub(super) fn delete(&mut self, step: usize) {
        if !self.take_out(step) {
            self.surprises.push(Surprise::DeletedNothing { step });
        }
    }

    fn take_out(&mut self, by: usize) -> bool {
        let Some(generation) = self.staged.take() else { return false };
        self.out.push(Chunk::Deleted(generation, by));
        self.out.append(&mut self.trimmed_meanwhile);
        true
    }

    /// The first `count` records of the current list were removed.
    pub(super) fn trim(&mut self, step: usize, count: u64) {
        let mut read = self.head.take().unwrap_or_default();
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let missing = wanted.saturating_sub(read.len());
        let left = read.split_off(read.len().min(wanted));
        let to = if self.staged.is_some() { &mut self.trimmed_meanwhile } else { &mut self.out };
        to.push(Chunk::Known(Stretch { source: Source::Trimmed(step), records: read.into() }));
        if missing > 0 {
            to.push(Chunk::Known(Stretch::gap(step, Some(missing as u64))));
        } else {
            // What follows the trimmed records is now the head, as far as it was read.
            self.head = Some(left);
        }
    }

    /// The whole log as it is now, with the current list as a checkpoint read it.
    pub(super) fn snapshot(&self, step: usize, current: &[RecordId]) -> Snapshot {
        let mut chunks = self.out.clone();
        chunks.extend(self.staged.map(Chunk::Staged));
        chunks.extend(self.trimmed_meanwhile.iter().cloned());
        let source = Source::Current(step);
        chunks.push(Chunk::Known(Stretch { source, records: current.into() }));
        Snapshot { chunks }
    }

    /// What the records of user space cannot explain.
    pub(super) fn surprises(&self) -> &[Surprise] {
        &self.surprises
    }

    /// The stretches of a snapshot in order. To be asked when everything has happened: a list that was staged at
    /// the time may have been read only later.
    pub(super) fn resolve(&self, snapshot: &Snapshot) -> Vec<Stretch> {
        let stretch = |chunk: &Chunk| match *chunk {
            Chunk::Known(ref stretch) => stretch.clone(),
            Chunk::Staged(generation) => match &self.stagings[generation] {
                Staging { read: Some((by, records)), .. } => {
                    Stretch { source: Source::Staged(*by), records: records.clone() }
                }
                staging => Stretch::gap(staging.by, None),
            },
            Chunk::Deleted(generation, deleter) => match &self.stagings[generation] {
                Staging { read: Some((_, records)), saved: Some(by), .. } => {
                    Stretch { source: Source::Saved(*by), records: records.clone() }
                }
                Staging { read, .. } => {
                    Stretch::gap(deleter, read.as_ref().map(|(_, records)| records.len() as u64))
                }
            },
        };
        snapshot.chunks.iter().map(stretch).filter(|stretch| !stretch.is_empty()).collect()
    }
}

impl Stretch {
    fn gap(by: usize, records: Option<u64>) -> Stretch {
        Stretch { source: Source::Gap { by, records }, records: Rc::default() }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && !matches!(self.source, Source::Gap { records: None | Some(1..), .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Records from `from` up to and without `to`.
    fn ids(from: u32, to: u32) -> Vec<RecordId> {
        (from..to).map(RecordId).collect()
    }

    fn whole(ledger: &Ledger, current: &[RecordId]) -> Vec<u32> {
        let snapshot = ledger.snapshot(99, current);
        let stretches = ledger.resolve(&snapshot);
        stretches.iter().flat_map(|stretch| stretch.records.iter().map(|id| id.0)).collect()
    }

    fn gaps(ledger: &Ledger) -> Vec<Source> {
        let stretches = ledger.resolve(&ledger.snapshot(99, &[]));
        stretches
            .iter()
            .map(|stretch| stretch.source)
            .filter(|source| matches!(source, Source::Gap { .. }))
            .collect()
    }

    #[test]
    fn saved_and_deleted_records_come_before_current_ones() {
        let mut ledger = Ledger::default();
        ledger.stage(1);
        ledger.read_staged(2, &ids(0, 5), true);
        ledger.delete(3);
        assert_eq!(whole(&ledger, &ids(5, 8)), (0..8).collect::<Vec<_>>());
        assert_eq!(gaps(&ledger), []);
    }

    #[test]
    fn staged_records_come_before_those_trimmed_meanwhile() {
        let mut ledger = Ledger::default();
        ledger.stage(1);
        ledger.read_current(&ids(5, 9));
        ledger.trim(2, 3);
        ledger.read_staged(3, &ids(0, 5), true);
        assert_eq!(whole(&ledger, &ids(8, 10)), (0..10).collect::<Vec<_>>());
        ledger.delete(4);
        assert_eq!(whole(&ledger, &ids(8, 10)), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_second_trim_goes_on_in_what_was_read_for_the_first() {
        let mut ledger = Ledger::default();
        ledger.read_current(&ids(0, 6));
        ledger.trim(1, 2);
        ledger.trim(2, 3);
        assert_eq!(whole(&ledger, &ids(5, 7)), (0..7).collect::<Vec<_>>());
        assert_eq!(gaps(&ledger), []);
    }

    #[test]
    fn a_staged_list_may_be_read_after_the_snapshot() {
        let mut ledger = Ledger::default();
        ledger.stage(1);
        let early = ledger.snapshot(2, &ids(4, 6));
        ledger.read_staged(3, &ids(0, 4), true);
        ledger.delete(4);
        let sources: Vec<Source> = ledger.resolve(&early).iter().map(|stretch| stretch.source).collect();
        assert_eq!(sources, [Source::Staged(3), Source::Current(2)]);
    }

    #[rstest]
    #[case::never_read(&|ledger: &mut Ledger| {
        ledger.stage(1);
        ledger.delete(2);
    }, Source::Gap { by: 2, records: None })]
    #[case::read_by_a_checkpoint_alone(&|ledger: &mut Ledger| {
        ledger.stage(1);
        ledger.read_staged(5, &ids(0, 4), false);
        ledger.delete(2);
    }, Source::Gap { by: 2, records: Some(4) })]
    #[case::trimmed_unread(&|ledger: &mut Ledger| ledger.trim(3, 7), Source::Gap { by: 3, records: Some(7) })]
    #[case::trimmed_more_than_was_read(&|ledger: &mut Ledger| {
        ledger.read_current(&ids(0, 4));
        ledger.trim(3, 7);
    }, Source::Gap { by: 3, records: Some(3) })]
    #[case::read_before_it_moved(&|ledger: &mut Ledger| {
        ledger.read_current(&ids(0, 4));
        ledger.stage(1);
        ledger.trim(3, 2);
    }, Source::Gap { by: 3, records: Some(2) })]
    fn what_nobody_saved_is_a_gap(#[case] story: &dyn Fn(&mut Ledger), #[case] gap: Source) {
        let mut ledger = Ledger::default();
        story(&mut ledger);
        assert!(gaps(&ledger).contains(&gap), "{:?}", gaps(&ledger));
    }

    #[rstest]
    #[case(&|ledger: &mut Ledger| {
        ledger.stage(1);
        ledger.stage(2);
    }, Surprise::StagedOver { step: 2 })]
    #[case(&|ledger: &mut Ledger| ledger.delete(1), Surprise::DeletedNothing { step: 1 })]
    #[case(
        &|ledger: &mut Ledger| ledger.read_staged(1, &ids(0, 3), true),
        Surprise::StagedFromNowhere { step: 1, records: 3 }
    )]
    #[case(&|ledger: &mut Ledger| {
        ledger.stage(1);
        ledger.read_staged(2, &ids(0, 3), false);
        ledger.read_staged(3, &ids(0, 2), true);
    }, Surprise::StagedChanged { first: 2, then: 3, at: 2 })]
    fn what_the_interface_rules_out_is_a_surprise(
        #[case] story: &dyn Fn(&mut Ledger),
        #[case] surprise: Surprise,
    ) {
        let mut ledger = Ledger::default();
        story(&mut ledger);
        assert_eq!(ledger.surprises(), [surprise]);
    }
}
