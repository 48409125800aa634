//! What the harness hands over: tasks made of steps made of system calls.

use serde::{Deserialize, Serialize};

use crate::ids::{Slot, StepId, TaskId};

/// All that the guest is to do, from the first message to the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Chosen by the harness for one run and echoed in [`crate::Message::Hello`].
    pub token: u64,
    /// Done by PID 1 before any task starts, in every boot.
    pub setup: Setup,
    /// Those of one boot run side by side.
    pub tasks: Vec<Task>,
    /// Steps that PID 1 itself runs when every task of the last boot has ended; the task number in their messages
    /// is the number of tasks.
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
    /// Written before the policy, each with the folders above it; they are root's.
    #[serde(default)]
    pub files: Vec<File>,
}

/// A file that a task or a program finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// Its content.
    #[serde(with = "crate::bytes")]
    pub bytes: Vec<u8>,
}

/// One process or thread of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The scenario's name for it, for messages alone.
    pub name: String,
    /// Boot in which it runs, from 0: a kexec goes on to the next.
    pub boot: u16,
    /// When it starts.
    pub start: Start,
    /// Carried out in order. A step that fails does not end the task: the harness judges results.
    pub steps: Vec<Step>,
}

/// When a task starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// With its boot, as a process of its own.
    #[default]
    Boot,
    /// When [`Op::Fork`] or [`Op::Thread`] of another task names it. It may never be.
    Spawned,
    /// When [`Op::Start`] of another task names it: its one operation is [`Op::Run`].
    Program,
    /// Never: it stands for a process or thread of a program, whose observed calls are its steps ([`crate::Observed`]).
    Observed,
}

/// Operations that the scenario knows as one step.
///
/// They run until the first that fails; the rest are not attempted. [`Op::Close`] after a failure is:
/// a step never leaves a descriptor open by failing half-way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Number by which messages refer to it.
    pub id: StepId,
    /// Clock of the task ([`Op::Clock`]) that must not have run out: else no operation of the step is attempted.
    pub clock: Option<u16>,
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
    /// goes out in [`crate::Message::Data`] pieces when `send` is set. Where the first call gives the errno `nothing`, the file
    /// says by it that there is nothing to read: value 0.
    Read {
        slot: Slot,
        chunk: u32,
        limit: Option<u64>,
        send: bool,
        #[serde(default)]
        nothing: Option<i32>,
    },
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
    /// One `pread(2)` of `bytes` bytes at `offset`; value: bytes read, which go out as data when `send` is set.
    ReadAt { slot: Slot, offset: i64, bytes: u32, send: bool },
    /// One `pwrite(2)` of all the bytes at `offset`; value: bytes written.
    WriteAt {
        slot: Slot,
        offset: i64,
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// One `read(2)` of `bytes` bytes to an address at which nothing is mapped; value: bytes read.
    ReadBadPointer { slot: Slot, bytes: u32 },
    /// One `write(2)` of `bytes` bytes from an address at which nothing is mapped; value: bytes written.
    WriteBadPointer { slot: Slot, bytes: u32 },
    /// `dup(2)`; value 0.
    Duplicate { slot: Slot, to: Slot },
    /// `mmap(2)` of `bytes` bytes from the start, readable, and writable too when `write` is set (`MAP_SHARED`), and
    /// `munmap(2)`; value 0.
    Map { slot: Slot, bytes: u32, write: bool },
    /// `splice(2)` of up to `bytes` bytes into a pipe; value: bytes moved, which go out as data.
    SpliceOut { slot: Slot, bytes: u32 },
    /// `splice(2)` of the bytes out of a pipe; value: bytes moved.
    SpliceIn {
        slot: Slot,
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// `poll(2)` without waiting; value: `revents`. `events` are Linux's `POLL*` bits.
    Poll { slot: Slot, events: i16 },
    /// `ftruncate(2)`; value 0.
    Truncate { slot: Slot, length: i64 },
    /// Starts `task` as a child of `fork(2)`: it inherits the descriptors, under the same slots; value: its process.
    Fork { task: TaskId },
    /// Starts `task` as a thread of this process: it shares the descriptors; value: its thread.
    Thread { task: TaskId },
    /// Sends a descriptor to the inbox of `task` (`SCM_RIGHTS`); value 0.
    SendDescriptor { slot: Slot, to: TaskId },
    /// Waits for a descriptor in the task's inbox; value 0.
    ReceiveDescriptor { slot: Slot },
    /// `exit_group(2)`: the task's process ends, whatever is open. There is no `OpDone`.
    Exit { status: i32 },
    /// `kill(2)` of a task's process, and waits until it is gone, threads and open files included; value 0. `ESRCH` when
    /// it does not run.
    Kill { task: TaskId, signal: i32 },
    /// Waits until a task sleeps within a system call of the operation that it is in; value: the system call's
    /// number. `ESRCH` when the task has no more operations. A task that waits for the agent (at a barrier, for a
    /// descriptor, for another task) sleeps too.
    AwaitBlocked { task: TaskId },
    /// Takes a capability (Linux's number) out of the effective and permitted sets of the task, and of what it starts from
    /// then on; value 0.
    DropCapability { capability: u8 },
    /// `setresuid(2)` to the user; value 0.
    SetUser { uid: u32 },
    /// `unshare(2)` with `CLONE_NEWUSER`; value 0.
    NewUserNamespace,
    /// `setrlimit(2)`, both limits; value 0. `resource` is Linux's number. The signal that comes with `EFBIG` is ignored.
    SetLimit { resource: u8, limit: u64 },
    /// Starts a clock of the task that runs out after `ms` milliseconds; value 0.
    Clock { clock: u16, ms: u32 },
    /// Creates or replaces a file with this content; value: bytes written.
    Create {
        path: String,
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// As [`Op::Measure`], but each file is executed (a minimal ELF program that ends with 0, and the content after it).
    Execute { dir: String, name: String, salt: String, first: u64, count: u64 },
    /// As [`Op::Measure`], but each file is mapped for execution.
    MapExecute { dir: String, name: String, salt: String, first: u64, count: u64 },
    /// As [`Op::Measure`], but each file is opened so that IMA sees a violation.
    Violate { dir: String, name: String, salt: String, first: u64, count: u64, kind: Violation },
    /// `finit_module(2)` of a file with the name and content of [`Op::Measure`]'s number 0, which is no module: the kernel's
    /// `ENOEXEC`, which it says after IMA has seen the file, counts as success; value 0.
    LoadModule { dir: String, name: String, salt: String },
    /// Reads PCR 10 of SHA-256 by a command of its own to the TPM device at `tpm`, then the binary list in `slot` from its
    /// start, and finds the number of its first records that lead from the PCR value which the task has accounted for (zeros
    /// at first) to the one read; value: that number. `ENODATA` when there is none. With `account`, the task has then
    /// accounted for them.
    FindQuoted { tpm: String, slot: Slot, chunk: u32, send: bool, account: bool },
    /// Writes the number of the task's last [`Op::FindQuoted`] and a newline in one `write(2)`; value: that number.
    /// Nothing is written when it is 0. The task has then accounted for these records. `ENODATA` when that found nothing.
    WriteFound { slot: Slot },
    /// Tells the harness to let go of what mark `hold` holds; value 0.
    ReleaseHold { hold: u64 },
    /// `kexec_file_load(2)` of a kernel of the image, with the agent's own archive and the running kernel's command line
    /// (less what belongs to a boot, and less what [`WITHOUT_WORD`](crate::WITHOUT_WORD) takes off) followed by `args`; value 0. `flags` are Linux's `KEXEC_FILE_*` bits.
    KexecLoad { kernel: String, args: String, flags: u64 },
    /// `kexec_file_load(2)` with `KEXEC_FILE_UNLOAD`; value 0.
    KexecUnload,
    /// Waits until all that was sent has left the guest, then `reboot(2)` with `LINUX_REBOOT_CMD_KEXEC`. There is no
    /// `OpDone` when it succeeds: the next boot says hello.
    KexecExecute,
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
    /// As [`Op::KexecLoad`], by `kexec_load(2)`, the older call, for which user space makes the segments: boot parameters
    /// as the running kernel got them, without what they chain (`setup_data`). `flags` are Linux's `KEXEC_*` bits.
    KexecLoadSegments { kernel: String, args: String, flags: u64 },
    /// Waits until all that was sent has left the guest, then has the kernel panic, by the key `c` of
    /// `/proc/sysrq-trigger` (`drivers/tty/sysrq.c`). There is no `OpDone` when it succeeds: a kernel that was loaded with
    /// `KEXEC_FILE_ON_CRASH` says hello, or nobody does.
    Panic,
    /// As [`Op::List`], each name behind its `st_mode` in octal and a space; links are not followed.
    ListModes { path: String },
    /// Reads the open file from its start, which moves nothing, and keeps the decimal number that it begins with; value: that
    /// number. `EPROTO` when it begins with none.
    ReadNumber { slot: Slot },
    /// One `write(2)` of the text, [filled in](crate::filled); value: bytes written. Nothing is written when no record was found.
    /// The task has then accounted for the records found, if their number was written. `ENODATA` when what is to be filled in
    /// is not known.
    WriteFilled { slot: Slot, text: String },
    /// Takes a second descriptor of the open file that another task is reading or writing, while it sleeps in that call
    /// (`pidfd_getfd(2)`); value 0. `ESRCH` when the task sleeps in no such call.
    TakeDescriptor { slot: Slot, from: TaskId },
    /// Tells whoever watches the machine's processors something of this task, by a system call that changes nothing: `prctl(2)` with
    /// [`TELL`](crate::TELL) and the number; value 0.
    Tell { number: u64 },
    /// Starts the task that runs a program; value: its process, whose child the program is. The program inherits nothing.
    Start { task: TaskId },
    /// Runs a program under observation until all of its processes have ended; value: the exit status of the first one, or 128 and
    /// the signal that killed it. Its standard output goes out as data.
    Run { run: Box<crate::Run> },
    /// Waits until a program has said a line with `text` in it that no earlier wait has come by; value 0. `ESRCH` when it ends
    /// without that.
    AwaitLine { task: TaskId, text: String },
    /// Waits until a program has ended; value: as [`Op::Run`] has it.
    AwaitEnd { task: TaskId },
    /// Sends a signal to a program's first process, or kills all of them with `KILL`, and waits until it has ended; value: as
    /// [`Op::Run`] has it. `ESRCH` when it does not run.
    EndProgram { task: TaskId, signal: i32 },
    /// `pread(2)` calls from byte 0 on, each where the one before ended, until one gives nothing; value: bytes read, which go out as
    /// data. The agent itself never does this: programs are seen doing it.
    ReadThrough { slot: Slot },
}

/// A text with what a task knows put in: `{number}` stands for what its last [`Op::ReadNumber`] gave, `{found}` for what its last
/// [`Op::FindQuoted`] did. `None` when the text needs what is not known.
#[must_use]
pub fn filled(text: &str, number: Option<i64>, found: Option<i64>) -> Option<String> {
    let mut filled = text.to_owned();
    for (name, value) in [("{number}", number), ("{found}", found)] {
        if filled.contains(name) {
            filled = filled.replace(name, &value?.to_string());
        }
    }
    Some(filled)
}

/// Of [`Op::KexecLoad`]: the kernel is for a panic (`include/uapi/linux/kexec.h`).
pub const KEXEC_FILE_ON_CRASH: u64 = 2;

impl Op {
    /// Whether the kernel that does it is left for another one, when it succeeds.
    #[must_use]
    pub fn leaves(&self) -> bool {
        matches!(self, Op::KexecExecute | Op::Panic)
    }

    /// Whether what it reads goes out in [`crate::Message::Data`] pieces.
    #[must_use]
    pub fn sends_data(&self) -> bool {
        match self {
            Op::Read { send, .. } | Op::ReadAt { send, .. } | Op::FindQuoted { send, .. } => *send,
            Op::SpliceOut { .. }
            | Op::List { .. }
            | Op::ListModes { .. }
            | Op::Release
            | Op::Run { .. }
            | Op::ReadThrough { .. } => true,
            _ => false,
        }
    }

    /// Whether its value is the number of bytes that went out.
    #[must_use]
    pub fn tells_bytes_sent(&self) -> bool {
        self.sends_data()
            && matches!(
                self,
                Op::Read { .. } | Op::ReadAt { .. } | Op::SpliceOut { .. } | Op::ReadThrough { .. }
            )
    }
}

/// How a violation comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Violation {
    /// Measured while it is open for writing.
    OpenWriters,
    /// Opened for writing while it is open for reading and measured: time of measure, time of use.
    TimeOfUse,
}

/// How the guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// `reboot(RB_POWER_OFF)`.
    PowerOff,
    /// A line-at-a-time console on the serial port, for `shell`.
    Shell,
}
