//! Steps and their verbs.

use imalab_formats::ima::lists::Mark;
use imalab_wire::Violation;

use super::super::error::Place;
use super::{Awaited, Call, Expectation, File, KillAt, TaskHold};
use imalab_formats::tpm::fault::Fault;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line it stands on, from 1.
    pub line: u32,
    /// Where its verb stands.
    pub(in crate::scenario) at: Place,
    /// What it does.
    pub verb: Verb,
    /// What it must give.
    pub expect: Expectation,
    /// Clock of its task that must not have run out, for steps that [`Verb::Stress`] chose.
    pub clock: Option<u16>,
}

impl Step {
    /// A step at a place of the scenario.
    pub(in crate::scenario) fn new(at: Place, verb: Verb, expect: Expectation) -> Step {
        Step { line: at.line, at, verb, expect, clock: None }
    }

    /// Another step in the place of this one.
    pub(crate) fn instead(&self, verb: Verb, expect: Expectation, clock: Option<u16>) -> Step {
        Step { line: self.line, at: self.at, verb, expect, clock }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Makes IMA measure files.
    Measure {
        /// Which.
        files: Files,
        /// How they are used.
        by: Way,
    },
    /// Makes IMA see violations.
    Violate {
        /// Files that it happens to, one each.
        files: Files,
        /// How.
        kind: Violation,
    },
    /// Creates a file that is not measured by itself.
    Create {
        /// Absolute path.
        path: String,
        /// Content.
        text: String,
    },
    /// Loads a file as a kernel module, which it is not.
    LoadModule {
        /// The one file.
        files: Files,
    },
    /// Gives IMA more rules.
    LoadPolicy(Policy),
    /// Moves the current list to the staged list.
    Stage,
    /// Reads the staged list.
    Save,
    /// Removes the staged list.
    Delete,
    /// Reads the current list, then removes its first records.
    Trim {
        /// How many.
        records: Records,
    },
    /// Reads the current list, then removes what is before a mark in it.
    TrimTo {
        /// Which.
        mark: Mark,
    },
    /// Has the kernel record a mark.
    MarkLog,
    /// Has the kernel record a mark, and reads what is before it.
    Snapshot {
        /// Whether that is removed then.
        purges: bool,
    },
    /// Does what an attestation agent does between two quotes.
    Attest(Attestation),
    /// Takes a quote.
    Quote,
    /// Reads every view of every list.
    Checkpoint,
    /// Waits for the other tasks that name it.
    Barrier {
        /// Its name.
        name: String,
        /// Which time this task comes to it in its boot, from 0.
        round: u16,
    },
    /// Opens a file, reads it whole and closes it.
    View {
        /// The file.
        file: File,
    },
    /// A system call, spelled out.
    Call(Call),
    /// Starts a task.
    Spawn {
        /// Its name.
        task: String,
        /// As a thread of this process instead of a child.
        thread: bool,
    },
    /// Ends the task's process.
    Exit {
        /// Exit status.
        status: i32,
    },
    /// Starts a program.
    Start {
        /// Its name.
        program: String,
        /// Where it is killed.
        kill_at: Option<KillAt>,
    },
    /// Waits for a program.
    WaitFor {
        /// Its name.
        program: String,
        /// For what.
        what: Awaited,
    },
    /// Ends another task's process, or a program.
    Kill {
        /// The task's or program's name.
        task: String,
        /// With what.
        signal: Signal,
    },
    /// Waits until another task waits within a system call.
    AwaitBlocked {
        /// The task's name.
        task: String,
    },
    /// Gives up a capability.
    DropCapability {
        /// Its name, without `cap-`.
        name: &'static str,
        /// Linux's number.
        number: u8,
    },
    /// Becomes another user.
    SetUser {
        /// Which.
        uid: u32,
    },
    /// Enters a user namespace of its own.
    NewUserNamespace,
    /// Limits a resource of the process.
    SetLimit {
        /// Which.
        resource: Limit,
        /// In its unit.
        value: u64,
    },
    /// Occupies the TPM device until it is released.
    Hold {
        /// Its name.
        name: String,
        /// Which time in its boot, from 0.
        round: u16,
    },
    /// Has a task held at a place of the kernel's code when it comes there, from here on.
    HoldTask(TaskHold),
    /// Lets go of a hold of another task.
    Release {
        /// The hold's name.
        name: String,
        /// Which time in its boot, from 0.
        round: u16,
    },
    /// Prepares something to happen to TPM commands.
    TpmFault(Fault),
    /// Takes steps by chance, which the seed of the run decides.
    Stress {
        /// Milliseconds after which no more are begun.
        ms: u32,
        /// How many are chosen.
        times: u32,
        /// Lists of steps that are kept together.
        choose: Vec<Vec<Step>>,
    },
    /// Starts a clock of the task; what [`Verb::Stress`] becomes.
    Clock {
        /// Which.
        clock: u16,
        /// After how many milliseconds it runs out.
        ms: u32,
    },
    /// Loads a kernel for kexec.
    KexecLoad {
        /// Its name in the image, or `same`.
        kernel: String,
        /// Words for its command line.
        args: Vec<String>,
        /// Words of the running kernel's command line that it does not get.
        without: Vec<String>,
        /// Which system call loads it.
        call: KexecCall,
    },
    /// Unloads it.
    KexecUnload,
    /// Goes on in it.
    KexecExecute {
        /// How the running kernel is left.
        by: Leave,
    },
}

impl Verb {
    /// Whether it asks the kernel to move records from one list to another, or off the lists.
    pub fn asks_for_a_move(&self) -> bool {
        matches!(
            self,
            Verb::Stage
                | Verb::Delete
                | Verb::Trim { .. }
                | Verb::TrimTo { .. }
                | Verb::MarkLog
                | Verb::Snapshot { .. }
                | Verb::Attest(_)
        )
    }
}

/// How a kernel is left for another one. Each has a loaded kernel of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Leave {
    /// By `reboot(2)`.
    #[default]
    Reboot,
    /// By a panic.
    Panic,
}

/// A system call that loads a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KexecCall {
    /// `kexec_file_load(2)`: the kernel reads the files, and adds a segment for the measurement list unless it is for a
    /// panic.
    File {
        /// What the kernel is loaded for.
        on: Leave,
    },
    /// `kexec_load(2)`: user space makes the segments.
    Segments,
}

/// Files that the agent creates to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// How many.
    pub count: u64,
    /// Common part of their names; the same name and salt are the same files, path and content.
    pub name: String,
    /// Whether the scenario gave the name; else they are files of the step's own.
    pub named: bool,
    /// Part of their content.
    pub salt: String,
}

/// How a file is used so that IMA looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Opened for reading.
    Open,
    /// Executed.
    Execute,
    /// Mapped for execution.
    Map,
}

/// Rules for IMA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As text, each written by a call of its own.
    Rules(String),
    /// In a file of the guest, whose absolute path is written.
    Path(String),
}

/// How an attestation agent takes records out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// By trimming what the quote accounts for.
    Trim,
    /// By staging everything and deleting it.
    Stage,
}

/// Number of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// This many.
    Exactly(u64),
    /// As many as the current list holds then.
    All,
}

/// A signal that ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Without `SIG`.
    pub name: &'static str,
    /// Linux's number.
    pub number: i32,
}

/// A resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// As `setrlimit(2)` has it, without `RLIMIT_`, in lower case.
    pub name: &'static str,
    /// Linux's number on x86.
    pub number: u8,
}
