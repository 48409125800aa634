//! What became of the lists as a whole, with the numbers of records that are known once all of the run is.

use super::evidence::Moment;
use imalab_formats::ima::lists::Request;

/// A change of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Records were staged: so many, once anybody read them or the request says so.
    Staged { records: Option<usize> },
    /// The staged list was deleted. `saved`: the step by which user space had read it.
    Deleted { saved: Option<usize> },
    /// So many records of the staged list were deleted, and the others put back.
    DeletedFirst { records: u64, saved: Option<usize> },
    /// So many records of the current list were removed.
    Trimmed { records: u64 },
    /// The next kernel took the lists over, but for so many records at their end, as it is known to; then just `kept` ones
    /// are left.
    Carried { kept: usize, lost: usize },
}

impl Change {
    /// As a request of the lists with these numbers; nothing for a kexec.
    pub(super) fn request(self) -> Option<Request> {
        Some(match self {
            Change::Staged { records: Some(records) } => Request::StageFirst(records as u64),
            Change::Staged { records: None } => Request::StageAll,
            Change::Deleted { .. } => Request::Delete,
            Change::DeletedFirst { records, .. } => Request::DeleteFirst(records),
            Change::Trimmed { records } => Request::Trim(records),
            Change::Carried { .. } => return None,
        })
    }
}

/// A change with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListChange {
    /// When its system call began; the end of the boot for a carry-over.
    pub(super) at: Moment,
    /// When it ended.
    pub(super) end: Moment,
    /// The step that did it.
    pub(super) step: usize,
    pub(super) what: Change,
}

/// The changes, while they are gone through.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    all: Vec<ListChange>,
    /// The step by which user space read what is staged.
    saved: Option<usize>,
    /// Whether anybody read it.
    read: bool,
}

impl Changes {
    /// One was made.
    pub(super) fn push(&mut self, change: ListChange) {
        let what = match change.what {
            Change::Deleted { .. } => Change::Deleted { saved: self.saved },
            Change::DeletedFirst { records, .. } => {
                // As many were staged at least, and what else there was goes back.
                if let Some(staged) = self.staged() {
                    staged.get_or_insert(usize::try_from(records).unwrap_or(usize::MAX));
                }
                Change::DeletedFirst { records, saved: self.saved }
            }
            what => what,
        };
        if !matches!(what, Change::Trimmed { .. }) {
            (self.saved, self.read) = (None, false);
        }
        self.all.push(ListChange { what, ..change });
    }

    /// How many records are staged, if any are.
    fn staged(&mut self) -> Option<&mut Option<usize>> {
        let last = self.all.iter_mut().rfind(|change| !matches!(change.what, Change::Trimmed { .. }))?;
        match &mut last.what {
            Change::Staged { records } => Some(records),
            _ => None,
        }
    }

    /// The staged list was read, by user space when it `keeps` what it read.
    pub(super) fn read_staged(&mut self, step: usize, found: usize, keeps: bool) {
        let read = self.read;
        let Some(records) = self.staged() else { return };
        if !read {
            *records = Some(found);
        }
        self.read = true;
        if keeps {
            self.saved.get_or_insert(step);
        }
    }

    /// All of them, in order.
    pub(super) fn done(self) -> Vec<ListChange> {
        self.all
    }
}
