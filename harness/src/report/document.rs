//! Results as they are written: as the model has them, with the sentence of each finding, fact and reason beside it as `text`.
//!
//! What is read back leaves the sentences out: nothing goes by them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::words;
use imalab_check::figures::{Freed, Latency};
use imalab_check::outcome::{
    AcceleratorUsed, Boot, Check, CheckResult, During, Outcome, Reason, RunResult, Shard, SuiteResult,
    Unlike, Verdict,
};
use imalab_language::finding::{Fact, Finding};
use imalab_language::lane::Lane;
use imalab_language::plan::{Interface, Parameters};

/// All runs of one call.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Suite<'a> {
    /// Version of this form: 2.
    schema: u32,
    /// In the order in which they were planned.
    #[cfg_attr(test, schemars(with = "Vec<Run>"))]
    runs: Runs<'a>,
    /// Host milliseconds for all of it.
    wall_ms: u64,
    /// Whether a signal ended the suite early.
    interrupted: bool,
    /// Runs that were planned and never begun: a signal came, or as many had failed as were allowed to; null where nobody
    /// knows, as in results of older versions.
    not_begun: Option<u64>,
    /// Which part of a suite it was; null for a whole one.
    shard: &'a Option<Shard>,
}

impl<'a> Suite<'a> {
    pub(super) fn of(suite: &'a SuiteResult) -> Suite<'a> {
        let SuiteResult { schema, runs, wall_ms, interrupted, not_begun, shard } = suite;
        Suite {
            schema: *schema,
            runs: Runs(runs),
            wall_ms: *wall_ms,
            interrupted: *interrupted,
            not_begun: *not_begun,
            shard,
        }
    }
}

/// Made one after the other, as they are written.
struct Runs<'a>(&'a [RunResult]);

impl Serialize for Runs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Run::of))
    }
}

/// One run of one scenario with one set of parameters on one kernel.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Run<'a> {
    scenario: &'a str,
    parameters: &'a Parameters,
    kernel: &'a str,
    release: &'a Option<String>,
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    interface: Option<Interface>,
    lane: Lane,
    accelerator: &'a Option<AcceleratorUsed>,
    boot: Option<Boot>,
    cold_because: &'a Option<String>,
    cross_checked: bool,
    seed: u64,
    strategy: &'a Option<String>,
    schedule_hash: &'a Option<String>,
    repeat: u32,
    place: u64,
    outcome: Outcome,
    /// Why; null when passed, but where something known is not there.
    reason: Option<ReasonText<'a>>,
    checks: Vec<CheckText<'a>>,
    latency: &'a [Latency],
    freed: &'a [Freed],
    console_tail: &'a [String],
    wall_ms: u64,
    boot_ms: Option<u64>,
    guest_ms: Option<u64>,
    dir: &'a Option<PathBuf>,
    bundle: &'a Option<PathBuf>,
    repro: &'a Option<String>,
    not_stored: &'a Option<String>,
}

impl<'a> Run<'a> {
    pub(super) fn of(run: &'a RunResult) -> Run<'a> {
        let RunResult {
            scenario,
            parameters,
            kernel,
            release,
            interface,
            lane,
            accelerator,
            boot,
            cold_because,
            cross_checked,
            seed,
            strategy,
            schedule_hash,
            repeat,
            place,
            outcome,
            reason,
            checks,
            latency,
            freed,
            console_tail,
            wall_ms,
            boot_ms,
            guest_ms,
            dir,
            bundle,
            repro,
            not_stored,
        } = run;
        Run {
            scenario,
            parameters,
            kernel,
            release,
            interface: *interface,
            lane: *lane,
            accelerator,
            boot: *boot,
            cold_because,
            cross_checked: *cross_checked,
            seed: *seed,
            strategy,
            schedule_hash,
            repeat: *repeat,
            place: *place,
            outcome: *outcome,
            reason: reason.as_ref().map(ReasonText::of),
            checks: checks.iter().map(CheckText::of).collect(),
            latency,
            freed,
            console_tail,
            wall_ms: *wall_ms,
            boot_ms: *boot_ms,
            guest_ms: *guest_ms,
            dir,
            bundle,
            repro,
            not_stored,
        }
    }
}

/// Why a run has its outcome.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ReasonText<'a> {
    /// All of it as a sentence.
    text: String,
    finding: FindingText<'a>,
    check: Option<Check>,
    could_not_run: bool,
    also: &'a [Check],
    during: &'a [During],
    unlike: &'a Option<Unlike>,
}

impl<'a> ReasonText<'a> {
    pub(super) fn of(reason: &'a Reason) -> ReasonText<'a> {
        let text = words::reason(reason);
        let Reason { finding, check, could_not_run, also, during, unlike } = reason;
        let (check, could_not_run) = (*check, *could_not_run);
        ReasonText { text, finding: FindingText::of(finding), check, could_not_run, also, during, unlike }
    }
}

/// One check's result.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CheckText<'a> {
    check: Check,
    verdict: Verdict,
    findings: Vec<FindingText<'a>>,
    more: u64,
    facts: Vec<FactText<'a>>,
    compared: &'a BTreeMap<String, u64>,
    left_out: &'a BTreeMap<String, u64>,
}

impl<'a> CheckText<'a> {
    fn of(result: &'a CheckResult) -> CheckText<'a> {
        let CheckResult { check, verdict, findings, more, facts, compared, left_out } = result;
        CheckText {
            check: *check,
            verdict: *verdict,
            findings: findings.iter().map(FindingText::of).collect(),
            more: *more,
            facts: facts.iter().map(FactText::of).collect(),
            compared,
            left_out,
        }
    }
}

/// A finding with its sentence.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FindingText<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    /// The finding as a sentence.
    text: String,
}

impl<'a> FindingText<'a> {
    fn of(finding: &'a Finding) -> FindingText<'a> {
        FindingText { finding, text: words::finding(finding) }
    }
}

/// A fact with its words.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FactText<'a> {
    #[serde(flatten)]
    fact: &'a Fact,
    /// The fact in words.
    text: String,
}

impl<'a> FactText<'a> {
    fn of(fact: &'a Fact) -> FactText<'a> {
        FactText { fact, text: words::fact(fact) }
    }
}
