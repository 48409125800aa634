//! What a finding is about, as data: steps, operations, records, lists, extends.

use imalab_wire::Op;
use nix::errno::Errno;

use super::evidence::{Evidence, Extend, ListSeen, RecordId};
use super::ledger::Source;
use super::log::WholeLog;
use super::reconstruction::Reconstruction;
use imalab_formats::ima::dialect::Dialect;
use imalab_formats::ima::model::{ListFile, Rule, Words};
use imalab_formats::ima::{Bank, Digest};
use imalab_language::finding::{self, List, Operation, Place, Promise, Record, Step, Value};
use imalab_language::plan::Form;

/// Most bytes of what is written that a finding has.
const BYTES: usize = 32;

impl Evidence<'_> {
    /// The step at a place of the evidence.
    pub(super) fn step(&self, at: usize) -> Step {
        let Some(seen) = self.steps.get(at) else {
            let id = u32::try_from(at).unwrap_or(u32::MAX);
            return Step { id, text: String::new(), line: 0, task: String::new(), boot: 0 };
        };
        let planned = seen.planned;
        let task = self.plan.program.tasks.get(usize::from(planned.task));
        Step {
            id: planned.id,
            text: planned.text.clone(),
            line: planned.line,
            task: task.map(|task| task.name.clone()).unwrap_or_default(),
            boot: task.map_or(0, |task| task.boot),
        }
    }

    /// An operation of the step at a place of the evidence.
    pub(super) fn operation(&self, at: usize, number: usize) -> Option<Operation> {
        self.steps.get(at)?.ops.get(number).map(|op| operation(number, op))
    }

    /// A record by itself.
    pub(super) fn record(&self, id: RecordId) -> Record {
        let known = self.records.get(id);
        let shown = known.is_shown();
        Record {
            number: None,
            name: shown.then(|| known.name()),
            template: shown.then(|| known.template.to_owned()),
            digest: Some(digest(&self.records.extended(id, 0))),
            violation: known.violation,
            place: None,
        }
    }

    /// A record with its place in some list, from 0.
    pub(super) fn record_at(&self, id: RecordId, at: usize) -> Record {
        Record { number: Some(at as u64 + 1), ..self.record(id) }
    }

    /// The record at a place of the whole log, from 0, and where it was read.
    pub(super) fn record_of(&self, whole: &Reconstruction, at: usize) -> Option<Record> {
        let id = whole.records.get(at)?;
        let place = whole.place(at).map(|(stretch, inside)| {
            let (list, step) = match stretch.source {
                Source::Saved(step) => ("saved", step),
                Source::Staged(step) => ("staged", step),
                Source::Trimmed(step) => ("trimmed", step),
                Source::Current(step) => ("current", step),
                Source::Lost(step) => ("lost", step),
                Source::Gap { by, .. } => ("unread", by),
            };
            Place { list: list.to_owned(), number: inside as u64 + 1, step: self.step(step) }
        });
        Some(Record { place, ..self.record_at(id, at) })
    }

    /// An extend at its place among others, from 0.
    pub(super) fn extend(&self, at: usize, extend: &Extend) -> finding::Extend {
        let first = extend.digests.iter().flatten().next();
        let violation = first.is_some_and(|digest| *digest == Digest::ones(digest.bank()));
        let known = first.filter(|_| !violation).and_then(|digest| {
            let bank = self.records.active().iter().position(|bank| *bank == digest.bank())?;
            self.records.with_digest(bank, digest)
        });
        finding::Extend {
            number: at as u64 + 1,
            event: extend.seq,
            pcr: extend.pcr,
            digest: first.map(digest),
            record: known.map(|id| self.records.get(id).name()),
            violation,
        }
    }

    /// Names of the machine's banks.
    pub(super) fn banks(&self) -> Vec<String> {
        names(self.records.active().iter().copied())
    }
}

impl WholeLog<'_> {
    /// The record at a place of the whole log, from 0; of one that nobody read there is only its place.
    pub(super) fn record(&self, evidence: &Evidence<'_>, at: usize) -> Record {
        let number = Some(at as u64 + 1);
        match self.id(at) {
            Some(id) => Record { number, ..evidence.record(id) },
            None => Record::unknown(at as u64 + 1),
        }
    }
}

/// Names of banks, in their order.
pub(super) fn names(banks: impl Iterator<Item = Bank>) -> Vec<String> {
    banks.map(|bank| bank.name().to_owned()).collect()
}

/// `BANK:HEX`.
pub(super) fn digest(digest: &Digest) -> String {
    format!("{}:{digest}", digest.bank())
}

/// A list that was read.
pub(super) fn list(seen: &ListSeen) -> List {
    of_list(seen.form == Form::Ascii, seen.bank, seen.is_staged())
}

/// A list that is open.
pub(super) fn open_list(file: ListFile) -> List {
    of_list(file.ascii, file.bank, file.is_staged())
}

fn of_list(ascii: bool, bank: Bank, staged: bool) -> List {
    let form = if ascii { "ascii" } else { "binary" };
    List { form: form.to_owned(), bank: bank.name().to_owned(), staged }
}

/// `EEXIST`.
pub(super) fn errno(errno: i32) -> Value {
    Value::word(errno_name(errno))
}

/// `EEXIST`.
pub(super) fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

/// A rule of the reference model, with the words of who made it: of the interface, where it has its own for it.
pub(super) fn promise(rule: Rule, dialect: &Dialect) -> Promise {
    let (words, source) = rule.said_by(dialect);
    Promise {
        rule: rule.name(),
        says: rule.promise().to_owned(),
        quoted: match words {
            Words::Quoted { text, .. } => Some(text.to_owned()),
            Words::Ours => None,
        },
        source: source.to_owned(),
    }
}

/// An operation at its place in a step.
pub fn operation(number: usize, op: &Op) -> Operation {
    let of = |call: &str| Operation {
        number: u16::try_from(number).unwrap_or(u16::MAX),
        call: call.to_owned(),
        path: None,
        slot: None,
        bytes: None,
        count: None,
    };
    let on = |call: &str, slot: u16| Operation { slot: Some(slot), ..of(call) };
    let at = |call: &str, path: &str| Operation { path: Some(path.to_owned()), ..of(call) };
    let counted = |call: &str, count: u64| Operation { count: Some(count), ..of(call) };
    let files = |call: &str, dir: &str, name: &str, count: u64| Operation {
        count: Some(count),
        ..at(call, &format!("{dir}/{name}-*"))
    };
    let bytes = |written: &[u8], operation: Operation| Operation {
        bytes: Some(written.get(..BYTES).unwrap_or(written).escape_ascii().to_string()),
        ..operation
    };
    match op {
        Op::Open { slot, path, .. } => Operation { slot: Some(*slot), ..at("open", path) },
        Op::Read { slot, .. } => on("read", *slot),
        Op::Write { slot, bytes: written } => bytes(written, on("write", *slot)),
        Op::Seek { slot, .. } => on("seek", *slot),
        Op::Close { slot } => on("close", *slot),
        Op::ReadAt { slot, .. } => on("read-at", *slot),
        Op::WriteAt { slot, bytes: written, .. } => bytes(written, on("write-at", *slot)),
        Op::ReadBadPointer { slot, .. } => on("read-bad-pointer", *slot),
        Op::WriteBadPointer { slot, .. } => on("write-bad-pointer", *slot),
        Op::Duplicate { slot, .. } => on("duplicate", *slot),
        Op::Map { slot, .. } => on("map", *slot),
        Op::SpliceOut { slot, .. } => on("splice-out", *slot),
        Op::SpliceIn { slot, bytes: written } => bytes(written, on("splice-in", *slot)),
        Op::Poll { slot, .. } => on("poll", *slot),
        Op::Truncate { slot, .. } => on("truncate", *slot),
        Op::Fork { task } => counted("fork task", u64::from(*task)),
        Op::Thread { task } => counted("thread task", u64::from(*task)),
        Op::SendDescriptor { slot, .. } => on("send-descriptor", *slot),
        Op::ReceiveDescriptor { slot } => on("receive-descriptor", *slot),
        Op::TakeDescriptor { slot, .. } => on("take-descriptor", *slot),
        Op::Exit { .. } => of("exit"),
        Op::Kill { task, .. } => counted("kill task", u64::from(*task)),
        Op::AwaitBlocked { task } => counted("await-blocked task", u64::from(*task)),
        Op::DropCapability { .. } => of("drop-capability"),
        Op::SetUser { .. } => of("set-user"),
        Op::NewUserNamespace => of("new-user-namespace"),
        Op::SetLimit { .. } => of("set-limit"),
        Op::Clock { .. } => of("clock"),
        Op::Create { path, bytes: written } => bytes(written, at("create", path)),
        Op::Execute { dir, name, count, .. } => files("execute", dir, name, *count),
        Op::MapExecute { dir, name, count, .. } => files("map-execute", dir, name, *count),
        Op::Violate { dir, name, count, .. } => files("violate", dir, name, *count),
        Op::LoadModule { dir, name, .. } => at("load-module", &format!("{dir}/{name}")),
        Op::FindQuoted { slot, .. } => on("find-quoted", *slot),
        Op::WriteFound { slot } => on("write-found", *slot),
        Op::ReadNumber { slot } => on("read-number", *slot),
        Op::WriteFilled { slot, text } => bytes(text.as_bytes(), on("write-filled", *slot)),
        Op::ReleaseHold { hold } => counted("release-hold", *hold),
        Op::KexecLoad { kernel, .. } => at("kexec-load", kernel),
        Op::KexecUnload => of("kexec-unload"),
        Op::KexecExecute => of("kexec-execute"),
        Op::Measure { dir, name, count, .. } => files("measure", dir, name, *count),
        Op::List { path } => at("list", path),
        Op::Release => of("uname"),
        Op::Barrier { id, .. } => counted("barrier", u64::from(*id)),
        Op::Mark { number, .. } => counted("mark", *number),
        Op::Mount { target, .. } => at("mount", target),
        Op::KexecLoadSegments { kernel, .. } => at("kexec-load-segments", kernel),
        Op::Panic => of("panic"),
        Op::ListModes { path } => at("list-modes", path),
        Op::Tell { .. } => of("tell"),
        Op::Start { task } => counted("start task", u64::from(*task)),
        Op::Run { run } => at("run", &run.path),
        Op::AwaitLine { task, .. } => counted("await-line of task", u64::from(*task)),
        Op::AwaitEnd { task } => counted("await-end of task", u64::from(*task)),
        Op::EndProgram { task, .. } => counted("end-program of task", u64::from(*task)),
        Op::ReadThrough { slot } => on("read-through", *slot),
    }
}
