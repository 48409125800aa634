//! The kernel interfaces side by side: what a round of attestation takes, whom it holds up, what it frees, what becomes of
//! two agents, and what kexec does. Everything is measured on machines; nothing is judged.

mod tables;

use std::collections::BTreeMap;

use serde::Serialize;

use super::latency::{Growth, PARAMETER, growth};
use imalab_check::StepSummary;
use imalab_check::figures::{By, Freed, Latency};
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use imalab_language::plan::Interface;

/// What is run, on each kernel that has what it needs.
const SCENARIOS: [(&str, &str); 18] = [
    (ROUND_BY_STAGING, include_str!("round-by-staging.yaml")),
    (ROUND_BY_TRIMMING, include_str!("round-by-trimming.yaml")),
    (ROUND_BY_SNAPSHOT, include_str!("round-by-snapshot.yaml")),
    ("held-up-by-staging", include_str!("held-up-by-staging.yaml")),
    ("held-up-by-trimming", include_str!("held-up-by-trimming.yaml")),
    ("held-up-by-snapshot", include_str!("held-up-by-snapshot.yaml")),
    (BY_BANKS, include_str!("snapshot-by-banks.yaml")),
    (AGENTS_STAGE, include_str!("agents-that-stage.yaml")),
    ("agents-that-trim-upstream", include_str!("agents-that-trim-upstream.yaml")),
    ("agents-that-trim-rfc-v2", include_str!("agents-that-trim-rfc-v2.yaml")),
    ("agents-that-trim-two-command", include_str!("agents-that-trim-two-command.yaml")),
    ("agents-that-trim-transaction", include_str!("agents-that-trim-transaction.yaml")),
    ("agents-that-trim-trim-log", include_str!("agents-that-trim-trim-log.yaml")),
    ("agents-that-trim-log-digest", include_str!("agents-that-trim-log-digest.yaml")),
    ("agents-that-trim-snapshot", include_str!("agents-that-trim-snapshot.yaml")),
    (KEXEC_STAGED, include_str!("kexec-with-staged.yaml")),
    (KEXEC_TRIMMED, include_str!("kexec-after-trim.yaml")),
    (KEXEC_PURGED, include_str!("kexec-after-purge.yaml")),
];

const ROUND_BY_STAGING: &str = "round-by-staging";
const ROUND_BY_TRIMMING: &str = "round-by-trimming";
const ROUND_BY_SNAPSHOT: &str = "round-by-snapshot";
/// The scenario that takes snapshots with more banks each time, and its matrix parameter.
const BY_BANKS: &str = "snapshot-by-banks";
const BANKS: &str = "banks";
const AGENTS_STAGE: &str = "agents-that-stage";
/// How the names of the scenarios in which two agents trim begin; each interface has its own words for it.
const AGENTS_TRIM: &str = "agents-that-trim-";
const KEXEC_STAGED: &str = "kexec-with-staged";
const KEXEC_TRIMMED: &str = "kexec-after-trim";
const KEXEC_PURGED: &str = "kexec-after-purge";

/// List sizes as the scenarios have them.
const SIZES: &str = "records: [100, 1000]";

/// The scenarios with these list sizes: name of the file without `.yaml`, and text.
pub fn scenarios(sizes: &[u64]) -> impl Iterator<Item = (&'static str, String)> {
    let sizes = sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    SCENARIOS
        .into_iter()
        .map(move |(name, text)| (name, text.replace(SIZES, &format!("{PARAMETER}: [{sizes}]"))))
}

/// All that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    /// By kernel, in the order in which they were given; those without an interface have no part in it.
    pub kernels: Vec<Kernel>,
}

/// One kernel and its interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kernel {
    /// Its name in the suite.
    pub name: String,
    /// `uname -r`.
    pub release: String,
    /// How records leave its list.
    pub interface: Interface,
    /// Rounds of attestation, by staging, by trimming and by snapshots.
    pub rounds: Vec<Round>,
    /// How long others were held up, by the size of the list.
    pub held_up: Growth,
    /// How long others were held up by snapshots, by the banks of the TPM; of several runs, the last.
    pub by_banks: BTreeMap<String, Vec<Latency>>,
    /// Two agents that know nothing of each other: what they stage, and what they trim.
    pub agents: BTreeMap<String, Vec<StepEnd>>,
    /// Kexec with records staged, and after a trim or a purge.
    pub kexec: BTreeMap<String, Vec<StepEnd>>,
}

/// What removing records takes, once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Round {
    /// By what.
    pub by: By,
    /// System calls by name, one for a file that is read to its end.
    pub calls: BTreeMap<&'static str, usize>,
    /// What it freed.
    pub freed: Vec<Freed>,
}

/// A step and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepEnd {
    /// Who.
    pub task: String,
    /// What.
    pub step: String,
    /// What became of it.
    pub end: String,
}

/// Sums up a suite of [`scenarios`]; `told` tells the steps of a run.
///
/// # Errors
/// Whatever `told` fails with.
pub fn compare<E>(
    suite: &SuiteResult,
    mut told: impl FnMut(&RunResult) -> Result<Vec<StepSummary>, E>,
) -> Result<Compared, E> {
    let mut compared = Compared::default();
    // What did not come to its end shows a part, which would pass for the whole.
    let ended = |run: &&RunResult| matches!(run.outcome, Outcome::Passed | Outcome::Failed);
    for run in suite.runs.iter().filter(ended) {
        let (Some(release), Some(interface)) = (&run.release, run.interface) else { continue };
        let at = compared.kernels.iter().position(|kernel| kernel.name == run.kernel);
        let at = at.unwrap_or_else(|| {
            let own = SuiteResult { runs: of_kernel(suite, &run.kernel), ..suite.clone() };
            compared.kernels.push(Kernel {
                name: run.kernel.clone(),
                release: release.clone(),
                interface,
                rounds: Vec::new(),
                held_up: growth(&own),
                by_banks: BTreeMap::new(),
                agents: BTreeMap::new(),
                kexec: BTreeMap::new(),
            });
            compared.kernels.len() - 1
        });
        let kernel = &mut compared.kernels[at];
        match run.scenario.as_str() {
            ROUND_BY_STAGING => kernel.round(By::Delete, run, &told(run)?),
            ROUND_BY_TRIMMING => kernel.round(By::Trim, run, &told(run)?),
            ROUND_BY_SNAPSHOT => kernel.round(By::Snapshot, run, &told(run)?),
            BY_BANKS => {
                if let Some(banks) = run.parameters.get(BANKS) {
                    kernel.by_banks.insert(banks.clone(), run.latency.clone());
                }
            }
            AGENTS_STAGE => {
                kernel.agents.entry("staging".to_owned()).or_insert(steps(&told(run)?));
            }
            KEXEC_STAGED => {
                kernel.kexec.entry("staged".to_owned()).or_insert(steps(&told(run)?));
            }
            KEXEC_TRIMMED => {
                kernel.kexec.entry("trimmed".to_owned()).or_insert(steps(&told(run)?));
            }
            KEXEC_PURGED => {
                kernel.kexec.entry("purged".to_owned()).or_insert(steps(&told(run)?));
            }
            name if name.starts_with(AGENTS_TRIM) => {
                kernel.agents.entry("trimming".to_owned()).or_insert(steps(&told(run)?));
            }
            _ => {}
        }
    }
    Ok(compared)
}

fn of_kernel(suite: &SuiteResult, kernel: &str) -> Vec<RunResult> {
    suite.runs.iter().filter(|run| run.kernel == kernel).cloned().collect()
}

impl Kernel {
    /// Adds a run of a round.
    fn round(&mut self, by: By, run: &RunResult, steps: &[StepSummary]) {
        let at = self.rounds.iter().position(|round| round.by == by).unwrap_or_else(|| {
            let mut calls = BTreeMap::new();
            let removing = |step: &&StepSummary| step.requests() > 0 || step.text == "save";
            for call in steps.iter().filter(removing).flat_map(|step| &step.calls) {
                *calls.entry(*call).or_insert(0) += 1;
            }
            self.rounds.push(Round { by, calls, freed: Vec::new() });
            self.rounds.len() - 1
        });
        self.rounds[at].freed.extend(&run.freed);
    }
}

/// What was done to the lists or shown of them.
fn steps(told: &[StepSummary]) -> Vec<StepEnd> {
    let wanted = |step: &&StepSummary| {
        step.calls.iter().any(|call| ["open", "read", "write"].contains(call)) && step.text != "load-policy"
    };
    let of = |step: &StepSummary| {
        let task = if step.boot == 0 { step.task.clone() } else { format!("{}, next kernel", step.task) };
        StepEnd { task, step: step.text.clone(), end: step.end() }
    };
    told.iter().filter(wanted).map(of).collect()
}

#[cfg(test)]
mod tests;
