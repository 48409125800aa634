//! The model of one kernel: its state, and what changes it.

use std::borrow::Cow;

use super::descriptors::Descriptors;
use super::lists::Lists;
use super::{Broken, Call, Effect, Expected, File, ListFile, Log, Rule, Rules, Setup, Slot, Task};
use crate::Interface;
use crate::ima::dialect::Seen;
use crate::ima::lists::{Kind, ListId, Ranges, Request};

/// The model of one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    pub(super) rules: Rules,
    pub(super) interface: Interface,
    pub(super) seen: Seen,
    pub(super) lists: Lists,
    pub(super) open: Descriptors,
    pub(super) violations: u64,
}

impl Kernel {
    /// A kernel that has just booted: the lists are empty, no task has anything open.
    pub fn new(setup: Setup, rules: Rules) -> Kernel {
        Kernel {
            rules,
            interface: setup.interface,
            seen: setup.seen,
            lists: Lists::new(rules, setup.table, setup.interface.dialect()),
            open: Descriptors::new(rules),
            violations: setup.violations,
        }
    }

    /// The kernel that this one starts by kexec, which loses so many records at the end of the list.
    pub fn kexec(&mut self, setup: Setup, lost: u64) {
        self.lists.kexec(setup.table, setup.interface.dialect(), lost);
        (self.interface, self.seen) = (setup.interface, setup.seen);
        self.open = Descriptors::new(self.rules);
        self.violations = setup.violations;
    }

    /// Records of the whole log so far.
    pub fn total(&self) -> usize {
        self.lists.total
    }

    /// What a list file shows.
    pub fn shows(&self, file: ListFile) -> &Ranges {
        let (rule, other) = match file.list.kind {
            Kind::Staged => (Rule::StagedShowsStaged, Kind::Current),
            Kind::Current => (Rule::OriginalShowsCurrent, Kind::Staged),
        };
        let list = if self.rules.holds(rule) { file.list } else { ListId { kind: other, ..file.list } };
        self.lists.get(list)
    }

    /// The promise by which a file shows this record, or nothing more.
    pub fn why_shown(&self, file: ListFile, record: Option<usize>) -> Rule {
        match record {
            _ if file.is_staged() => Rule::StagedShowsStaged,
            Some(record) if self.lists.is_carried(record) => Rule::StagedCarriedFirst,
            _ => Rule::OriginalShowsCurrent,
        }
    }

    /// What reading an open list from its start shows, when it is about to be read from there.
    pub fn about_to_show(&self, task: Task, slot: Slot) -> Option<(ListFile, Cow<'_, Ranges>)> {
        let description = self.open.get(task, slot)?;
        match (description.file, description.offset) {
            (File::List(list), Some(0)) => Some((list, Cow::Borrowed(self.shows(list)))),
            (File::Own(_), Some(0)) => self.shard(description).map(|(list, shard)| (list, Cow::Owned(shard))),
            _ => None,
        }
    }

    /// The list that a descriptor shows from its first byte on, wherever its own offset is.
    pub fn shows_from_the_start(&self, task: Task, slot: Slot) -> Option<(ListFile, Cow<'_, Ranges>)> {
        match self.open.get(task, slot)?.file {
            File::List(list) => Some((list, Cow::Borrowed(self.shows(list)))),
            _ => None,
        }
    }

    /// The file that a descriptor is of.
    pub fn file(&self, task: Task, slot: Slot) -> Option<File> {
        Some(self.open.get(task, slot)?.file)
    }

    /// Whether a task that ends now closes a list.
    pub fn has_lists(&self, task: Task) -> bool {
        self.open.has_lists(task)
    }

    /// Whether a file whose measurement would make the same record as one of these is not recorded.
    pub fn suppresses(&self, same: &[usize]) -> Option<usize> {
        same.iter().copied().find(|record| self.lists.remembers(*record))
    }

    /// Why a measurement is suppressed, or is not, that would make the same record as this one.
    pub fn why_suppressed(&self, record: usize) -> Rule {
        self.lists.why_remembered(record)
    }

    /// Whether nothing is recorded any more.
    pub fn is_suspended(&self) -> bool {
        self.lists.suspended && self.rules.holds(Rule::SuspendedRecordsNothing)
    }

    /// Whether the next record of the whole log may be appended now.
    ///
    /// # Errors
    ///
    /// The promise by which it must not.
    pub fn may_record(&self, log: &dyn Log) -> Result<(), Broken> {
        let record = self.lists.total;
        if self.is_suspended() {
            return Err(Broken::new(Rule::SuspendedRecordsNothing, Expected::NoRecord));
        }
        if !self.rules.holds(Rule::MeasuredIsRecorded) {
            return Err(Broken::new(Rule::MeasuredIsRecorded, Expected::NoRecord));
        }
        if log.is_violation(record) {
            let again = !self.rules.holds(Rule::ViolationAlwaysRecorded) && self.violations > 0;
            if again {
                return Err(Broken::new(Rule::ViolationAlwaysRecorded, Expected::NoRecord));
            }
            return Ok(());
        }
        let mut same = log.same_before(record);
        while let Some(before) = same {
            if self.lists.remembers(before) {
                return Err(Broken::new(self.lists.why_remembered(before), Expected::NoRecord));
            }
            same = log.same_before(before);
        }
        Ok(())
    }

    /// The kernel appends the next record of the whole log, which it [may](Kernel::may_record).
    pub fn record(&mut self, log: &dyn Log) {
        let record = self.lists.total;
        self.violations += u64::from(log.is_violation(record));
        let mark = self.interface.dialect().mark;
        self.lists.append(mark.is_some_and(|event| log.is_mark(record, event)));
    }

    /// Takes in what a call did.
    pub fn apply(&mut self, task: Task, effect: Effect<'_>) {
        match effect {
            Effect::None => {}
            Effect::Request(_) | Effect::Purge(..) => {
                if let Effect::Purge(slot, records) = effect {
                    self.lists.carry_out(Request::Trim(records));
                    let file = self.open.open_file(task, slot);
                    if let Some((_, purged)) =
                        file.and_then(|file| self.open.get_mut(file)).and_then(|open| open.divides.as_mut())
                    {
                        *purged = true;
                    }
                }
                if let Effect::Request(request) = effect {
                    self.lists.carry_out(request);
                }
                // Who has read half of a list that moves cannot say where it is.
                for open in self.open.files_mut() {
                    if open.offset != Some(0) && matches!(open.file, File::List(_)) {
                        open.offset = None;
                    }
                }
            }
            Effect::Offset(slot, offset) => {
                let file = self.open.open_file(task, slot);
                if let Some(open) = file.and_then(|file| self.open.get_mut(file)) {
                    open.offset = offset;
                }
            }
            Effect::Call(call) => match call {
                Call::Open { slot, file, access, .. } => {
                    self.open.open(task, slot, file, access);
                    self.divide(task, slot);
                }
                Call::Close { slot } => self.open.close(task, slot),
                Call::Duplicate { slot, to } => self.open.duplicate(task, slot, to),
                Call::Pin { slot } => self.open.pin(task, slot),
                Call::Unpin => self.open.unpin(task),
                Call::Fork { child } => self.open.fork(task, child),
                Call::Thread { child } => self.open.thread(task, child),
                Call::Send { slot, to } => self.open.send(task, slot, to),
                Call::Receive { slot } => self.open.receive(task, slot),
                Call::Take { slot, from, theirs } => self.open.take(task, slot, from, theirs),
                Call::End => self.open.end(task),
                Call::Drop { capability } => self.open.rights_mut(task).drop(capability),
                Call::SetUser { uid } => self.open.rights_mut(task).set_user(uid),
                Call::NewNamespace => self.open.rights_mut(task).new_namespace(),
                Call::Limit => self.open.rights_mut(task).limited = true,
                Call::Suspend => self.lists.suspend(),
                Call::Write { .. }
                | Call::Read { .. }
                | Call::ReadAt { .. }
                | Call::Counter { .. }
                | Call::Number { .. }
                | Call::Seek { .. }
                | Call::Harmless { .. }
                | Call::Moving { .. } => {}
            },
        }
    }

    /// Whether a task has a file open under this name.
    pub fn has_open(&self, task: Task, slot: Slot) -> bool {
        self.open.open_file(task, slot).is_some()
    }

    /// Whether a descriptor is waiting to be received.
    pub fn has_mail(&self, task: Task) -> bool {
        self.open.has_mail(task)
    }
}
