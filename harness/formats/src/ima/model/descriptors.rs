//! Descriptors, the open files that they share, and whom these exclude.

use std::collections::{BTreeMap, VecDeque};

use super::rights::Rights;
use super::{File, Rule, Rules};
use crate::ima::dialect::Dialect;
use crate::ima::file::Access;

/// A task of the guest.
pub type Task = u16;
/// A descriptor's name in its process.
pub type Slot = u16;

/// Number of an open file description; the lowest free one is the next, so that equal states are equal.
pub(super) type OpenFile = u16;
/// Number of a descriptor table: that of the task that it was made for.
type Table = Task;

/// An open file description.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Description {
    pub(super) file: File,
    pub(super) access: Access,
    /// Who opened it.
    pub(super) opener: Task,
    /// Where the next read begins, in bytes; `None` when that cannot be said.
    pub(super) offset: Option<u64>,
    /// The record that divides the list, where opening it had one made, and whether what is before it was removed.
    pub(super) divides: Option<(usize, bool)>,
    /// Descriptors of it, those in messages on their way included.
    descriptors: u16,
    /// Whether it still excludes others. Always, but for rules turned over.
    excludes: bool,
}

/// All that tasks have open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Descriptors {
    rules: Rules,
    tasks: BTreeMap<Task, (Table, Rights)>,
    tables: BTreeMap<Table, BTreeMap<Slot, OpenFile>>,
    files: BTreeMap<OpenFile, Description>,
    /// Descriptors on their way to a task.
    inboxes: BTreeMap<Task, VecDeque<OpenFile>>,
    /// What the call is about that a task is in; nothing when the descriptor was not open as it began.
    pinned: BTreeMap<Task, Option<OpenFile>>,
}

impl Descriptors {
    pub(super) fn new(rules: Rules) -> Descriptors {
        Descriptors {
            rules,
            tasks: BTreeMap::new(),
            tables: BTreeMap::new(),
            files: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            pinned: BTreeMap::new(),
        }
    }

    pub(super) fn rights(&self, task: Task) -> Rights {
        self.tasks.get(&task).map_or(Rights::ALL, |(_, rights)| *rights)
    }

    pub(super) fn rights_mut(&mut self, task: Task) -> &mut Rights {
        &mut self.tasks.entry(task).or_insert((task, Rights::ALL)).1
    }

    fn table(&mut self, task: Task) -> &mut BTreeMap<Slot, OpenFile> {
        let table = self.tasks.entry(task).or_insert((task, Rights::ALL)).0;
        self.tables.entry(table).or_default()
    }

    pub(super) fn open_file(&self, task: Task, slot: Slot) -> Option<OpenFile> {
        if let Some(pinned) = self.pinned.get(&task) {
            return *pinned;
        }
        let table = self.tasks.get(&task).map_or(task, |(table, _)| *table);
        self.tables.get(&table)?.get(&slot).copied()
    }

    pub(super) fn get(&self, task: Task, slot: Slot) -> Option<&Description> {
        self.files.get(&self.open_file(task, slot)?)
    }

    pub(super) fn get_mut(&mut self, file: OpenFile) -> Option<&mut Description> {
        self.files.get_mut(&file)
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules
    }

    /// Descriptions that are open.
    pub(super) fn files(&self) -> impl Iterator<Item = &Description> {
        self.files.values()
    }

    /// As [`Descriptors::files`].
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut Description> {
        self.files.values_mut()
    }

    /// Whether a task has descriptors of a measurement list open, or of what excludes others as one.
    pub(super) fn has_lists(&self, task: Task) -> bool {
        let table = self.tasks.get(&task).map_or(task, |(table, _)| *table);
        let alone = self.tasks.values().filter(|(other, _)| *other == table).count() <= 1;
        let mut open = self.tables.get(&table).into_iter().flat_map(BTreeMap::values);
        let inbox = self.inboxes.get(&task).is_some_and(|inbox| !inbox.is_empty());
        alone
            && (inbox
                || open.any(|file| {
                    matches!(
                        self.files.get(file),
                        Some(Description { file: File::List(_) | File::Own(_), .. })
                    )
                }))
    }

    pub(super) fn open(&mut self, task: Task, slot: Slot, file: File, access: Access) {
        let free =
            (0..OpenFile::MAX).find(|number| !self.files.contains_key(number)).unwrap_or(OpenFile::MAX);
        let description = Description {
            file,
            access,
            opener: task,
            offset: Some(0),
            divides: None,
            descriptors: 1,
            excludes: true,
        };
        self.files.insert(free, description);
        if let Some(before) = self.table(task).insert(slot, free) {
            self.release(before);
        }
    }

    pub(super) fn duplicate(&mut self, task: Task, slot: Slot, to: Slot) {
        let Some(file) = self.open_file(task, slot) else { return };
        self.hold(file);
        if let Some(before) = self.table(task).insert(to, file) {
            self.release(before);
        }
    }

    pub(super) fn send(&mut self, task: Task, slot: Slot, to: Task) {
        let Some(file) = self.open_file(task, slot) else { return };
        self.hold(file);
        self.inboxes.entry(to).or_default().push_back(file);
    }

    /// Whether there is something to be received.
    pub(super) fn has_mail(&self, task: Task) -> bool {
        self.inboxes.get(&task).is_some_and(|inbox| !inbox.is_empty())
    }

    pub(super) fn receive(&mut self, task: Task, slot: Slot) {
        let Some(file) = self.inboxes.get_mut(&task).and_then(VecDeque::pop_front) else { return };
        self.inboxes.retain(|_, inbox| !inbox.is_empty());
        if let Some(before) = self.table(task).insert(slot, file) {
            self.release(before);
        }
    }

    pub(super) fn take(&mut self, task: Task, slot: Slot, from: Task, theirs: Option<Slot>) {
        let Some(file) = theirs.and_then(|theirs| self.open_file(from, theirs)) else { return };
        self.hold(file);
        if let Some(before) = self.table(task).insert(slot, file) {
            self.release(before);
        }
    }

    pub(super) fn close(&mut self, task: Task, slot: Slot) {
        let Some(file) = self.table(task).remove(&slot) else { return };
        self.release(file);
        if let (false, Some(left)) = (self.rules.holds(Rule::DuplicatesShareFile), self.files.get_mut(&file))
        {
            left.excludes = false;
        }
    }

    /// A child of fork: descriptors of its own for the same open files.
    pub(super) fn fork(&mut self, task: Task, child: Task) {
        let rights = self.rights(task);
        let copied = self.table(task).clone();
        copied.values().for_each(|file| self.hold(*file));
        self.tables.insert(child, copied);
        self.tasks.insert(child, (child, rights));
    }

    /// A thread: the same descriptors.
    pub(super) fn thread(&mut self, task: Task, child: Task) {
        let (table, rights) = *self.tasks.entry(task).or_insert((task, Rights::ALL));
        self.tasks.insert(child, (table, rights));
    }

    /// A task ends; with the last of its process go the descriptors.
    pub(super) fn end(&mut self, task: Task) {
        self.unpin(task);
        let (table, _) = self.tasks.remove(&task).unwrap_or((task, Rights::ALL));
        if !self.rules.holds(Rule::ExclusionOutlivesWriter) {
            self.files.values_mut().filter(|file| file.opener == task).for_each(|file| file.excludes = false);
        }
        if self.tasks.values().any(|(other, _)| *other == table) || !self.rules.holds(Rule::TaskEndCloses) {
            return;
        }
        let open = self.tables.remove(&table).unwrap_or_default();
        let inbox = self.inboxes.remove(&task).unwrap_or_default();
        open.into_values().chain(inbox).for_each(|file| self.release(file));
    }

    /// A call begins: another thread may close the descriptor meanwhile, and the file stays open all the same.
    pub(super) fn pin(&mut self, task: Task, slot: Slot) {
        let file = self.open_file(task, slot);
        if let Some(file) = file {
            self.hold(file);
        }
        self.pinned.insert(task, file);
    }

    /// The call ends.
    pub(super) fn unpin(&mut self, task: Task) {
        if let Some(Some(file)) = self.pinned.remove(&task) {
            self.release(file);
        }
    }

    fn hold(&mut self, file: OpenFile) {
        if let Some(description) = self.files.get_mut(&file) {
            description.descriptors = description.descriptors.saturating_add(1);
        }
    }

    fn release(&mut self, file: OpenFile) {
        let Some(description) = self.files.get_mut(&file) else { return };
        description.descriptors -= 1;
        if description.descriptors > 0 {
            return;
        }
        let write = description.access.write;
        self.files.remove(&file);
        if write && !self.rules.holds(Rule::ExclusionUntilLastClose) {
            self.files.values_mut().filter(|file| file.access.write).for_each(|file| file.excludes = false);
        }
    }

    /// The lists that are open, as far as they exclude an opening of `file`.
    fn excluding(&self, file: File) -> impl Iterator<Item = &Description> {
        let over_all = self.rules.holds(Rule::ExclusionOverAllFiles);
        self.files.values().filter(move |open| {
            matches!(open.file, File::List(_)) && open.excludes && (over_all || open.file == file)
        })
    }

    /// Whether a task has a list open that it opened for writing itself.
    fn holds_writer(&self, task: Task) -> bool {
        let table = self.tasks.get(&task).map_or(task, |(table, _)| *table);
        let open = self.tables.get(&table).into_iter().flat_map(BTreeMap::values);
        open.filter_map(|file| self.files.get(file)).any(|file| file.access.write && file.opener == task)
    }

    /// The promise that keeps `task` from opening a list so: `EBUSY`.
    pub(super) fn busy(&self, dialect: &Dialect, task: Task, file: File, access: Access) -> Option<Rule> {
        let (readers, same) = (dialect.readers_excluded, dialect.one_writer_many_files);
        let holds = self.holds_writer(task) || !self.rules.holds(Rule::PassedOnIsGivenUp);
        let rule = |open: &Description| match (access.write, open.access.write) {
            (true, true) if !same || open.opener != task => Some(Rule::OneWriter),
            (true, true) if !holds => Some(Rule::PassedOnIsGivenUp),
            (true, false) | (false, true) if !readers => {
                (!self.rules.holds(Rule::TransactionLeavesReaders)).then_some(Rule::TransactionLeavesReaders)
            }
            (true, true) => {
                (!self.rules.holds(Rule::SameWriterManyFiles)).then_some(Rule::SameWriterManyFiles)
            }
            (true, false) => Some(Rule::ReadersExcludeWriter),
            (false, true) => Some(Rule::WriterExcludesReaders),
            (false, false) => (!self.rules.holds(Rule::ReadersTogether)).then_some(Rule::ReadersTogether),
        };
        let own = self.own_excludes_lists(dialect);
        let reasons: Vec<Rule> = self.excluding(file).filter_map(rule).chain(own).collect();
        reasons.into_iter().find(|rule| {
            // A permission that was turned over refuses; a refusal that was turned over permits.
            matches!(rule, Rule::SameWriterManyFiles | Rule::ReadersTogether | Rule::TransactionLeavesReaders)
                || self.rules.holds(*rule)
        })
    }

    /// The promise by which an opening that nothing excludes has to succeed.
    pub(super) fn free(&self, file: File, access: Access) -> Rule {
        match self.excluding(file).next() {
            Some(open) if open.access.write => Rule::SameWriterManyFiles,
            Some(_) => Rule::ReadersTogether,
            None if access.write => Rule::ReadersExcludeWriter,
            None => Rule::WriterExcludesReaders,
        }
    }
}
