//! The one whole log, put together from what was saved, staged and current, over any number of kernels.
//!
//! Order is that of `Documentation/security/IMA-export-delete.rst`: staging moves the whole current list to the
//! staged list; a trim takes records off the head of the current list, which are *younger* than those that are
//! staged meanwhile. So the whole log is what was taken out, then the staged list, then what was trimmed while
//! it was staged, then the current list. A kexec puts the staged list before the current one, and the new kernel has
//! both as its current list: what was trimmed meanwhile then belongs *between* two records of that list.

mod layout;

use super::changes::Change;
use super::evidence::RecordId;
use super::run_length::RunLength;
use imalab_formats::ima::lists::{self, ListId, Lists, Namespace, Part, Ranges, Request, To};
use layout::{Known, Piece};

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
    pub(super) records: RunLength<RecordId>,
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
    pub(super) records: RunLength<RecordId>,
}

/// Room for the records that are appended between two stagings, of which nobody knows yet how many there are: places behind it
/// are those of the next.
const ROOM: usize = 1 << 40;

#[derive(Clone, Debug)]
struct Staging {
    by: usize,
    /// First reading of it by anybody, with the step.
    read: Option<(usize, RunLength<RecordId>)>,
    /// The step by which user space read it, which makes it saved.
    saved: Option<usize>,
    /// What user space had read of its first records while they were current.
    before: RunLength<RecordId>,
    /// How many records it has, where the request said so.
    exact: Option<usize>,
}

impl Staging {
    /// Its records, as far as all of them are known.
    fn records(&self) -> Option<&RunLength<RecordId>> {
        let read = self.read.as_ref().map(|(_, records)| records);
        read.or_else(|| (self.exact == Some(self.before.len())).then_some(&self.before))
    }
}

/// What is where; driven by what steps did, in the order in which the guest did it.
///
/// The lists hold places of the whole log. How many records a staging moved is known only once somebody has read them, so each
/// begins a room of its own: places count on within a room, and what is in order of its places is the log.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    lists: Lists<Ranges>,
    /// Rooms so far.
    rooms: usize,
    /// Taken out.
    out: Vec<Piece>,
    staged: Option<Generation>,
    stagings: Vec<Staging>,
    /// What user space last read off the current list, while its head has not moved.
    head: Option<RunLength<RecordId>>,
    surprises: Vec<Surprise>,
    again: Vec<SavedAgain>,
}

impl Default for Ledger {
    fn default() -> Ledger {
        let mut ledger = Ledger {
            lists: Lists::new(),
            rooms: 0,
            out: Vec::new(),
            staged: None,
            stagings: Vec::new(),
            head: None,
            surprises: Vec::new(),
            again: Vec::new(),
        };
        ledger.open_room();
        ledger
    }
}

/// The whole log as it was at some moment; resolved once all is known.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pieces: Vec<Piece>,
}

impl Ledger {
    /// The current list goes on behind all places that there were.
    fn open_room(&mut self) {
        let mut room = Ranges::default();
        room.push(self.rooms * ROOM..(self.rooms + 1) * ROOM);
        self.rooms += 1;
        self.lists.append(ListId::CURRENT, room);
    }

    /// A request was carried out by the step at this place. What it changed, as far as that is known.
    pub(super) fn request(&mut self, step: usize, request: Request) -> Change {
        match request {
            Request::StageAll => {
                self.stage(step);
                Change::Staged { records: None }
            }
            Request::StageFirst(records) => self.stage_first(step, records),
            Request::StageUpTo(records) => {
                // Whoever read fewer read all of them.
                let read = self.head.as_ref().map_or(records, |head| records.min(head.len() as u64));
                self.stage_first(step, read)
            }
            Request::Delete => {
                self.delete(step);
                Change::Deleted { saved: None }
            }
            Request::DeleteFirst(records) => {
                self.delete_first(step, records);
                Change::DeletedFirst { records, saved: None }
            }
            Request::Trim(records) | Request::TrimIf { records, .. } => {
                Change::Trimmed { records: self.trim(step, records) }
            }
            Request::TrimAll => Change::Trimmed { records: self.trim(step, ALL) },
            // The timeline has them in numbers.
            Request::TrimTo(_) | Request::Purge | Request::MarkLog => Change::Trimmed { records: 0 },
        }
    }

    /// Carries out a request; what it took out of the kernel.
    fn carry_out(&mut self, request: Request) -> Ranges {
        let mut out = Ranges::default();
        for moved in self.lists.carry_out(Namespace::INIT, request) {
            if moved.to == To::Out {
                out.append(moved.records);
            }
        }
        if self.lists.get(ListId::CURRENT).is_empty() {
            self.open_room();
        }
        out
    }

    /// The current list was moved to the staged list.
    pub(super) fn stage(&mut self, step: usize) {
        let before = self.head.take().unwrap_or_default();
        self.staged_by(step, before, None);
        self.carry_out(Request::StageAll);
    }

    /// The first records of the current list were moved to the staged list.
    fn stage_first(&mut self, step: usize, records: u64) -> Change {
        let count = usize::try_from(records).unwrap_or(usize::MAX);
        let head = self.head.take().unwrap_or_default();
        self.head = (head.len() >= count).then(|| head.slice(count..head.len()));
        self.staged_by(step, head.slice(0..count), Some(count));
        self.carry_out(Request::StageFirst(records));
        Change::Staged { records: Some(count) }
    }

    fn staged_by(&mut self, step: usize, before: RunLength<RecordId>, exact: Option<usize>) {
        if self.staged.is_some() {
            self.surprises.push(Surprise::StagedOver { step });
            self.take_out(step);
        }
        self.staged = Some(self.stagings.len());
        self.stagings.push(Staging { by: step, read: None, saved: None, before, exact });
    }

    /// The staged list was read; `keeps` when it was user space that did, and not a checkpoint of ours.
    pub(super) fn read_staged(&mut self, step: usize, records: &RunLength<RecordId>, keeps: bool) {
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
    pub(super) fn read_current(&mut self, records: &RunLength<RecordId>) {
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
        let places = self.carry_out(Request::Delete);
        self.out.push(Piece { places, known: Known::Deleted(generation, by) });
        true
    }

    /// The first records of the staged list were deleted, and the others put back.
    fn delete_first(&mut self, step: usize, records: u64) {
        let Some(generation) = self.staged.take() else {
            return self.surprises.push(Surprise::DeletedNothing { step });
        };
        self.put_before(generation);
        let count = usize::try_from(records).unwrap_or(usize::MAX);
        let Staging { read, saved, before, .. } = &self.stagings[generation];
        let (source, known) = match (read, saved) {
            (Some((_, read)), Some(by)) => (Source::Saved(*by), read),
            _ => (Source::Trimmed(step), before),
        };
        let records_known = known.slice(0..count);
        self.head = (before.len() >= count).then(|| before.slice(count..before.len()));
        let mut missing = self.carry_out(Request::DeleteFirst(records));
        let places = missing.take_first(records_known.len());
        self.out.push(Piece { places, known: Known::Read { source, records: records_known } });
        self.out.push(Piece { places: missing, known: Known::Missing { by: step } });
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
        let mut missing = self.carry_out(Request::Trim(wanted as u64));
        let places = missing.take_first(read.len());
        // What follows the trimmed records is now the head, as far as it was read.
        self.head = (read.len() == wanted).then_some(left);
        let known = Known::Read { source: Source::Trimmed(step), records: read };
        self.out.push(Piece { places, known });
        self.out.push(Piece { places: missing, known: Known::Missing { by: step } });
        wanted as u64
    }

    /// Another kernel took over by the step at this place: its current list begins with what was staged, and goes on with
    /// what was current, but for what is known to be lost.
    pub(super) fn kexec(&mut self, step: usize, loss: &Loss) {
        self.head = None;
        if let Some(generation) = self.staged.take() {
            self.put_before(generation);
            if let Staging { read: Some((_, records)), saved: Some(saved), .. } = &self.stagings[generation] {
                self.again.push(SavedAgain { saved: *saved, records: records.len() });
            }
        }
        let lost = loss.records.len() as u64;
        let lost = lists::Loss { kept: loss.kept as u64, lost };
        for moved in self.lists.kexec(lost) {
            if moved.to == To::Out {
                let known = Known::Read { source: Source::Lost(step), records: loss.records.clone() };
                self.out.push(Piece { places: moved.records, known });
            }
        }
    }

    /// What is staged is about to be put in front of the current list.
    fn put_before(&mut self, generation: Generation) {
        let staging = &self.stagings[generation];
        let mut staged = self.lists.take(ListId::STAGED, Part::All);
        let first = staged.first();
        if let Some(records) = staging.records() {
            // It ends there: what is behind it is in the next room.
            staged = staged.take_first(records.len());
        } else if staging.exact.is_none() && self.out.iter().any(|piece| piece.places.last() > first) {
            self.surprises.push(Surprise::CarriedUnread { step: staging.by });
        }
        self.lists.append(ListId::STAGED, staged);
    }

    /// Decides, before the kexec, whether a request was carried out of which no answer came: `next` is the list that the new
    /// kernel began with. What it changed, if it was.
    pub(super) fn settle(
        &mut self,
        step: usize,
        request: Request,
        next: &RunLength<RecordId>,
    ) -> Option<Change> {
        let staged = match self.staged.map(|generation| &self.stagings[generation]) {
            Some(staging) => Some(staging.records()?.clone()),
            None => None,
        };
        let done = match (request, staged) {
            (Request::Delete, Some(staged)) => !next.starts_with(&staged),
            (Request::Trim(count), staged) => {
                let current = next.slice(staged.map_or(0, |staged| staged.len())..next.len());
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let head = self.head.as_ref().filter(|head| head.len() >= count);
                head.is_some_and(|head| !current.starts_with(&head.slice(0..count)))
            }
            _ => false,
        };
        done.then(|| self.request(step, request))
    }

    /// The whole log as it is now, with the current list as a checkpoint read it.
    pub(super) fn snapshot(&self, step: usize, current: &RunLength<RecordId>) -> Snapshot {
        let mut pieces = self.out.clone();
        if let Some(generation) = self.staged {
            let places = self.lists.get(ListId::STAGED).clone();
            pieces.push(Piece { places, known: Known::Staged(generation) });
        }
        let places = self.lists.get(ListId::CURRENT).clone().take_first(current.len());
        let known = Known::Read { source: Source::Current(step), records: current.clone() };
        pieces.push(Piece { places, known });
        Snapshot { pieces }
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
        layout::stretches(&snapshot.pieces, &self.stagings)
    }
}

#[cfg(test)]
mod tests;
