//! The lists: what is staged, what is current, what is gone.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::{Refusals, Rule, Rules};
use crate::ima::dialect::{Dialect, Flushed, Late};
use crate::ima::lists::{self, ListId, Loss, Mark, Namespace, Part, Ranges, Request, To};

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
    /// Which records of the whole log are in which list.
    lists: lists::Lists<Ranges>,
    /// Removed from the staged list, and from the current one.
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
    /// Whether they are dropped as records are removed, whatever the boot option says.
    forgets: bool,
    pub(super) suspended: bool,
    /// Records of the whole log that divide it, with how often records had been trimmed by then.
    marks: BTreeMap<usize, u64>,
    /// Records of the whole log when the last mark was one that was asked for.
    asked_for: usize,
    /// How often records were trimmed, as far as this kernel knows.
    trims: u64,
    /// Records that were trimmed before this kernel, as far as it knows.
    trimmed_before: u64,
    /// Records of the whole log that this kernel does not know of.
    unknown: u64,
}

impl Lists {
    pub(super) fn new(rules: Rules, table: HashTable, dialect: &Dialect) -> Lists {
        let none = Ranges::default;
        Lists {
            rules,
            table,
            lists: lists::Lists::new(),
            deleted: none(),
            trimmed: none(),
            total: 0,
            carried: 0,
            flushed: 0,
            drops_staged: dialect.flushed == Flushed::AtStage,
            forgets: dialect.flushed == Flushed::Always,
            suspended: false,
            marks: BTreeMap::new(),
            asked_for: 0,
            trims: 0,
            trimmed_before: 0,
            unknown: 0,
        }
    }

    /// What a list holds.
    pub(super) fn get(&self, list: ListId) -> &Ranges {
        self.lists.get(list)
    }

    pub(super) fn staged(&self) -> &Ranges {
        self.lists.get(ListId::STAGED)
    }

    pub(super) fn current(&self) -> &Ranges {
        self.lists.get(ListId::CURRENT)
    }

    /// What keeps a request from being carried out, as far as the lists are concerned.
    pub(super) fn refuse(&self, dialect: &Dialect, request: Request, refusals: &mut Refusals) {
        let staged = !self.staged().is_empty();
        let none = (self.current().is_empty(), Errno::ENOENT, Rule::StageEmpty);
        let too_many = |records: u64, rule| {
            (usize::try_from(records).map_or(true, |n| n > self.current().len()), Errno::ENOENT, rule)
        };
        // Where it is said with which error: of the rest the caller knows.
        let with = |late| match late {
            Late::With(errno) => (self.suspended, errno),
            Late::Refused | Late::Unsaid => (false, Errno::UnknownErrno),
        };
        let late = dialect.suspended;
        let (stage_late, delete_late, trim_late) = (with(late.stage), with(late.delete), with(late.trim));
        let stage = |more| {
            [
                (staged, Errno::EEXIST, Rule::StageWhileStaged),
                (stage_late.0, stage_late.1, Rule::SuspendedStage),
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
                (trim_late.0, trim_late.1, Rule::SuspendedTrim),
                more,
            ]
        };
        let reasons = match request {
            Request::StageAll | Request::StageUpTo(_) => stage(none),
            Request::StageFirst(records) => stage(too_many(records, Rule::StageTooMany)),
            Request::Delete => [
                (!staged, Errno::ENOENT, Rule::DeleteNothing),
                (delete_late.0, delete_late.1, Rule::SuspendedDelete),
                (false, Errno::UnknownErrno, Rule::DeleteNothing),
            ],
            Request::DeleteFirst(records) => [
                (!staged, Errno::ENOENT, Rule::DeleteNothing),
                (delete_late.0, delete_late.1, Rule::SuspendedDelete),
                (records > self.staged().len() as u64, Errno::ENOENT, Rule::TrimTooMany),
            ],
            Request::Trim(records) => trim(too_many(records, Rule::TrimTooMany)),
            Request::TrimIf { trimmed, records } => [
                (trim_late.0, trim_late.1, Rule::SuspendedTrim),
                (trimmed != self.trimmed(), Errno::EINVAL, Rule::TrimmedIsCompared),
                too_many(records, Rule::TrimTooMany),
            ],
            Request::TrimAll => trim(none),
            Request::TrimTo(_) | Request::Purge | Request::MarkLog => [
                (trim_late.0, trim_late.1, Rule::SuspendedTrim),
                (false, Errno::UnknownErrno, Rule::TrimTooMany),
                (false, Errno::UnknownErrno, Rule::TrimTooMany),
            ],
        };
        for (is, errno, rule) in reasons {
            if is && self.rules.holds(rule) {
                refusals.add(errno, rule);
            }
        }
    }

    /// Records that were trimmed, as far as this kernel knows.
    pub(super) fn trimmed(&self) -> u64 {
        self.trimmed.len() as u64 + self.trimmed_before
    }

    /// How often records were trimmed, as far as this kernel knows.
    pub(super) fn trims(&self) -> u64 {
        self.trims
    }

    /// Records of the whole log, as far as this kernel knows.
    pub(super) fn counted(&self) -> u64 {
        self.total as u64 - self.unknown
    }

    /// How many records of the current list are before a mark, and whether there is such a one.
    pub(super) fn before(&self, mark: Mark) -> Option<usize> {
        let marks: Vec<usize> = self
            .current()
            .iter()
            .enumerate()
            .filter(|(_, record)| self.marks.contains_key(record))
            .map(|(at, _)| at)
            .collect();
        Some(marks[mark.place(marks.len())?])
    }

    /// Whether the last record is a mark that nobody has asked for yet.
    pub(super) fn ends_with_new_mark(&self) -> bool {
        self.total > self.asked_for
            && self.marks.last_key_value().is_some_and(|(last, _)| last + 1 == self.total)
    }

    /// The last mark is one that was asked for.
    pub(super) fn asked(&mut self) {
        self.asked_for = self.total;
    }

    pub(super) fn carry_out(&mut self, request: Request) {
        let request = match request {
            Request::TrimIf { records, .. } => Request::Trim(records),
            request => request,
        };
        match request {
            Request::MarkLog => self.asked(),
            Request::Trim(1..) => self.trims += 1,
            _ => {}
        }
        if request == Request::Delete {
            if !self.rules.holds(Rule::DeleteRemovesStaged) {
                return;
            }
            self.flushed = self.total;
        }
        for request in self.turned_over(request) {
            for moved in self.lists.carry_out(Namespace::INIT, request) {
                match moved.to {
                    To::Out if moved.from.is_staged() => self.deleted.append(moved.records),
                    To::Out => self.trimmed.append(moved.records),
                    To::Behind(_) | To::Before(_) => {}
                }
            }
        }
    }

    /// A request as it is carried out where one of its rules does not hold.
    fn turned_over(&mut self, request: Request) -> Vec<Request> {
        let one_less = |records: usize| Request::StageFirst(records.saturating_sub(1) as u64);
        match request {
            Request::StageAll if !self.rules.holds(Rule::StageMovesWholeList) => {
                vec![one_less(self.current().len())]
            }
            Request::StageFirst(records) | Request::StageUpTo(records)
                if !self.rules.holds(Rule::StageFirstOnes) =>
            {
                let records = usize::try_from(records).unwrap_or(usize::MAX);
                vec![one_less(records.min(self.current().len()))]
            }
            Request::Trim(records) if !self.rules.holds(Rule::TrimLeavesStaged) => {
                let first = self.lists.take(ListId::STAGED, Part::First(records));
                let left = records - first.len() as u64;
                self.trimmed.append(first);
                vec![Request::Trim(left)]
            }
            Request::Trim(records) if !self.rules.holds(Rule::TrimRemovesFirst) => {
                let left = (self.current().len() as u64).saturating_sub(records);
                let kept = self.lists.take(ListId::CURRENT, Part::First(left));
                self.trimmed.append(self.lists.take(ListId::CURRENT, Part::All));
                self.lists.append(ListId::CURRENT, kept);
                Vec::new()
            }
            request => vec![request],
        }
    }

    /// The lists belong to the next kernel.
    pub(super) fn suspend(&mut self) {
        self.suspended = true;
    }

    /// The next record of the whole log was appended, which may be a mark.
    pub(super) fn append(&mut self, is_mark: bool) {
        if is_mark {
            self.marks.insert(self.total, self.trims);
        }
        let is_current = self.rules.holds(Rule::NewRecordsAreCurrent) || self.staged().is_empty();
        let list = if is_current { ListId::CURRENT } else { ListId::STAGED };
        self.lists.get_mut(list).push(self.total..self.total + 1);
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
        if self.current().contains(record) {
            return !flushed || record >= self.flushed || self.rules.holds(Rule::FlushKeepsCurrent);
        }
        if self.forgets {
            return !self.rules.holds(Rule::PurgeForgets);
        }
        let rule = match (flushed, self.staged().contains(record)) {
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
        match (self.current().contains(record), self.staged().contains(record)) {
            _ if record < self.carried => Rule::CarriedMayDouble,
            (false, false) if self.forgets => Rule::PurgeForgets,
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
        let mut next = Lists::new(self.rules, table, dialect);
        (next.total, next.carried) = (self.total, self.total);
        if self.rules.holds(Rule::CarriedOver) {
            next.lists = std::mem::take(&mut self.lists);
            next.take_over(lost);
        }
        next.marks = std::mem::take(&mut self.marks);
        next.asked_for = self.total;
        // What was counted before is known from the last mark that was carried.
        let gone = (self.total - next.current().len()) as u64;
        match next.current().iter().filter_map(|record| next.marks.get(&record)).last() {
            Some(trims) => (next.trims, next.trimmed_before) = (*trims, gone),
            None => next.unknown = gone,
        }
        *self = next;
    }

    /// The lists are those of the kernel before.
    fn take_over(&mut self, lost: u64) {
        let all = (self.staged().len() + self.current().len()) as u64;
        let in_order = self.rules.holds(Rule::StagedCarriedFirst);
        if in_order && self.rules.holds(Rule::CarriedAreCurrent) {
            let kept = all.saturating_sub(lost);
            self.lists.kexec(Loss { kept, lost: all - kept });
            return;
        }
        let [first, then] = match in_order {
            true => [ListId::STAGED, ListId::CURRENT],
            false => [ListId::CURRENT, ListId::STAGED],
        }
        .map(|list| self.lists.take(list, Part::All));
        let to = if self.rules.holds(Rule::CarriedAreCurrent) { ListId::CURRENT } else { ListId::STAGED };
        self.lists.append(to, first);
        self.lists.append(ListId::CURRENT, then);
        let left = (self.current().len() as u64).saturating_sub(lost);
        let kept = self.lists.take(ListId::CURRENT, Part::First(left));
        self.lists.take(ListId::CURRENT, Part::All);
        self.lists.append(ListId::CURRENT, kept);
    }
}
