//! System calls that a scenario spells out, on descriptors that it names.

use std::collections::BTreeMap;

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::compile::Built;
use super::types::{Action, Expect, Observed, Reading};
use crate::ima::Bank;
use crate::interface::{Adapter, Deed, IMA, read_whole};
use crate::scenario::{Access, Call, File};

/// Slot of the verbs' own descriptors; those that a scenario names come after it.
pub(super) const OWN: Slot = 0;

/// The descriptors that a task has open, by the scenario's names for them.
#[derive(Default)]
pub(super) struct Descriptors {
    open: BTreeMap<String, Descriptor>,
}

struct Descriptor {
    slot: Slot,
    file: File,
    /// Whether it has been read from; a request written to a list leaves the offset as it is.
    read: bool,
}

impl Descriptors {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Translates a call.
    pub(super) fn call(&mut self, adapter: &dyn Adapter, call: &Call, expect: Expect) -> Built {
        let mut action = Action::SystemCall;
        let mut reads = Vec::new();
        let (text, op) = match call {
            Call::Open { slot, file, access } => {
                let (name, path) = path(adapter, file);
                let (flags, how) = match access {
                    Access::Read => (OFlag::O_RDONLY, "read"),
                    Access::Write => (OFlag::O_WRONLY, "write"),
                    Access::ReadWrite => (OFlag::O_RDWR, "read-write"),
                    Access::Create => (OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC, "create"),
                };
                let number = self.take(slot, file, expect);
                let op = Op::Open { slot: number, path, flags: flags.bits(), mode: 0o600 };
                (format!("open {slot} {name} {how}"), op)
            }
            Call::Read { slot, limit, chunk } => {
                let (number, of) = self.read(slot, *limit);
                reads.extend(of.map(|of| Reading { op: 0, of }));
                action = reading(of);
                let op = Op::Read { slot: number, chunk: *chunk, limit: *limit, send: of.is_some() };
                (format!("read {slot}"), op)
            }
            Call::Write { slot, text } => {
                let mut number = OWN;
                if let Some(descriptor) = self.open.get(slot) {
                    number = descriptor.slot;
                    if let File::List { staged, .. } = descriptor.file {
                        action = adapter.meaning(staged, text).unwrap_or(Action::SystemCall);
                    }
                }
                (
                    format!("write {slot} {text:?}"),
                    Op::Write { slot: number, bytes: text.clone().into_bytes() },
                )
            }
            Call::Close { slot } => {
                let number = self.open.remove(slot).map_or(OWN, |descriptor| descriptor.slot);
                (format!("close {slot}"), Op::Close { slot: number })
            }
        };
        Built { text, deed: Deed { ops: vec![op], reads }, action, expect }
    }

    /// The lowest free slot becomes the descriptor's, unless its open is to fail.
    fn take(&mut self, name: &str, file: &File, expect: Expect) -> Slot {
        let free = (OWN + 1..).find(|slot| self.open.values().all(|open| open.slot != *slot));
        let slot = free.unwrap_or(Slot::MAX);
        if !matches!(expect, Expect::Errno(_)) {
            self.open.insert(name.to_owned(), Descriptor { slot, file: file.clone(), read: false });
        }
        slot
    }

    /// The descriptor's slot, and what reading it shows: only a file read from its start to its end shows what it
    /// holds.
    fn read(&mut self, name: &str, limit: Option<u64>) -> (Slot, Option<Observed>) {
        let Some(descriptor) = self.open.get_mut(name) else { return (OWN, None) };
        let fresh = !std::mem::replace(&mut descriptor.read, true) && limit.is_none();
        (descriptor.slot, observed(&descriptor.file).filter(|_| fresh))
    }
}

/// Opens a file, reads it whole and closes it, in one step.
pub(super) fn view(adapter: &dyn Adapter, file: &File, expect: Expect) -> Built {
    let (name, path) = path(adapter, file);
    let of = observed(file);
    Built { text: format!("view {name}"), deed: read_whole(OWN, path, of), action: reading(of), expect }
}

/// Reading the staged list whole is what saving is.
fn reading(of: Option<Observed>) -> Action {
    match of {
        Some(Observed::List { staged: true, .. }) => Action::Save,
        _ => Action::SystemCall,
    }
}

/// A file's short name and its path.
fn path(adapter: &dyn Adapter, file: &File) -> (String, String) {
    let in_ima = |name: &str| (name.to_owned(), format!("{IMA}/{name}"));
    match file {
        File::List { form, bank, staged } => {
            let path = adapter.list(*form, *bank, *staged).unwrap_or_default();
            (path.rsplit('/').next().unwrap_or_default().to_owned(), path)
        }
        File::Count => in_ima("runtime_measurements_count"),
        File::Violations => in_ima("violations"),
        File::Path(path) => (path.clone(), path.clone()),
    }
}

/// What reading a file whole shows.
fn observed(file: &File) -> Option<Observed> {
    match file {
        File::List { form, bank, staged } => {
            // Files without a bank in their name are links to the sha1 files (`ima_fs_init`).
            Some(Observed::List { form: *form, bank: bank.unwrap_or(Bank::Sha1), staged: *staged })
        }
        File::Count => Some(Observed::Count),
        File::Violations => Some(Observed::Violations),
        File::Path(_) => None,
    }
}
