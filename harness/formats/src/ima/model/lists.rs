//! The lists: what is staged, what is current, what is gone.

use nix::errno::Errno;

use super::{Ranges, Refusals, Request, Rule, Rules};
use crate::ima::dialect::{Dialect, Flushed};

/// What becomes of digests of records that are no longer in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashTable {
    /// They are kept.
    Kept,
    /// A delete drops them (`ima_flush_htable`).
    Flushed,
    /// There is no hash table (`CONFIG_IMA_DISABLE_HTABLE`): every measurement is recorded.
    None,
}

/// The lists of one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lists {
    rules: Rules,
    pub(super) table: HashTable,
    pub(super) staged: Ranges,
    pub(super) current: Ranges,
    /// Removed by a delete, and by a number.
    deleted: Ranges,
    trimmed: Ranges,
    /// Records of the whole log so far.
    pub(super) total: usize,
    /// Those that were there before this kernel.
    carried: usize,
    /// How many there were at the last delete.
    flushed: usize,
    /// Whether digests are dropped as records are staged.
    drops_staged: bool,
    pub(super) suspended: bool,
}

impl Lists {
    pub(super) fn new(rules: Rules, table: HashTable, dialect: &Dialect) -> Lists {
        let none = Ranges::default;
        Lists {
            rules,
            table,
            staged: none(),
            current: none(),
            deleted: none(),
            trimmed: none(),
            total: 0,
            carried: 0,
            flushed: 0,
            drops_staged: dialect.flushed == Flushed::AtStage,
            suspended: false,
        }
    }

    /// What keeps a request from being carried out, as far as the lists are concerned.
    pub(super) fn refuse(&self, dialect: &Dialect, request: Request, refusals: &mut Refusals) {
        let staged = !self.staged.is_empty();
        let none = (self.current.is_empty(), Errno::ENOENT, Rule::StageEmpty);
        let too_many = |records: u64, rule| {
            (usize::try_from(records).map_or(true, |n| n > self.current.len()), Errno::ENOENT, rule)
        };
        let late = dialect.suspended;
        let stage = |more| {
            [
                (staged, Errno::EEXIST, Rule::StageWhileStaged),
                (self.suspended, late.stage, Rule::SuspendedStage),
                more,
            ]
        };
        let trim = |more| {
            [
                (
                    staged && dialect.trims_while_staged == Some(false),
                    Errno::EEXIST,
                    Rule::TrimNotWhileStaged,
                ),
                (self.suspended, late.trim, Rule::SuspendedTrim),
                more,
            ]
        };
        let reasons = match request {
            Request::StageAll | Request::StageUpTo(_) => stage(none),
            Request::StageFirst(records) => stage(too_many(records, Rule::StageTooMany)),
            Request::Delete => [
                (!staged, Errno::ENOENT, Rule::DeleteNothing),
                (self.suspended, late.delete, Rule::SuspendedDelete),
                (false, Errno::UnknownErrno, Rule::DeleteNothing),
            ],
            Request::DeleteFirst(records) => [
                (!staged, Errno::ENOENT, Rule::DeleteNothing),
                (self.suspended, late.delete, Rule::SuspendedDelete),
                (records > self.staged.len() as u64, Errno::ENOENT, Rule::TrimTooMany),
            ],
            Request::Trim(records) => trim(too_many(records, Rule::TrimTooMany)),
            Request::TrimAll => trim(none),
        };
        for (is, errno, rule) in reasons {
            if is && self.rules.holds(rule) {
                refusals.add(errno, rule);
            }
        }
    }

    pub(super) fn carry_out(&mut self, request: Request) {
        match request {
            Request::StageAll => {
                let all = self.current.len();
                let whole = self.rules.holds(Rule::StageMovesWholeList);
                let moved = self.current.take_first(if whole { all } else { all.saturating_sub(1) });
                self.staged.append(moved);
            }
            Request::StageFirst(records) | Request::StageUpTo(records) => {
                let count = usize::try_from(records).unwrap_or(usize::MAX).min(self.current.len());
                let exact = self.rules.holds(Rule::StageFirstOnes);
                let moved = self.current.take_first(if exact { count } else { count.saturating_sub(1) });
                self.staged.append(moved);
            }
            Request::TrimAll => {
                let all = std::mem::take(&mut self.current);
                self.trimmed.append(all);
            }
            Request::DeleteFirst(records) => {
                let count = usize::try_from(records).unwrap_or(usize::MAX);
                let mut back = std::mem::take(&mut self.staged);
                self.deleted.append(back.take_first(count));
                back.append(std::mem::take(&mut self.current));
                self.current = back;
            }
            Request::Delete if !self.rules.holds(Rule::DeleteRemovesStaged) => {}
            Request::Delete => {
                self.deleted.append(std::mem::take(&mut self.staged));
                self.flushed = self.total;
            }
            Request::Trim(records) => {
                let mut count = usize::try_from(records).unwrap_or(usize::MAX);
                if !self.rules.holds(Rule::TrimLeavesStaged) {
                    let first = self.staged.take_first(count);
                    count -= first.len();
                    self.trimmed.append(first);
                }
                if self.rules.holds(Rule::TrimRemovesFirst) {
                    self.trimmed.append(self.current.take_first(count));
                } else {
                    let left = self.current.len().saturating_sub(count);
                    let kept = self.current.take_first(left);
                    self.trimmed.append(std::mem::replace(&mut self.current, kept));
                }
            }
        }
    }

    /// The lists belong to the next kernel.
    pub(super) fn suspend(&mut self) {
        self.suspended = true;
    }

    /// The next record of the whole log was appended.
    pub(super) fn append(&mut self) {
        let list = if self.rules.holds(Rule::NewRecordsAreCurrent) || self.staged.is_empty() {
            &mut self.current
        } else {
            &mut self.staged
        };
        list.push(self.total..self.total + 1);
        self.total += 1;
    }

    /// Whether the hash table knows this record of the whole log: a measurement that would make the same is then
    /// suppressed.
    pub(super) fn remembers(&self, record: usize) -> bool {
        if self.table == HashTable::None
            || record >= self.total
            || !self.rules.holds(Rule::DuplicateSuppressed)
        {
            return false;
        }
        if record < self.carried {
            return !self.rules.holds(Rule::CarriedMayDouble);
        }
        let flushed = self.table == HashTable::Flushed;
        if self.current.contains(record) {
            return !flushed || record >= self.flushed || self.rules.holds(Rule::FlushKeepsCurrent);
        }
        let rule = match (flushed, self.staged.contains(record)) {
            (true, true) if self.drops_staged => return false,
            (true, true) => Rule::FlushKeepsStaged,
            (false, true) => Rule::DigestsOutliveStaging,
            (true, false) => return !self.rules.holds(Rule::FlushForgetsDeleted),
            (false, false) if self.trimmed.contains(record) => Rule::DigestsOutliveTrim,
            (false, false) => Rule::DigestsOutliveDelete,
        };
        self.rules.holds(rule)
    }

    /// Whether a record was there before this kernel.
    pub(super) fn is_carried(&self, record: usize) -> bool {
        record < self.carried
    }

    /// The rule by which [`Lists::remembers`] says what it says.
    pub(super) fn why_remembered(&self, record: usize) -> Rule {
        let flushed = self.table == HashTable::Flushed;
        match (self.current.contains(record), self.staged.contains(record)) {
            _ if record < self.carried => Rule::CarriedMayDouble,
            (true, _) if flushed => Rule::FlushKeepsCurrent,
            (true, _) => Rule::DuplicateSuppressed,
            (_, true) if flushed => Rule::FlushKeepsStaged,
            (_, true) => Rule::DigestsOutliveStaging,
            _ if flushed => Rule::FlushForgetsDeleted,
            _ if self.trimmed.contains(record) => Rule::DigestsOutliveTrim,
            _ => Rule::DigestsOutliveDelete,
        }
    }

    /// The lists as the kernel finds them that is started by kexec. So many records at their end were lost on the way, as
    /// kernels are known to lose them there.
    pub(super) fn kexec(&mut self, table: HashTable, dialect: &Dialect, lost: u64) {
        let (staged, current) = (std::mem::take(&mut self.staged), std::mem::take(&mut self.current));
        let mut next = Lists::new(self.rules, table, dialect);
        (next.total, next.carried) = (self.total, self.total);
        if self.rules.holds(Rule::CarriedOver) {
            let (first, then) = if self.rules.holds(Rule::StagedCarriedFirst) {
                (staged, current)
            } else {
                (current, staged)
            };
            if self.rules.holds(Rule::CarriedAreCurrent) {
                next.current = first;
            } else {
                next.staged = first;
            }
            next.current.append(then);
            let left = next.current.len().saturating_sub(usize::try_from(lost).unwrap_or(usize::MAX));
            next.current = next.current.take_first(left);
        }
        *self = next;
    }
}
