//! Verbs become system calls, in the words of a kernel's dialect.
//!
//! What dialects there are is data ([`imalab_formats::ima::dialect`]); which one a kernel speaks is found out by [`probe`], never
//! concluded from its version.

mod capability;
mod encode;
mod finding;
pub mod probe;

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

pub use capability::{Capabilities, Capability};
pub use finding::{FindingCode, ProbeFinding};

use crate::plan::{Action, Form, Interface, Observed, Reading};
use imalab_formats::ima::Bank;

/// Folder of the measurement files in the guest (`ima_fs_init` in `security/integrity/ima/ima_fs.c`).
pub const IMA: &str = "/sys/kernel/security/integrity/ima";

/// The TPM's device in the guest.
pub const TPM: &str = "/dev/tpm0";

/// Folder of the tmpfs that the agent mounts, where measured files are created.
pub const MEASURED: &str = "/m";

/// Bytes asked for by each `read(2)` of a whole file.
const CHUNK: u32 = 64 * 1024;

/// A verb in system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// The calls.
    pub ops: Vec<Op>,
    /// Which of them read something that means something.
    pub reads: Vec<Reading>,
}

/// How a kernel interface does the verbs; `None` where it has no way to.
pub trait Adapter: Sync {
    /// Path of a measurement list; without a bank, of the file that has none in its name.
    fn list(&self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String>;

    /// Moves the current list to the staged list.
    fn stage(&self, slot: Slot) -> Option<Deed>;

    /// Reads the staged list.
    fn save(&self, slot: Slot) -> Option<Deed>;

    /// Removes the staged list.
    fn delete(&self, slot: Slot) -> Option<Deed>;

    /// Reads the current list and removes its first records.
    fn trim(&self, slot: Slot, records: u64) -> Option<Deed>;

    /// Reads the current list, finds how many of its records the TPM's PCR accounts for, and removes those.
    fn trim_found(&self, slot: Slot) -> Option<Deed>;

    /// Opens a file of a list, reads it to its end, closes it: where nothing is staged, that is no error, whatever the kernel
    /// says.
    fn read(&self, slot: Slot, path: String, of: Observed) -> Deed;

    /// What writing this to a measurement list does to it when the kernel takes it.
    fn meaning(&self, staged: bool, text: &str) -> Option<Action>;
}

/// The adapter of an interface.
pub fn adapter(interface: Interface) -> &'static dyn Adapter {
    interface.dialect()
}

/// Opens a file, reads it to its end, closes it; `of` says what its content means, if anything.
pub(crate) fn read_whole(slot: Slot, path: String, of: impl Into<Option<Observed>>) -> Deed {
    let open = Op::Open { slot, path, flags: OFlag::O_RDONLY.bits(), mode: 0 };
    let read = Op::Read { slot, chunk: CHUNK, limit: None, send: true, nothing: None };
    Deed {
        ops: vec![open, read, Op::Close { slot }],
        reads: of.into().map(|of| Reading { op: 1, of }).into_iter().collect(),
    }
}

/// Opens a list, reads it, and finds how many of its records the TPM's PCR accounts for; leaves it open.
pub(crate) fn find(slot: Slot, path: String, staged: bool, flags: OFlag) -> Deed {
    let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged };
    let tpm = TPM.to_owned();
    let find = Op::FindQuoted { tpm, slot, chunk: CHUNK, send: true, account: staged };
    let open = Op::Open { slot, path, flags: flags.bits(), mode: 0 };
    Deed { ops: vec![open, find], reads: vec![Reading { op: 1, of }] }
}

/// Operations that show nothing.
pub(crate) fn unseen(ops: Vec<Op>) -> Deed {
    Deed { ops, reads: Vec::new() }
}

/// Opens a file for writing, writes once, closes it.
pub(crate) fn request(slot: Slot, path: String, text: &str) -> Deed {
    let open = Op::Open { slot, path, flags: OFlag::O_WRONLY.bits(), mode: 0 };
    let write = Op::Write { slot, bytes: text.as_bytes().to_vec() };
    Deed { ops: vec![open, write, Op::Close { slot }], reads: Vec::new() }
}

impl Deed {
    /// This, and then that.
    pub(crate) fn then(mut self, next: Deed) -> Deed {
        let before = self.ops.len();
        self.ops.extend(next.ops);
        self.reads.extend(next.reads.into_iter().map(|reading| Reading {
            // A step has far fewer operations than 65,536.
            op: u16::try_from(before + usize::from(reading.op)).unwrap_or(u16::MAX),
            of: reading.of,
        }));
        self
    }

    /// This, with another slot for a descriptor of its own.
    pub(crate) fn at(mut self, own: Slot) -> Deed {
        for op in &mut self.ops {
            match op {
                Op::Open { slot, .. } | Op::Read { slot, .. } | Op::Close { slot } => *slot = own,
                _ => {}
            }
        }
        self
    }

    /// Nothing yet.
    pub(crate) fn nothing() -> Deed {
        Deed { ops: Vec::new(), reads: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
