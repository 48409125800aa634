//! What became of a run and of a check: also a scenario speaks of it, where it says how a known defect shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::finding::Check;
use crate::finding::{Fact, Finding};

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
    /// A task could not be held where the scenario asks for it, and nothing else is wrong: it says nothing of the kernel.
    NotOrdered,
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
            | Outcome::NotOrdered
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
    /// Which check.
    pub check: Check,
    /// What became of it.
    pub verdict: Verdict,
    /// Failed: what is wrong, and then what could not be looked at. Could not run: why. Not applicable: why. Passed: none.
    pub findings: Vec<Finding>,
    /// How many more findings there were than are kept.
    pub more: u64,
    /// Passed: what it says beside how many it compared.
    pub facts: Vec<Fact>,
    /// How many of what were compared (`records`: 213). A check has passed only where none that it rests on is 0.
    pub compared: BTreeMap<String, u64>,
    /// How many of what were there and were not compared, by what the check leaves to others or cannot tell.
    pub left_out: BTreeMap<String, u64>,
}

impl CheckResult {
    /// One that counts nothing of what it compared.
    pub fn new(check: Check, verdict: Verdict, findings: Vec<Finding>) -> CheckResult {
        let (compared, left_out) = (BTreeMap::new(), BTreeMap::new());
        CheckResult { check, verdict, findings, more: 0, facts: Vec::new(), compared, left_out }
    }
}

/// Why a run has its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reason {
    /// What says it most directly.
    pub finding: Finding,
    /// The check whose finding it is; null when the run itself shows it.
    pub check: Option<Check>,
    /// Whether that check could not run.
    pub could_not_run: bool,
    /// Further checks that failed or could not run.
    pub also: Vec<Check>,
    /// Where the guest was, when that is nowhere in a scenario.
    pub during: Vec<During>,
    /// Why it is not what is known of the kernel, where something is.
    pub unlike: Option<Unlike>,
}

impl Reason {
    /// What the run itself shows.
    pub fn of(finding: impl Into<Finding>) -> Reason {
        Reason {
            finding: finding.into(),
            check: None,
            could_not_run: false,
            also: Vec::new(),
            during: Vec::new(),
            unlike: None,
        }
    }
}

/// Where a guest was, when that is nowhere in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum During {
    /// It had left a kernel and not said hello from the next.
    BetweenKernels,
    /// It was asked what its kernel offers.
    Probe,
}

/// Why a failed run is not what is known of its kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Unlike {
    /// A check could not run.
    CouldNotRun {
        /// Which.
        check: Check,
    },
    /// A check failed in which the defect does not show.
    OtherCheck {
        /// Which.
        check: Check,
    },
    /// A check has a finding that is not how the defect shows.
    OtherFinding {
        /// Which check.
        check: Check,
        /// The finding's code.
        finding: String,
    },
    /// A check has more findings than are kept, so that not all of them could be compared.
    TooMany {
        /// Which.
        check: Check,
    },
    /// A check does not have a finding in which the defect shows.
    NotFound {
        /// Which check.
        check: Check,
        /// The finding's code.
        finding: String,
    },
    /// The kernel lives, and the defect kills it.
    Lives,
    /// More is wrong than the known limit: others, more or fewer records are lost.
    BeyondLimit,
}
