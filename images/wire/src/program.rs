//! What the harness hands over: tasks made of steps made of system calls.

use serde::{Deserialize, Serialize};

/// Index of a task in [`Program::tasks`].
pub type TaskId = u16;
/// Number of a step, unique in a program.
pub type StepId = u32;
/// A descriptor's name within a task.
pub type Slot = u16;

/// All that the guest is to do, from the first message to the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Chosen by the harness for one run and echoed in [`crate::Message::Hello`].
    pub token: u64,
    /// Done by PID 1 before any task starts.
    pub setup: Setup,
    /// Run side by side, a process each.
    pub tasks: Vec<Task>,
    /// Steps that PID 1 itself runs when every task has ended; the task number in their messages is the
    /// number of tasks.
    pub finally: Vec<Step>,
    /// What happens after [`crate::Message::Done`].
    pub end: End,
}

/// The state that tasks find.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Written to `ima/policy`; empty: the kernel keeps the policy it booted with.
    #[serde(with = "crate::bytes")]
    pub policy: Vec<u8>,
}

/// One process of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The scenario's name for it, for messages alone.
    pub name: String,
    /// Carried out in order. A step that fails does not end the task: the harness judges results.
    pub steps: Vec<Step>,
}

/// Operations that the scenario knows as one step.
///
/// They run until the first that fails; the rest are not attempted. [`Op::Close`] after a failure is:
/// a step never leaves a descriptor open by failing half-way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Number by which messages refer to it.
    pub id: StepId,
    /// In order.
    pub ops: Vec<Op>,
}

/// One thing a task does, at the level of system calls. The value is what [`crate::Outcome::Value`] holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum Op {
    /// `open(2)`; value 0. `flags` are Linux x86-64 `O_*` bits, `mode` the permissions of a new file.
    Open { slot: Slot, path: String, flags: i32, mode: u32 },
    /// `read(2)` in calls of `chunk` bytes until end of file or `limit` bytes; value: bytes read. What was read
    /// goes out in [`crate::Message::Data`] pieces when `send` is set.
    Read { slot: Slot, chunk: u32, limit: Option<u64>, send: bool },
    /// One `write(2)` of all the bytes; value: bytes written.
    Write {
        slot: Slot,
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// `lseek(2)`; value: the new offset. `whence` is Linux's number.
    Seek { slot: Slot, offset: i64, whence: i32 },
    /// `close(2)`; value 0.
    Close { slot: Slot },
    /// Makes IMA measure `count` files `{dir}/{name}-{n}` for n from `first` on: each is created afresh with
    /// content `"{name}-{n} {salt}\n"`, opened for reading, closed and unlinked; value: files done. A file of the same
    /// name and salt is a new inode with the same path and digest.
    Measure { dir: String, name: String, salt: String, first: u64, count: u64 },
    /// Names in a directory, sorted, a line each, sent as data; value: number of names.
    List { path: String },
    /// `uname(2)` release, sent as data; value 0.
    Release,
    /// Waits until `parties` tasks have come to the barrier `id`; value 0.
    Barrier { id: u16, parties: u16 },
    /// Sends the [mark](crate::MARK_COMMAND) command with this number to the TPM device at `path` and waits for the answer;
    /// value: the TPM's response code.
    Mark { path: String, number: u64 },
    /// `mount(2)` of a pseudo file system without options; value 0.
    Mount { fstype: String, target: String },
}

/// How the guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// `reboot(RB_POWER_OFF)`.
    PowerOff,
    /// A line-at-a-time console on the serial port, for `shell`.
    Shell,
}
