//! What scenarios, interfaces and plans all speak of.

use std::collections::BTreeMap;

use imalab_wire::StepId;
use serde::{Deserialize, Serialize};

use imalab_formats::ima::Bank;
use imalab_formats::tpm::fault::Fault;

/// Values of the scenario's `matrix` that this run has, by name.
pub type Parameters = BTreeMap<String, String>;

/// The machine as far as a scenario sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Virtual processors.
    pub cpus: u8,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Active PCR banks, sorted, never empty.
    pub banks: Vec<Bank>,
    /// Words appended to the kernel's command line.
    pub kernel_args: Vec<String>,
}

/// A point at which the guest waits for the harness's own TPM commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number, as in [`imalab_wire::Op::Mark`].
    pub number: u64,
    /// Step that sends it.
    pub step: StepId,
    /// What is done there.
    pub does: MarkAction,
}

/// What the harness does while the guest waits at a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkAction {
    /// Reads PCR 10 of every bank.
    Read,
    /// Reads them and takes a quote.
    Quote,
    /// Nothing, until the guest says [`imalab_wire::Message::ReleaseHold`]: the kernel's next user of the TPM waits for the
    /// device, and where that is IMA it keeps the mutex of the list (`ima_extend_list_mutex`) meanwhile.
    Hold,
    /// Prepares something to happen to later commands, at once.
    Arm(Fault),
}

/// What a step does, as far as the invariants care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Makes IMA measure this many files.
    Measure {
        /// Files.
        files: u64,
    },
    /// Moves the current list to the staged list: the whole of it, or its first records where the interface can.
    Stage,
    /// Reads the staged list; what it read is what user space holds.
    Save,
    /// Removes the staged list.
    Delete,
    /// Reads the current list and removes its first records; the first so many that it read are what user
    /// space holds.
    Trim {
        /// Records asked for.
        records: u64,
    },
    /// Reads the current list and removes what is before a mark in it.
    TrimTo,
    /// Reads the current list and removes as many of its first records as the TPM's PCR accounts for
    /// ([`imalab_wire::Op::WriteFound`] says how many).
    TrimFound,
    /// Makes so many violations.
    Violate {
        /// Files.
        files: u64,
    },
    /// Loads another kernel, with a segment for the list.
    KexecLoad,
    /// Goes on in the loaded kernel.
    KexecExecute,
    /// Reads lists and counters, then waits at a mark: a quiescent point.
    Checkpoint,
    /// Waits at a mark at which a quote is taken.
    Quote,
    /// Orders tasks.
    Barrier,
    /// A system call that the scenario spelled out. Such a step must not change the lists unseen: the planner
    /// turns a raw write of a verb's command into that verb's action.
    SystemCall,
}

/// What a step must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// Every operation succeeds.
    Ok,
    /// The first operation that fails does so with this Linux errno, and one does.
    Errno(i32),
    /// Every operation succeeds, and the counter of the current list grew by this much: its [`Observed::Count`]
    /// readings are taken before and after.
    NewRecords(u64),
    /// Every operation succeeds, and the list read holds this many records.
    Records(u64),
    /// Anything: the outcome is evidence for the invariants alone.
    Any,
    /// Every operation succeeds, and the only one has this value.
    Value(i64),
    /// Every operation succeeds, and the counter that was read shows this number.
    Counter(i64),
    /// Another task has found it asleep in one of its own system calls ([`imalab_wire::Op::AwaitBlocked`]); in a plan that
    /// holds the TPM, while it was held, and it ended no sooner than that. It may still be waiting at the end, and how it
    /// ends is evidence alone.
    Blocked,
}

/// An operation whose data mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Index of the operation in the step.
    pub op: u16,
    /// What the data are.
    pub of: Observed,
}

/// What a reading shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// A measurement list, whole.
    List {
        /// Binary or ASCII.
        form: Form,
        /// The bank whose template digests it shows.
        bank: Bank,
        /// The staged list instead of the current one.
        staged: bool,
    },
    /// `runtime_measurements_count`: decimal text.
    Count,
    /// `violations`: decimal text.
    Violations,
    /// A number that a file of the interface's own shows: decimal text.
    Number,
}

/// Form of a measurement list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `binary_runtime_measurements*`.
    Binary,
    /// `ascii_runtime_measurements*`.
    Ascii,
}

/// Boot option that makes a delete forget digests.
pub const FLUSH: &str = "ima_flush_htable";

/// Measures exactly the files that `Op::Measure` opens for reading below `/m`, a tmpfs.
///
/// The guest's root is a file system of type `rootfs` (`init/do_mounts.c`), whatever backs it; securityfs, procfs
/// and sysfs have types of their own; a program's start asks for `MAY_EXEC` and a file's creation for
/// `MAY_WRITE`, and `mask=MAY_READ` without `^` matches neither (`ima_match_rules` in
/// `security/integrity/ima/ima_policy.c`). So no record appears that the scenario did not ask for.
pub const DEFAULT_POLICY: &str = "measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs\n";

/// Records that a kernel puts in the list before anything is measured: the boot aggregate, which is always the
/// first entry (`ima_init` in `security/integrity/ima/ima_init.c`).
pub const BOOT_RECORDS: u64 = 1;
