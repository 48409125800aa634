//! The plan: what one run does, in full, and what every observation of it will mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use imalab_wire::{Program, StepId, TaskId};
use serde::{Deserialize, Serialize};

use crate::scenario::{KnownDefect, KnownLimit};
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{Dialect, Seen};
pub use imalab_formats::tpm::fault::{Fault, How};
pub use imalab_formats::{Interface, NoInterface};

/// Values of the scenario's `matrix` that this run has, by name.
pub type Parameters = BTreeMap<String, String>;

/// Everything about one run that can be known before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Path of the scenario below the scenarios' folder, without `.yaml`: `stage/once`.
    pub scenario: String,
    /// The scenario's own words on what it tests.
    pub summary: String,
    /// The matrix values of this run.
    pub parameters: Parameters,
    /// Decides whatever the scenario leaves to chance.
    pub seed: u64,
    /// Interface that the verbs were translated for.
    pub interface: Interface,
    /// What the kernel was seen to do where nobody has promised anything.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub seen: Seen,
    /// The machine it needs.
    pub machine: Shape,
    /// Whether the kernel has a hash table, which suppresses duplicates (`CONFIG_IMA_DISABLE_HTABLE` not set).
    #[serde(default = "yes")]
    pub hash_table: bool,
    /// Whether the kernel is a release that nobody has patched: its version then tells what is known of it. In another one a
    /// known defect or limit may be mended.
    #[serde(default = "yes")]
    pub stock: bool,
    /// What the guest does.
    pub program: Program,
    /// Meaning of every step of the program, those of `finally` included, by [`StepId`] in order.
    pub steps: Vec<PlannedStep>,
    /// What the harness does while the guest waits at a mark.
    pub marks: Vec<Mark>,
    /// How long it may take.
    pub budget: Budget,
    /// Defect that the scenario shows, by which its outcome is judged.
    pub known_defect: Option<KnownDefect>,
    /// What kernels are known to lose in it, by which its log is judged.
    #[serde(default)]
    pub known_limit: Option<KnownLimit>,
    /// What the console must show, each within a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_says: Vec<String>,
}

fn yes() -> bool {
    true
}

fn is_nothing(seen: &Seen) -> bool {
    *seen == Seen::default()
}

impl Plan {
    /// What the kernel is held to.
    pub fn dialect(&self) -> Cow<'static, Dialect> {
        self.interface.dialect().as_seen(self.seen)
    }
}

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

/// Seconds of host time under KVM; slower lanes scale them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Longest silence of the machine that still counts as progress.
    pub silence_s: u32,
    /// Longest run.
    pub total_s: u32,
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

/// A step with its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// As in the program.
    pub id: StepId,
    /// As in the program; the number of tasks for steps of `finally`.
    pub task: TaskId,
    /// The step as a reader would name it: `stage`, `trim 5`, `open r binary`.
    pub text: String,
    /// Line of the scenario it comes from, from 1; 0 for steps that the planner added.
    pub line: u32,
    /// What it does to the list.
    pub action: Action,
    /// What it must give.
    pub expect: Expect,
    /// Operations of it whose data are observations.
    pub reads: Vec<Reading>,
    /// Its mark, if it sends one.
    pub mark: Option<u64>,
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
