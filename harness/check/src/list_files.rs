//! Open measurement lists, and the interface's files beside them: what was read of each, and written to it.
//!
//! A file is followed from its opening through duplicates, children, threads and messages until its last descriptor is
//! closed. Offsets are kept as the kernel keeps them, in the open file.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use imalab_wire::{Op, Outcome, TaskId};

use super::evidence::{Ended, Evidence, Moment, OpSeen};
use imalab_formats::ima::dialect::Dialect;
use imalab_formats::ima::model::File;

/// `O_PATH`: a descriptor of a place, not of an open file.
const PATH: i32 = 0o10_000_000;

/// A list that was open, or a file beside them.
#[derive(Debug)]
pub(super) struct OpenList {
    pub(super) file: File,
    /// Place of the step that opened it.
    pub(super) step: usize,
    /// Right after it was opened: by then it excludes whom it excludes.
    pub(super) opened: Moment,
    /// Whether it can be written: then its own user may change what it shows.
    pub(super) writes: bool,
    /// Reads that gave bytes that are known, or the end of the file, in the order in which they began.
    pub(super) reads: Vec<Got>,
    /// Reads of which nobody can say where they began.
    pub(super) lost: usize,
    /// Where the next read begins.
    offset: Option<u64>,
    /// When the last call that moved the offset ended, and whose it was.
    moved: Option<(Moment, TaskId)>,
}

/// What a read gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Got {
    /// Its step and operation.
    pub(super) step: usize,
    pub(super) op: usize,
    /// Right before it and right after it.
    pub(super) begin: Moment,
    pub(super) end: Moment,
    /// Where it began, bytes.
    pub(super) offset: u64,
    /// Bytes that it gave.
    pub(super) length: u64,
    /// Whether the file then had no more.
    pub(super) to_end: bool,
}

/// Bytes that were written to a list.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) file: File,
    /// Its step.
    pub(super) step: usize,
    /// Right before it.
    pub(super) begin: Moment,
    /// Right after it; none when the task never came back from it.
    pub(super) end: Option<Moment>,
    pub(super) bytes: Cow<'a, [u8]>,
}

/// All that was done with files of lists.
#[derive(Debug, Default)]
pub(super) struct ListFiles<'a> {
    /// Every list that was opened.
    pub(super) opened: Vec<OpenList>,
    /// What was written to them and did not fail, in the order in which it began.
    pub(super) writes: Vec<Write<'a>>,
}

/// Follows descriptors through all tasks.
#[derive(Debug)]
struct Follower<'a> {
    dialect: &'static Dialect,
    files: ListFiles<'a>,
    /// Which table of descriptors a task has: a thread that of its process.
    tables: BTreeMap<TaskId, TaskId>,
    /// Open lists by table and slot.
    open: BTreeMap<(TaskId, u16), usize>,
    inboxes: BTreeMap<TaskId, VecDeque<Option<usize>>>,
    /// How many records each task last found to be in the PCR.
    found: BTreeMap<TaskId, i64>,
    /// The number that each task last read.
    number: BTreeMap<TaskId, i64>,
}

impl<'a> ListFiles<'a> {
    pub(super) fn of(evidence: &Evidence<'a>) -> ListFiles<'a> {
        let mut order: Vec<(Moment, usize, usize)> = Vec::new();
        for (at, step) in evidence.steps.iter().enumerate() {
            for (number, (op, seen)) in step.ops.iter().zip(&step.seen).enumerate() {
                order.extend(takes_effect(op, seen).map(|when| (when, at, number)));
            }
        }
        // Stable: within a step the order of its operations stays.
        order.sort_by_key(|(when, ..)| *when);
        let mut follower = Follower {
            dialect: evidence.plan.interface.dialect(),
            files: ListFiles::default(),
            tables: BTreeMap::new(),
            open: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            found: BTreeMap::new(),
            number: BTreeMap::new(),
        };
        for (_, step, op) in order {
            follower.take(evidence, step, op);
        }
        follower.files
    }
}

/// From when on an operation that did not fail counts.
fn takes_effect(op: &Op, seen: &OpSeen<'_>) -> Option<Moment> {
    match (op, seen.ended) {
        // What is received was sent before, and what another thread has begun by then is not closed to it.
        (
            Op::ReceiveDescriptor { .. } | Op::TakeDescriptor { .. } | Op::Close { .. },
            Some(Ended { end, outcome: Outcome::Value(_), .. }),
        ) => Some(end),
        (_, Some(Ended { begin, outcome: Outcome::Value(_), .. })) => Some(begin),
        (_, Some(_)) => None,
        // It may have been carried out; an opening was, where its descriptor is used.
        (
            Op::Open { .. }
            | Op::Write { .. }
            | Op::WriteAt { .. }
            | Op::WriteBadPointer { .. }
            | Op::WriteFound { .. }
            | Op::WriteFilled { .. }
            | Op::SpliceIn { .. },
            None,
        ) => seen.started,
        (_, None) => None,
    }
}

impl<'a> Follower<'a> {
    fn table(&self, task: TaskId) -> TaskId {
        self.tables.get(&task).copied().unwrap_or(task)
    }

    fn get(&mut self, task: TaskId, slot: u16) -> Option<&mut OpenList> {
        let open = *self.open.get(&(self.table(task), slot))?;
        self.files.opened.get_mut(open)
    }

    fn take(&mut self, evidence: &Evidence<'a>, at: usize, number: usize) {
        let step = &evidence.steps[at];
        let task = step.planned.task;
        let (op, seen) = (&step.ops[number], &step.seen[number]);
        self.write(task, at, op, seen);
        let Some(ended) = seen.ended else {
            if let (Op::Open { slot, path, flags, .. }, Some(started)) = (op, seen.started) {
                self.open(task, *slot, path, *flags, (at, started));
            }
            return;
        };
        let Outcome::Value(value) = ended.outcome else { return };
        let length = u64::try_from(value).unwrap_or_default();
        let got = |offset, to_end| Got {
            step: at,
            op: number,
            begin: ended.begin,
            end: ended.end,
            offset,
            length,
            to_end,
        };
        // Bytes that did not arrive are not known; the end of a file is, without any.
        let known = seen.length == length;
        match *op {
            Op::Open { slot, ref path, flags, .. } => self.open(task, slot, path, flags, (at, ended.end)),
            Op::Close { slot } => {
                self.open.remove(&(self.table(task), slot));
            }
            Op::Duplicate { slot, to } => {
                let table = self.table(task);
                if let Some(open) = self.open.get(&(table, slot)).copied() {
                    self.open.insert((table, to), open);
                }
            }
            Op::Fork { task: child } => {
                let table = self.table(task);
                let copied: Vec<(u16, usize)> = self
                    .open
                    .range((table, 0)..=(table, u16::MAX))
                    .map(|((_, slot), open)| (*slot, *open))
                    .collect();
                self.open.extend(copied.into_iter().map(|(slot, open)| ((child, slot), open)));
            }
            Op::Thread { task: child } => {
                let table = self.table(task);
                self.tables.insert(child, table);
            }
            Op::SendDescriptor { slot, to } => {
                let open = self.open.get(&(self.table(task), slot)).copied();
                self.inboxes.entry(to).or_default().push_back(open);
            }
            Op::ReceiveDescriptor { slot } => {
                let table = self.table(task);
                if let Some(Some(open)) = self.inboxes.get_mut(&task).and_then(VecDeque::pop_front) {
                    self.open.insert((table, slot), open);
                }
            }
            Op::TakeDescriptor { slot, from } => {
                let theirs = evidence.transfer_during(from, (at, number));
                let open = theirs.and_then(|theirs| self.open.get(&(self.table(from), theirs)).copied());
                if let Some(open) = open {
                    self.open.insert((self.table(task), slot), open);
                }
            }
            Op::Read { slot, limit, .. } => {
                let to_end = limit.is_none_or(|limit| length < limit);
                if let Some(open) = self.get(task, slot) {
                    open.read(task, known, |offset| got(offset, to_end));
                }
            }
            Op::ReadAt { slot, offset, .. } => {
                if let (Some(open), Ok(offset), true) = (self.get(task, slot), u64::try_from(offset), known) {
                    open.reads.push(got(offset, false));
                }
            }
            Op::ReadThrough { slot } => {
                if let (Some(open), true) = (self.get(task, slot), known) {
                    open.reads.push(got(0, true));
                }
            }
            Op::SpliceOut { slot, .. } => {
                if let Some(open) = self.get(task, slot) {
                    open.read(task, known, |offset| got(offset, false));
                }
            }
            Op::FindQuoted { slot, .. } => {
                self.found.insert(task, value);
                if let Some(open) = self.get(task, slot) {
                    open.seek(task, ended.end, Some(0));
                    // Its value is a number of records.
                    let (length, known) = (seen.length, seen.length > 0);
                    open.read(task, known, |offset| Got { length, ..got(offset, true) });
                    if !known {
                        open.seek(task, ended.end, None);
                    }
                }
            }
            Op::ReadNumber { .. } => {
                self.number.insert(task, value);
            }
            Op::Seek { slot, offset, whence } => {
                if let Some(open) = self.get(task, slot) {
                    let relative = open.offset.and_then(|before| before.checked_add_signed(offset));
                    let expected = if whence == 1 { relative } else { u64::try_from(offset).ok() };
                    let to = u64::try_from(value).ok().filter(|to| whence <= 1 && expected == Some(*to));
                    open.seek(task, ended.end, to);
                }
            }
            _ => {}
        }
    }

    /// Notes what was written, or was to be.
    fn write(&mut self, task: TaskId, at: usize, op: &'a Op, seen: &OpSeen<'_>) {
        let (slot, bytes) = match op {
            Op::Write { slot, bytes } | Op::WriteAt { slot, bytes, .. } => (*slot, Cow::Borrowed(&bytes[..])),
            // Whoever takes it all the same has not looked at it: it is as long as that, and nobody knows what it is.
            Op::WriteBadPointer { slot, bytes } => {
                (*slot, Cow::Borrowed(if *bytes == 0 { &[][..] } else { &[0][..] }))
            }
            Op::SpliceIn { slot, bytes } => {
                let taken = match seen.outcome() {
                    Some(Outcome::Value(taken)) => usize::try_from(taken).unwrap_or(0).min(bytes.len()),
                    _ => bytes.len(),
                };
                (*slot, Cow::Borrowed(&bytes[..taken]))
            }
            Op::WriteFound { slot } => match self.found.get(&task) {
                Some(found) if *found > 0 => (*slot, Cow::Owned(format!("{found}\n").into_bytes())),
                _ => return,
            },
            Op::WriteFilled { slot, text } => {
                let (number, found) = (self.number.get(&task).copied(), self.found.get(&task).copied());
                match imalab_wire::filled(text, number, found) {
                    Some(text) => (*slot, Cow::Owned(text.into_bytes())),
                    None => return,
                }
            }
            _ => return,
        };
        let Some((begin, _)) = seen.span() else { return };
        let Some(file) = self.get(task, slot).map(|open| open.file) else { return };
        let end = seen.ended.map(|ended| ended.end);
        self.files.writes.push(Write { file, step: at, begin, end, bytes });
    }

    fn open(&mut self, task: TaskId, slot: u16, path: &str, flags: i32, (step, opened): (usize, Moment)) {
        let table = self.table(task);
        self.open.remove(&(table, slot));
        let file = self.dialect.file(path);
        if !matches!(file, File::List(_) | File::Own(_)) {
            return;
        }
        if flags & PATH != 0 || flags & 3 == 3 {
            return;
        }
        let (offset, writes) = (Some(0), flags & 3 != 0);
        self.open.insert((table, slot), self.files.opened.len());
        self.files.opened.push(OpenList {
            file,
            step,
            opened,
            writes,
            reads: Vec::new(),
            lost: 0,
            offset,
            moved: None,
        });
    }
}

impl OpenList {
    /// A read at the offset, which it moves.
    fn read(&mut self, task: TaskId, known: bool, got: impl Fn(u64) -> Got) {
        let got_it = got(self.offset.unwrap_or_default());
        // Two at once share the bytes out among themselves in a way that nobody knows.
        let overlaps = self.moved.is_some_and(|(end, other)| other != task && end > got_it.begin);
        match self.offset.filter(|_| !overlaps) {
            Some(offset) => {
                if known {
                    self.reads.push(got_it);
                }
                self.offset = Some(offset + got_it.length);
            }
            None => {
                self.lost += 1;
                self.offset = None;
            }
        }
        self.moved = Some((got_it.end, task));
    }

    fn seek(&mut self, task: TaskId, end: Moment, to: Option<u64>) {
        self.offset = to;
        self.moved = Some((end, task));
    }
}
