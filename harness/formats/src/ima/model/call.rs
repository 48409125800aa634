//! Calls on the files of the interface, and what they give.

use super::{Access, File, HashTable, ListFile, Slot, Task};
use crate::Interface;
use crate::ima::dialect::Seen;
use crate::ima::lists::{Ranges, Request};

/// What the model has to be told of the whole log.
pub trait Log {
    /// Bytes of these records in a file; `None` when not all of them are known.
    fn bytes(&self, file: ListFile, records: &Ranges) -> Option<u64>;
    /// Whether a record tells of a violation.
    fn is_violation(&self, record: usize) -> bool;
    /// Whether a record is one of the kernel's own by this event name that divide the log.
    fn is_mark(&self, record: usize, event: &str) -> bool;
    /// The last record before this one that is the same, violations aside.
    fn same_before(&self, record: usize) -> Option<usize>;
}

/// The kernel as it boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What it does with digests.
    pub table: HashTable,
    /// How records leave the list.
    pub interface: Interface,
    /// What it was seen to do where nothing is promised.
    pub seen: Seen,
    /// What its counter of violations begins with: nothing, or those that were carried.
    pub violations: u64,
}

/// A system call, or what else changes what calls give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum Call<'a> {
    /// `open(2)`. With flags that ask for more than the access (`O_EXCL`, `O_DIRECTORY`, `O_PATH`...) it may fail anyhow.
    Open { slot: Slot, file: File, access: Access, odd: bool },
    /// `close(2)`.
    Close { slot: Slot },
    /// `dup(2)`.
    Duplicate { slot: Slot, to: Slot },
    /// `write(2)`, or `pwrite(2)` at an offset.
    Write { slot: Slot, written: Written<'a>, at: Option<i64> },
    /// `read(2)` until so many bytes or the end of the file.
    Read { slot: Slot, limit: Option<u64> },
    /// One `pread(2)`, which may give fewer bytes than there are.
    ReadAt { slot: Slot, offset: i64, bytes: u64 },
    /// A counter was read whole, with this number. So many records may have been appended that are not counted yet, and
    /// so many violations counted that are not appended yet: they are in the making.
    Counter { slot: Slot, number: u64, uncounted: u64, early: u64 },
    /// The number that a file shows was read from its start, which moves nothing.
    Number { slot: Slot, number: u64 },
    /// `lseek(2)`.
    Seek { slot: Slot, offset: i64, whence: i32 },
    /// A call of which nothing is promised but that it leaves the lists alone.
    Harmless { slot: Slot },
    /// As [`Call::Harmless`], and it may move the offset.
    Moving { slot: Slot },
    /// A call on the descriptor begins, in a process of several threads.
    Pin { slot: Slot },
    /// And ends.
    Unpin,
    /// `fork(2)`.
    Fork { child: Task },
    /// A thread is started.
    Thread { child: Task },
    /// A descriptor is sent.
    Send { slot: Slot, to: Task },
    /// A descriptor is received.
    Receive { slot: Slot },
    /// A second descriptor is taken of the file that another task has under `theirs`, which it was reading or writing. `None`:
    /// it was not.
    Take { slot: Slot, from: Task, theirs: Option<Slot> },
    /// The task ends.
    End,
    /// A capability is given up.
    Drop { capability: u8 },
    /// `setresuid(2)`.
    SetUser { uid: u32 },
    /// `unshare(CLONE_NEWUSER)`.
    NewNamespace,
    /// `setrlimit(2)`.
    Limit,
    /// Measuring is suspended, since the kernel is about to go.
    Suspend,
}

/// What a call gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Success.
    Value(i64),
    /// This error.
    Errno(i32),
    /// Nothing: the task ended within it. It may have been carried out or not.
    Never,
}

/// What a call did, once it is known to have been in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Nothing.
    None,
    /// A request was carried out.
    Request(Request),
    /// What is before the record that divides the list was removed: so many records, by this open file.
    Purge(Slot, u64),
    /// An open file's offset is now this.
    Offset(Slot, Option<u64>),
    /// What the call says.
    Call(Call<'a>),
}

/// What is handed to `write(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes at an address where nothing is.
    Nowhere(usize),
}
