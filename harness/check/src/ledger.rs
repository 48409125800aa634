//! The one whole log, put together from what was saved, staged and current, over any number of kernels.
//!
//! Order is that of `Documentation/security/IMA-export-delete.rst`: staging moves the whole current list to the
//! staged list; a trim takes records off the head of the current list, which are *younger* than those that are
//! staged meanwhile. So the whole log is what was taken out, then the staged list, then what was trimmed while
//! it was staged, then the current list. A kexec puts the staged list before the current one, and the new kernel has
//! both as its current list: what was trimmed meanwhile then belongs *between* two records of that list.

mod weave;

use super::evidence::RecordId;
use super::runs::Runs;
use weave::{Inset, weave};

/// Number of records that stands for all of them where the kernel takes it for that: `LONG_MAX`. No list is so long.
pub(super) const ALL: u64 = i64::MAX as u64;

/// Which staging, counted from 0.
pub(super) type Generation = usize;

/// A stretch of the whole log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Whence it is known.
    pub(super) source: Source,
    /// Records, in order; none for a gap.
    pub(super) records: Runs<RecordId>,
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
    /// Current when the step at this place went on in another kernel, which is known to lose just these.
    Lost(usize),
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
    /// A kexec carried a staged list that nobody had read, and records were trimmed meanwhile: nobody knows where they
    /// belong.
    CarriedUnread {
        /// The step that staged.
        step: usize,
    },
}

/// A staged list that user space had saved and not deleted when a kexec carried it: its records come a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SavedAgain {
    /// The step that saved it.
    pub(super) saved: usize,
    /// How many records.
    pub(super) records: usize,
}

/// What a kexec is known to lose: the end of the list that it carries.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    /// Records of that list which are not lost.
    pub(super) kept: usize,
    /// Those that are, in order.
    pub(super) records: Runs<RecordId>,
}

/// A delete or a trim of which nobody knows whether it was carried out: the guest went on in another kernel before it
/// could tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// By the step at this place.
    Delete(usize),
    /// Of so many records, by the step at this place.
    Trim(usize, u64),
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
    read: Option<(usize, Runs<RecordId>)>,
    /// The step by which user space read it, which makes it saved.
    saved: Option<usize>,
    /// What belongs between its records.
    insets: Vec<Inset>,
}

/// What is where; driven by what steps did, in the order in which the guest did it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Taken out, oldest first.
    out: Vec<Chunk>,
    staged: Option<Generation>,
    stagings: Vec<Staging>,
    /// Trimmed since the staging that is in force.
    trimmed_meanwhile: Vec<Stretch>,
    /// What belongs between the records of the current list.
    insets: Vec<Inset>,
    /// What user space last read off the current list, while its head has not moved.
    head: Option<Runs<RecordId>>,
    surprises: Vec<Surprise>,
    again: Vec<SavedAgain>,
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
        let insets = std::mem::take(&mut self.insets);
        self.stagings.push(Staging { by: step, read: None, saved: None, insets });
        self.head = None;
    }

    /// The staged list was read; `keeps` when it was user space that did, and not a checkpoint of ours.
    pub(super) fn read_staged(&mut self, step: usize, records: &Runs<RecordId>, keeps: bool) {
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
            None => staging.read = Some((step, records.clone())),
            Some((first, before)) => {
                if before != records {
                    let at = before.same_as(records);
                    self.surprises.push(Surprise::StagedChanged { first: *first, then: step, at });
                }
            }
        }
    }

    /// User space read the current list.
    pub(super) fn read_current(&mut self, records: &Runs<RecordId>) {
        self.head = Some(records.clone());
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
        self.out.extend(self.trimmed_meanwhile.drain(..).map(Chunk::Known));
        true
    }

    /// The first `count` records of the current list were removed. How many these are, as far as anybody can know.
    pub(super) fn trim(&mut self, step: usize, count: u64) -> u64 {
        let read = self.head.take().unwrap_or_default();
        let wanted = match count {
            // What was not read of them, the tap tells of.
            ALL => read.len(),
            count => usize::try_from(count).unwrap_or(usize::MAX),
        };
        let (left, read) = (read.slice(wanted..read.len()), read.slice(0..wanted));
        let (before, after) = Inset::split(std::mem::take(&mut self.insets), wanted);
        self.insets = after;
        let trimmed = weave(wanted, &before, |range| {
            let read = read.slice(range.clone());
            let missing = range.len() - read.len();
            let known = Stretch { source: Source::Trimmed(step), records: read };
            [known, Stretch::gap(step, Some(missing as u64))]
        });
        if self.staged.is_some() {
            self.trimmed_meanwhile.extend(trimmed);
        } else {
            self.out.extend(trimmed.into_iter().map(Chunk::Known));
        }
        // What follows the trimmed records is now the head, as far as it was read.
        self.head = (read.len() == wanted).then_some(left);
        wanted as u64
    }

    /// Another kernel took over by the step at this place: its current list begins with what was staged, and goes on with
    /// what was current, but for what is known to be lost.
    pub(super) fn kexec(&mut self, step: usize, loss: &Loss) {
        self.head = None;
        self.carry_staged();
        if loss.records.is_empty() {
            return;
        }
        let (mut insets, among) = Inset::split(std::mem::take(&mut self.insets), loss.kept + 1);
        // `split` counts from the record after those that are kept.
        let among: Vec<Inset> = among.into_iter().map(|inset| inset.behind(1)).collect();
        let lost = weave(loss.records.len(), &among, |range| {
            let records = loss.records.slice(range);
            [Stretch { source: Source::Lost(step), records }]
        });
        insets.extend(lost.into_iter().map(|stretch| Inset { at: loss.kept, stretch }));
        self.insets = insets;
    }

    fn carry_staged(&mut self) {
        let Some(generation) = self.staged.take() else { return };
        let staging = &mut self.stagings[generation];
        // Those of the staging stay: snapshots of before are resolved at the end.
        let mut insets = staging.insets.clone();
        let trimmed = std::mem::take(&mut self.trimmed_meanwhile);
        let current = std::mem::take(&mut self.insets);
        if let Some((_, records)) = &staging.read {
            let before = records.len();
            insets.extend(trimmed.into_iter().map(|stretch| Inset { at: before, stretch }));
            insets.extend(current.into_iter().map(|inset| inset.behind(before)));
            self.again.extend(staging.saved.map(|saved| SavedAgain { saved, records: before }));
        } else if !(insets.is_empty() && trimmed.is_empty() && current.is_empty()) {
            self.surprises.push(Surprise::CarriedUnread { step: staging.by });
            insets.extend(trimmed.into_iter().map(|stretch| Inset { at: 0, stretch }));
            insets.extend(current);
        }
        self.insets = insets;
    }

    /// Takes a side in a doubt, before the kexec: `next` is the list that the new kernel began with.
    /// Whether it was carried out.
    pub(super) fn settle(&mut self, doubt: Doubt, next: &Runs<RecordId>) -> bool {
        let staged = match self.staged.map(|generation| &self.stagings[generation]) {
            Some(Staging { read: Some((_, records)), .. }) => Some(records.clone()),
            Some(_) => return false,
            None => None,
        };
        match (doubt, staged) {
            (Doubt::Delete(step), Some(staged)) => !next.starts_with(&staged) && self.take_out(step),
            (Doubt::Delete(_), None) => false,
            (Doubt::Trim(step, count), staged) => {
                let current = next.slice(staged.map_or(0, |staged| staged.len())..next.len());
                let count_asked = usize::try_from(count).unwrap_or(usize::MAX);
                let head = self.head.as_ref().filter(|head| head.len() >= count_asked);
                let done = head.is_some_and(|head| !current.starts_with(&head.slice(0..count_asked)));
                if done {
                    self.trim(step, count);
                }
                done
            }
        }
    }

    /// The whole log as it is now, with the current list as a checkpoint read it.
    pub(super) fn snapshot(&self, step: usize, current: &Runs<RecordId>) -> Snapshot {
        let mut chunks = self.out.clone();
        chunks.extend(self.staged.map(Chunk::Staged));
        chunks.extend(self.trimmed_meanwhile.iter().cloned().map(Chunk::Known));
        let source = Source::Current(step);
        let current =
            weave(current.len(), &self.insets, |range| [Stretch { source, records: current.slice(range) }]);
        chunks.extend(current.into_iter().map(Chunk::Known));
        Snapshot { chunks }
    }

    /// What the records of user space cannot explain.
    pub(super) fn surprises(&self) -> &[Surprise] {
        &self.surprises
    }

    /// What user space has twice.
    pub(super) fn saved_again(&self) -> &[SavedAgain] {
        &self.again
    }

    /// The stretches of a snapshot in order. To be asked when everything has happened: a list that was staged at
    /// the time may have been read only later.
    pub(super) fn resolve(&self, snapshot: &Snapshot) -> Vec<Stretch> {
        let stretches = |chunk: &Chunk| match *chunk {
            Chunk::Known(ref stretch) => vec![stretch.clone()],
            Chunk::Staged(generation) => match &self.stagings[generation] {
                staging @ Staging { read: Some((by, _)), .. } => staging.stretches(Source::Staged(*by)),
                staging => staging.unread(staging.by),
            },
            Chunk::Deleted(generation, deleter) => match &self.stagings[generation] {
                staging @ Staging { read: Some(_), saved: Some(by), .. } => {
                    staging.stretches(Source::Saved(*by))
                }
                Staging { read: Some((_, records)), insets, .. } => {
                    let gap =
                        |range: std::ops::Range<usize>| [Stretch::gap(deleter, Some(range.len() as u64))];
                    weave(records.len(), insets, gap)
                }
                staging => staging.unread(deleter),
            },
        };
        snapshot.chunks.iter().flat_map(stretches).filter(|stretch| !stretch.is_empty()).collect()
    }
}

impl Staging {
    /// Its records as far as they were read, with what belongs between them.
    fn stretches(&self, source: Source) -> Vec<Stretch> {
        let Some((_, records)) = &self.read else { return weave(0, &self.insets, |_| []) };
        weave(records.len(), &self.insets, |range| [Stretch { source, records: records.slice(range) }])
    }

    /// Records that nobody read.
    fn unread(&self, by: usize) -> Vec<Stretch> {
        let insets = self.insets.iter().map(|inset| inset.stretch.clone());
        [Stretch::gap(by, None)].into_iter().chain(insets).collect()
    }
}

impl Stretch {
    fn gap(by: usize, records: Option<u64>) -> Stretch {
        Stretch { source: Source::Gap { by, records }, records: Runs::default() }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && !matches!(self.source, Source::Gap { records: None | Some(1..), .. })
    }
}

#[cfg(test)]
mod tests;
