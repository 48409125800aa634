//! Results: what became of a check, of a run, of a suite. One model feeds every report.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::figures::{Freed, Latency};
use imalab_language::lane::Lane;
use imalab_language::plan::{Interface, Parameters};
pub use imalab_language::verdict::{Check, CheckResult, During, Outcome, Reason, Unlike, Verdict};

/// The accelerator that a machine ran with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AcceleratorUsed {
    /// `kvm` or `tcg`.
    pub name: String,
    /// Why this one.
    pub reason: String,
}

/// How a machine comes to its agent's first message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Boot {
    /// It goes on from one that was saved there.
    Fork,
    /// Its kernel boots.
    #[default]
    Cold,
}

impl Boot {
    /// Its name, as command lines and results have it.
    pub fn name(self) -> &'static str {
        match self {
            Boot::Fork => "fork",
            Boot::Cold => "cold",
        }
    }
}

/// One run of one scenario with one set of parameters on one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunResult {
    /// Path of the scenario below the folder of scenarios, without `.yaml`.
    pub scenario: String,
    /// The matrix values.
    pub parameters: Parameters,
    /// Name of the kernel in this suite.
    pub kernel: String,
    /// `uname -r` as the guest said it, once known.
    pub release: Option<String>,
    /// Interface in force, once known.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub interface: Option<Interface>,
    /// What decided the order in which the guest's processors ran.
    pub lane: Lane,
    /// The accelerator, once chosen.
    pub accelerator: Option<AcceleratorUsed>,
    /// How its machine came to the agent's first message; null without a machine.
    #[serde(default)]
    pub boot: Option<Boot>,
    /// Why its kernel booted, where a saved machine might have been there.
    #[serde(default)]
    pub cold_because: Option<String>,
    /// Whether the same was run from its kernel's image too, and came to the same end.
    #[serde(default)]
    pub cross_checked: bool,
    /// The run's seed.
    pub seed: u64,
    /// In the deterministic lane, how the seed decides.
    #[serde(default)]
    pub strategy: Option<String>,
    /// In the deterministic lane, the hash of all that was decided in it; null where QEMU ended before the guest did.
    #[serde(default)]
    pub schedule_hash: Option<String>,
    /// Which repetition, from 1.
    pub repeat: u32,
    /// Place of the run in its whole suite, from 0.
    #[serde(default)]
    pub place: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why; null when passed, but where something known is not there.
    pub reason: Option<Reason>,
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

impl RunResult {
    /// A run that was not judged: [`Outcome::Infra`], and nothing that it left.
    pub fn not_judged(
        scenario: String,
        parameters: Parameters,
        kernel: String,
        lane: Lane,
        seed: u64,
    ) -> Self {
        Self {
            scenario,
            parameters,
            kernel,
            release: None,
            interface: None,
            lane,
            accelerator: None,
            boot: None,
            cold_because: None,
            cross_checked: false,
            seed,
            strategy: None,
            schedule_hash: None,
            repeat: 1,
            place: 0,
            outcome: Outcome::Infra,
            reason: None,
            checks: Vec::new(),
            latency: Vec::new(),
            freed: Vec::new(),
            console_tail: Vec::new(),
            wall_ms: 0,
            boot_ms: None,
            guest_ms: None,
            dir: None,
            bundle: None,
            repro: None,
            not_stored: None,
        }
    }
}

/// All runs of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SuiteResult {
    /// Version of this form: 2.
    pub schema: u32,
    /// In the order in which they were planned.
    pub runs: Vec<RunResult>,
    /// Host milliseconds for all of it.
    pub wall_ms: u64,
    /// Whether a signal ended the suite early.
    pub interrupted: bool,
    /// Runs that were planned and never begun: a signal came, or as many had failed as were allowed to; null where nobody
    /// knows, as in results of older versions.
    #[serde(default)]
    pub not_begun: Option<u64>,
    /// Which part of a suite it was; null for a whole one.
    #[serde(default)]
    pub shard: Option<Shard>,
}

/// A part of a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PartitionBy {
    /// Every n-th run of the suite.
    Slice,
    /// A hash of the run's name.
    Hash,
}
