//! Operations of the agent as events of the model.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::{Op, Outcome, TaskId, Violation};

use super::event::{Does, Event, Files, Way};
use super::policy::Policy;
use crate::evidence::Evidence;
use crate::log::WholeLog;
use imalab_formats::ima::model::{Access, Call, File, Found, Written};
use imalab_language::plan::Plan;

/// Linux x86-64 `O_*` bits by which an open asks for more than access: `O_EXCL`, `O_DIRECT`, `O_DIRECTORY`,
/// `O_NOFOLLOW`, `O_TMPFILE`.
const ODD: i32 = 0o200 | 0o40_000 | 0o200_000 | 0o400_000 | 0o20_000_000;
/// `O_PATH`: a descriptor of a place, not of an open file.
const PATH: i32 = 0o10_000_000;

/// Makes events of operations.
pub(super) struct Maker<'e, 'l> {
    evidence: &'e Evidence<'e>,
    log: &'l WholeLog<'l>,
    policy: Policy,
    /// Operations that became events.
    pub(super) ops: usize,
    /// Operations on files that are nothing of the list.
    pub(super) foreign: usize,
    /// What each task's last [`Op::FindQuoted`] gave.
    found: BTreeMap<TaskId, i64>,
    /// What each task's last [`Op::ReadNumber`] gave.
    number: BTreeMap<TaskId, i64>,
    /// Tasks that share their descriptors with another.
    threads: BTreeSet<TaskId>,
}

impl<'e, 'l> Maker<'e, 'l> {
    pub(super) fn new(evidence: &'e Evidence<'e>, log: &'l WholeLog<'l>, policy: Policy) -> Self {
        let threads = threads(evidence.plan);
        Maker {
            evidence,
            log,
            policy,
            ops: 0,
            foreign: 0,
            found: BTreeMap::new(),
            number: BTreeMap::new(),
            threads,
        }
    }

    /// Adds the events of a step.
    pub(super) fn step(&mut self, at: usize, into: &mut Vec<Event<'e>>) {
        let step = &self.evidence.steps[at];
        for (op, (what, seen)) in step.ops.iter().zip(&step.seen).enumerate() {
            let Some((begin, end)) = seen.span() else { continue };
            let mut found = match seen.outcome() {
                Some(Outcome::Value(value)) => Found::Value(value),
                Some(Outcome::Errno(errno)) => Found::Errno(errno),
                _ => Found::Never,
            };
            let mut does = Vec::new();
            self.op((at, op), what, &mut found, &mut does);
            self.ops += usize::from(!does.is_empty());
            if self.threads.contains(&step.planned.task)
                && let [does_it] = does.as_slice()
                && let Some(slot) = slot(does_it)
            {
                does.insert(0, Does::Call(Call::Pin { slot }));
                does.push(Does::Call(Call::Unpin));
            }
            let own = !self.evidence.plan.interface.dialect().own_files.is_empty();
            let measures = does.iter().any(|does| measures(does, own));
            for does in does {
                let length = self.length(&does, &step.ops[..op]);
                into.push(Event { step: at, op, begin, end, does, found, length, measures });
            }
        }
    }

    /// Length of the whole log when a list was read. What comes after the last record that is there once was read as
    /// well.
    fn length(&self, does: &Does<'_>, before: &[Op]) -> Option<usize> {
        let Does::List { slot, records, .. } = does else { return None };
        let opened = before.iter().rev().find_map(|op| match op {
            Op::Open { slot: own, path, .. } if own == slot => Some(path),
            _ => None,
        });
        // What divides the list shows no more than was there when it was opened.
        if opened.is_some_and(|path| matches!(self.file(path), File::Own(_))) {
            return None;
        }
        let mut last = (0..records.len()).rev().filter_map(|at| records.get(at)).enumerate();
        last.find_map(|(after, id)| Some(self.log.only_place(id)? + 1 + after))
    }

    fn op(&mut self, at: (usize, usize), op: &'e Op, found: &mut Found, into: &mut Vec<Does<'e>>) {
        let task = self.evidence.steps[at.0].planned.task;
        let does = match *op {
            Op::Open { slot, ref path, flags, .. } => Does::Call(self.open(slot, path, flags)),
            Op::Read { slot, limit, .. } => self.read(at, slot, Way::On, Call::Read { slot, limit }),
            Op::ReadThrough { slot } => {
                let call = Call::ReadAt { slot, offset: 0, bytes: u64::MAX };
                self.read(at, slot, Way::Through, call)
            }
            Op::ReadAt { slot, offset, bytes, .. } => {
                Does::Call(Call::ReadAt { slot, offset, bytes: u64::from(bytes) })
            }
            Op::Write { slot, ref bytes } => Does::Write { slot, bytes: Cow::Borrowed(bytes) },
            Op::WriteAt { slot, offset, ref bytes } => {
                Does::Call(Call::Write { slot, written: Written::Bytes(bytes), at: Some(offset) })
            }
            Op::WriteBadPointer { slot, bytes } => {
                Does::Call(Call::Write { slot, written: Written::Nowhere(bytes as usize), at: None })
            }
            Op::Seek { slot, offset, whence } => Does::Call(Call::Seek { slot, offset, whence }),
            Op::Close { slot } => Does::Call(Call::Close { slot }),
            Op::Duplicate { slot, to } => Does::Call(Call::Duplicate { slot, to }),
            Op::SpliceIn { slot, ref bytes } => match *found {
                // What was taken was written.
                Found::Value(taken) => {
                    let taken = usize::try_from(taken).unwrap_or(0).min(bytes.len());
                    Does::Write { slot, bytes: Cow::Borrowed(&bytes[..taken]) }
                }
                _ => Does::Call(Call::Harmless { slot }),
            },
            Op::ReadBadPointer { slot, .. }
            | Op::Map { slot, .. }
            | Op::Poll { slot, .. }
            | Op::Truncate { slot, .. } => Does::Call(Call::Harmless { slot }),
            Op::SpliceOut { slot, .. } => Does::Call(Call::Moving { slot }),
            Op::FindQuoted { slot, .. } => {
                if let Found::Value(number) = *found {
                    self.found.insert(task, number);
                }
                Does::Call(Call::Moving { slot })
            }
            Op::ReadNumber { slot } => match *found {
                Found::Value(number) => {
                    self.number.insert(task, number);
                    Does::Call(Call::Number { slot, number: u64::try_from(number).unwrap_or_default() })
                }
                _ => Does::Call(Call::Harmless { slot }),
            },
            Op::WriteFilled { slot, ref text } => {
                let (number, records) = (self.number.get(&task).copied(), self.found.get(&task).copied());
                match imalab_wire::filled(text, number, records) {
                    Some(text) => Does::Write { slot, bytes: Cow::Owned(text.into_bytes()) },
                    None => return,
                }
            }
            Op::WriteFound { slot } => {
                let Some(bytes) = self.number_found(task, found) else { return };
                Does::Write { slot, bytes: Cow::Owned(bytes) }
            }
            Op::Fork { task } => Does::Call(Call::Fork { child: task }),
            Op::Thread { task } => Does::Call(Call::Thread { child: task }),
            Op::SendDescriptor { slot, to } => Does::Call(Call::Send { slot, to }),
            Op::ReceiveDescriptor { slot } => Does::Call(Call::Receive { slot }),
            Op::TakeDescriptor { .. } if !matches!(*found, Found::Value(_)) => return,
            Op::TakeDescriptor { slot, from } => {
                Does::Call(Call::Take { slot, from, theirs: self.evidence.transfer_during(from, at) })
            }
            Op::DropCapability { capability } => Does::Call(Call::Drop { capability }),
            Op::SetUser { uid } => Does::Call(Call::SetUser { uid }),
            Op::NewUserNamespace => Does::Call(Call::NewNamespace),
            Op::SetLimit { .. } => Does::Call(Call::Limit),
            // Of a panic nobody is notified: what was going on ends where it is.
            Op::Panic if *found == Found::Never => return,
            Op::KexecExecute if *found == Found::Never => {
                *found = Found::Value(0);
                Does::Call(Call::Suspend)
            }
            Op::Measure { ref dir, ref name, ref salt, first, count } => {
                return self.measured((dir, name, salt), (first, count), None, *found, into);
            }
            Op::Violate { ref dir, ref name, ref salt, first, count, kind } => {
                return self.measured((dir, name, salt), (first, count), Some(kind), *found, into);
            }
            Op::Create { .. }
            | Op::Execute { .. }
            | Op::MapExecute { .. }
            | Op::LoadModule { .. }
            | Op::KexecLoad { .. }
            | Op::KexecLoadSegments { .. }
            | Op::KexecUnload
            | Op::KexecExecute
            | Op::Run { .. }
            | Op::Panic => {
                self.foreign += 1;
                Does::Other
            }
            Op::Exit { .. }
            | Op::Kill { .. }
            | Op::Start { .. }
            | Op::AwaitLine { .. }
            | Op::AwaitEnd { .. }
            | Op::EndProgram { .. }
            | Op::AwaitBlocked { .. }
            | Op::Clock { .. }
            | Op::ReleaseHold { .. }
            | Op::List { .. }
            | Op::ListModes { .. }
            | Op::Release
            | Op::Barrier { .. }
            | Op::Mark { .. }
            | Op::Mount { .. }
            | Op::Tell { .. } => return,
        };
        into.push(does);
    }

    fn file(&self, path: &str) -> File {
        self.evidence.plan.interface.dialect().file(path)
    }

    fn open(&mut self, slot: u16, path: &str, flags: i32) -> Call<'e> {
        let mode = flags & 3;
        let file = if flags & PATH != 0 || mode == 3 { File::Other } else { self.file(path) };
        self.foreign += usize::from(file == File::Other);
        let access = Access { read: mode != 1, write: mode != 0 };
        Call::Open { slot, file, access, odd: flags & ODD != 0 }
    }

    fn read(&self, (step, op): (usize, usize), slot: u16, read: Way, call: Call<'e>) -> Does<'e> {
        let is = |other: u16| usize::from(other) == op;
        let evidence = self.evidence;
        if let Some(counter) = evidence.counters_of(step).iter().find(|counter| is(counter.op)) {
            return Does::Counter { slot, number: counter.value };
        }
        let list = evidence.lists_of(step).iter().find(|list| is(list.op) && list.broken.is_none());
        match list.and_then(|list| Some((list.records.as_ref()?, list.is_staged()))) {
            Some((records, staged)) => Does::List { slot, records, staged, read },
            None => Does::Call(call),
        }
    }

    /// The bytes that were written, or were to be; none when there was nothing to be written.
    fn number_found(&self, task: TaskId, found: &mut Found) -> Option<Vec<u8>> {
        let number = self.found.get(&task)?;
        if *number <= 0 {
            return None;
        }
        let bytes = format!("{number}\n").into_bytes();
        if *found == Found::Value(*number) {
            *found = Found::Value(bytes.len() as i64);
        }
        Some(bytes)
    }

    /// Files that were measured, or violated.
    fn measured(
        &self,
        (dir, name, salt): (&'e str, &'e str, &'e str),
        (first, count): (u64, u64),
        violates: Option<Violation>,
        found: Found,
        into: &mut Vec<Does<'e>>,
    ) {
        let certain = self.policy.measures && matches!(found, Found::Value(_));
        let files = Files { dir, name, salt, first, count, violates, certain };
        into.extend((files.looks() > 0).then_some(Does::Files(files)));
    }
}

/// Tasks that are threads, or have any.
fn threads(plan: &Plan) -> BTreeSet<TaskId> {
    let mut threads = BTreeSet::new();
    for (task, number) in plan.program.tasks.iter().zip(0..) {
        for op in task.steps.iter().flat_map(|step| &step.ops) {
            if let Op::Thread { task: child } = op {
                threads.extend([number, *child]);
            }
        }
    }
    threads
}

/// The descriptor whose file a call has in use while it lasts.
fn slot(does: &Does<'_>) -> Option<u16> {
    match *does {
        Does::Write { slot, .. } | Does::List { slot, .. } | Does::Counter { slot, .. } => Some(slot),
        Does::Call(
            Call::Write { slot, .. }
            | Call::Read { slot, .. }
            | Call::ReadAt { slot, .. }
            | Call::Seek { slot, .. }
            | Call::Harmless { slot }
            | Call::Moving { slot },
        ) => Some(slot),
        _ => None,
    }
}

/// Whether doing it may make records that the program does not name; an interface with files of its `own` may record what is
/// asked for there.
fn measures(does: &Does<'_>, own: bool) -> bool {
    let asks = matches!(does, Does::Write { .. } | Does::Call(Call::Open { file: File::Own(_), .. }));
    own && asks
        || matches!(does, Does::Other | Does::Call(Call::Suspend | Call::Open { file: File::Other, .. }))
}
