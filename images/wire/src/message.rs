//! What the agent sends.

use serde::{Deserialize, Serialize};

use crate::ids::{StepId, TaskId};
use crate::program::Op;

/// One thing that the guest observed. Times are guest nanoseconds of `CLOCK_BOOTTIME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// First of every boot.
    Hello {
        /// [`crate::VERSION`] of the agent.
        version: u16,
        /// [`crate::Program::token`], or 0 when no program could be read.
        token: u64,
        /// Which boot of the program this is, from 0.
        boot: u16,
        /// `uname -r`.
        release: String,
        /// When the agent started.
        at_ns: u64,
    },
    /// A task is about to run its first step.
    TaskStarted {
        /// Which.
        task: TaskId,
        /// Its process in the guest.
        pid: i32,
    },
    /// An operation is about to be attempted: without its `OpDone`, the guest is in it.
    OpStarted {
        /// Task that runs it.
        task: TaskId,
        /// Step it belongs to.
        step: StepId,
        /// Index in the step.
        op: u16,
        /// When.
        at_ns: u64,
    },
    /// An operation has ended.
    OpDone {
        /// Task that ran it.
        task: TaskId,
        /// Step it belongs to.
        step: StepId,
        /// Index in the step.
        op: u16,
        /// Right before the system call.
        begin_ns: u64,
        /// Right after it.
        end_ns: u64,
        /// What it gave.
        outcome: Outcome,
    },
    /// A piece of what an operation read, sent before its `OpDone`.
    Data(Piece),
    /// A long operation is still going on: `done` of its parts so far. Feeds the progress-based deadline.
    Progress {
        /// Task that runs it.
        task: TaskId,
        /// Step it belongs to.
        step: StepId,
        /// Parts done.
        done: u64,
    },
    /// The harness is to let go of what mark `hold` holds.
    ReleaseHold {
        /// Task that says so.
        task: TaskId,
        /// Number of the mark.
        hold: u64,
    },
    /// A task that somebody waits for ([`crate::Op::AwaitBlocked`]) was found asleep in a system call of an operation. It
    /// comes after the operation's `OpStarted` and before its `OpDone`.
    FoundAsleep {
        /// Task that sleeps.
        task: TaskId,
        /// Step of the operation that it is in.
        step: StepId,
        /// Index in the step.
        op: u16,
        /// Number of the system call.
        call: i64,
        /// When it was looked at.
        at_ns: u64,
    },
    /// A task's process or thread has ended.
    TaskEnded {
        /// Which.
        task: TaskId,
        /// Exit code, or 128 + the signal that killed it.
        status: i32,
    },
    /// A program makes a call on an observed file: it is a step of one operation, of which the usual messages follow. Said again
    /// when the call has turned out to be something else.
    Observed(Box<Observed>),
    /// Not all that a program does to the observed files is known from here on.
    Unobserved {
        /// Task that runs the program.
        task: TaskId,
        /// Why.
        text: String,
    },
    /// A program printed a line, on standard error, or on standard output as far as that is text.
    Said {
        /// Task that runs the program.
        task: TaskId,
        /// The line, without what is beyond its first bytes.
        text: String,
    },
    /// The agent itself could not do its work; the run is void.
    Fault {
        /// What, where and why.
        text: String,
    },
    /// Mandatory last message.
    Done {
        /// Operations that were attempted.
        ops: u64,
        /// Frames sent before this one.
        frames: u64,
    },
    /// The agent has got as far as it gets without a program. Sent before any [`Message::Hello`], in a stream of its own,
    /// by a machine that is to be saved and by none that is judged.
    Waiting,
}

/// A piece of an operation's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Task that read it.
    pub task: TaskId,
    /// Step it belongs to.
    pub step: StepId,
    /// Index in the step.
    pub op: u16,
    /// Bytes of this operation before this piece.
    pub offset: u64,
    /// At most [`crate::frame::MAX_PAYLOAD`] less the envelope.
    #[serde(with = "crate::bytes")]
    pub bytes: Vec<u8>,
}

/// Result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It succeeded; the meaning of the number is the operation's.
    Value(i64),
    /// The system call failed with this Linux errno.
    Errno(i32),
    /// Not attempted, since an earlier operation of the step failed.
    NotAttempted,
}

/// What is known of an observed call besides the operation that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Task that stands for the process or thread.
    pub task: TaskId,
    /// The call's number as a step of that task.
    pub step: StepId,
    /// What it is. An operation that reads may stand for several calls, one after the other.
    pub op: Op,
    /// The observed file that it is about.
    pub path: Option<String>,
    /// Whether it reads that file from the first byte to the end.
    pub whole: bool,
}
