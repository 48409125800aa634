//! Verbs become system calls, in the words of a kernel's dialect.
//!
//! What dialects there are is data ([`imalab_formats::ima::dialect`]); which one a kernel speaks is found out by [`probe`](crate::probe), never
//! concluded from its version.

mod encode;

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

pub use encode::{Adapter, adapter};

use crate::vocabulary::{Observed, Reading};
pub(crate) use encode::{find, flags};

pub use imalab_formats::ima::dialect::FOLDER as IMA;

/// The TPM's device in the guest.
pub const TPM: &str = "/dev/tpm0";

/// Folder of the tmpfs that the agent mounts, where measured files are created.
pub const MEASURED: &str = "/m";

/// Bytes asked for by each `read(2)` of a whole file.
const CHUNK: u32 = 64 * 1024;

/// A verb in system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operations {
    /// The calls.
    pub ops: Vec<Op>,
    /// Which of them read something that means something.
    pub reads: Vec<Reading>,
}

/// Opens a file, reads it to its end, closes it; `of` says what its content means, if anything.
pub(crate) fn read_whole(slot: Slot, path: String, of: impl Into<Option<Observed>>) -> Operations {
    let open = Op::Open { slot, path, flags: OFlag::O_RDONLY.bits(), mode: 0 };
    let read = Op::Read { slot, chunk: CHUNK, limit: None, send: true, nothing: None };
    Operations {
        ops: vec![open, read, Op::Close { slot }],
        reads: of.into().map(|of| Reading { op: 1, of }).into_iter().collect(),
    }
}

/// Operations that show nothing.
pub(crate) fn unseen(ops: Vec<Op>) -> Operations {
    Operations { ops, reads: Vec::new() }
}

/// Opens a file for writing, writes once, closes it.
pub(crate) fn request(slot: Slot, path: String, text: &str) -> Operations {
    let open = Op::Open { slot, path, flags: OFlag::O_WRONLY.bits(), mode: 0 };
    let write = Op::Write { slot, bytes: text.as_bytes().to_vec() };
    Operations { ops: vec![open, write, Op::Close { slot }], reads: Vec::new() }
}

impl Operations {
    /// Index of the operation that would come next. A step has far fewer than 65,536.
    pub(crate) fn next(&self) -> u16 {
        u16::try_from(self.ops.len()).unwrap_or(u16::MAX)
    }

    /// This, and then that.
    pub(crate) fn then(mut self, next: Operations) -> Operations {
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
    pub(crate) fn at(mut self, own: Slot) -> Operations {
        for op in &mut self.ops {
            match op {
                Op::Open { slot, .. } | Op::Read { slot, .. } | Op::Close { slot } => *slot = own,
                _ => {}
            }
        }
        self
    }

    /// Nothing yet.
    pub(crate) fn nothing() -> Operations {
        Operations { ops: Vec::new(), reads: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
