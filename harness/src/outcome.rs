//! Results: what became of a check, of a run, of a suite. One model feeds every report.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::latency::{Freed, Latency};
use crate::plan::{Interface, Parameters};

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Outcome {
    /// Every check ran and passed.
    Passed,
    /// A check failed, or could not run.
    Failed,
    /// The kernel lacks what the scenario needs.
    Skipped,
    /// A proven defect of this kernel showed exactly as its scenario says.
    KnownDefect,
    /// A known limit of this kernel showed exactly as its scenario says: records were lost, just those.
    KnownLimit,
    /// The guest's kernel panicked or oopsed.
    KernelDied,
    /// Set-up or the harness's surroundings failed: QEMU, swtpm, disk, a host that was measured to be too busy.
    Infra,
    /// No progress within the budget, or a kernel that says that it hangs.
    Timeout,
    /// A signal ended it before it was over: it says nothing.
    Interrupted,
}

/// What became of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Verdict {
    /// It compared what it is there for, and found nothing wrong.
    Passed,
    /// By its plan the run has nothing that it could compare: no kexec, no quote. It says nothing of the kernel.
    NotApplicable,
    /// It ran and found something wrong.
    Failed,
    /// It could not run, or there was nothing to compare where there had to be something: that fails the run.
    CouldNotRun,
}

impl Verdict {
    /// Whether it fails the run.
    pub fn is_bad(self) -> bool {
        match self {
            Verdict::Passed | Verdict::NotApplicable => false,
            Verdict::Failed | Verdict::CouldNotRun => true,
        }
    }
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckResult {
    /// The invariant's name: `steps`, `model`, `exactly-once`, `replay`, `views-agree`, `readers`, `quote`, ...
    pub check: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Passed: what it rests on (`213 extends = 213 records, banks sha1 sha256`). Not applicable: why. Else: what, where,
    /// expected, found; a finding a line.
    pub findings: Vec<String>,
    /// How many of what were compared (`records`: 213). A check has passed only where none that it rests on is 0.
    #[serde(default)]
    pub compared: BTreeMap<String, u64>,
    /// How many of what were there and were not compared, by what the check leaves to others or cannot tell.
    #[serde(default)]
    pub left_out: BTreeMap<String, u64>,
}

impl CheckResult {
    /// One that counts nothing of what it compared.
    pub fn new(check: impl Into<String>, verdict: Verdict, findings: Vec<String>) -> CheckResult {
        let (compared, left_out) = (BTreeMap::new(), BTreeMap::new());
        CheckResult { check: check.into(), verdict, findings, compared, left_out }
    }
}

/// The accelerator that a machine ran with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AcceleratorUsed {
    /// `kvm` or `tcg`.
    pub name: String,
    /// Why this one.
    pub reason: String,
}

/// One run of one scenario with one set of parameters on one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunResult {
    /// As [`crate::plan::Plan::scenario`].
    pub scenario: String,
    /// The matrix values.
    pub parameters: Parameters,
    /// Name of the kernel in this suite.
    pub kernel: String,
    /// `uname -r` as the guest said it, once known.
    pub release: Option<String>,
    /// Interface in force, once known.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub interface: Option<Interface>,
    /// How the guest was ordered: `free`, `directed`, `deterministic`.
    pub lane: String,
    /// The accelerator, once chosen.
    pub accelerator: Option<AcceleratorUsed>,
    /// The run's seed.
    pub seed: u64,
    /// Which repetition, from 1.
    pub repeat: u32,
    /// Place of the run in its whole suite, from 0.
    #[serde(default)]
    pub place: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// One line that says why, empty when passed.
    pub reason: String,
    /// Each check with its findings.
    pub checks: Vec<CheckResult>,
    /// How long operations took, by what was changed meanwhile.
    #[serde(default)]
    pub latency: Vec<Latency>,
    /// What deletes and trims freed of the kernel's memory, where the scenario reads it.
    #[serde(default)]
    pub freed: Vec<Freed>,
    /// Last lines of the console when the outcome calls for them.
    pub console_tail: Vec<String>,
    /// Host milliseconds from spawning QEMU until the machine was gone.
    pub wall_ms: u64,
    /// Host milliseconds from spawning QEMU to the agent's first message, once known.
    pub boot_ms: Option<u64>,
    /// Guest milliseconds from the agent's first message to its last, once known.
    pub guest_ms: Option<u64>,
    /// The run's folder, when there is one.
    pub dir: Option<PathBuf>,
    /// The bundle left by a run that did not pass.
    pub bundle: Option<PathBuf>,
    /// Command that shows the same again.
    pub repro: Option<String>,
    /// Why its evidence is not stored, or not all of it; null when nothing is missing.
    #[serde(default)]
    pub not_stored: Option<String>,
}

/// All runs of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SuiteResult {
    /// Version of this form: 1.
    pub schema: u32,
    /// In the order in which they were planned.
    pub runs: Vec<RunResult>,
    /// Host milliseconds for all of it.
    pub wall_ms: u64,
    /// Whether a signal ended the suite early.
    pub interrupted: bool,
    /// Which part of a suite it was; null for a whole one.
    #[serde(default)]
    pub shard: Option<Shard>,
}

/// A part of a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Shard {
    /// By what runs were told apart.
    pub by: PartitionBy,
    /// Which part, from 1.
    pub index: u32,
    /// Parts in all.
    pub of: u32,
    /// Runs of the whole suite.
    pub planned: u64,
    /// The same for all parts of one suite and no other: SHA-256 of its runs' names and its seed.
    pub suite: String,
}

/// By what runs are put into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PartitionBy {
    /// Every n-th run of the suite.
    Slice,
    /// A hash of the run's name.
    Hash,
}
