//! What became of a run and of a check: also a scenario speaks of it, where it says how a known defect shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

impl Outcome {
    /// Whether it counts as a failure, in summaries and for whoever stops at the first.
    pub fn is_failure(self) -> bool {
        match self {
            Outcome::Passed
            | Outcome::Skipped
            | Outcome::KnownDefect
            | Outcome::KnownLimit
            | Outcome::Interrupted => false,
            Outcome::Failed | Outcome::KernelDied | Outcome::Infra | Outcome::Timeout => true,
        }
    }
}

/// What became of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
