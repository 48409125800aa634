//! Pure: a scenario and a kernel's capabilities become a plan.

mod attest;
mod boots;
mod budget;
mod built;
mod calls;
mod checkpoint;
mod compile;
mod count;
mod files;
mod kernel_words;
mod limits;
mod slots;
mod stress;
mod types;
mod unresolved;
mod verbs;

use std::collections::BTreeSet;

pub use count::BOOT_RECORDS;
pub use kernel_words::{Change, unfit, words_of};
pub use kernel_words::{has_boot_policy, level, silences};
pub use types::{
    Action, Budget, Expect, Fault, Form, How, Interface, Mark, MarkAction, NoInterface, Observed, Parameters,
    Plan, PlannedStep, Reading, Shape,
};

use crate::finding;
use crate::interface::{Capabilities, Capability, probe};
use crate::scenario::{Attestation, Call, File, Flag, KexecCall, Leave, Scenario, Task, Variant, Verb};

impl Plan {
    /// What it asks for that no host should give, if anything: it may be somebody else's.
    pub fn unreasonable(&self) -> Option<String> {
        limits::unreasonable(self)
    }
}

/// What a scenario becomes for a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It can run.
    Plan(Box<Plan>),
    /// The kernel lacks something that it needs.
    Skip(Skip),
}

/// Why a scenario cannot run on a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// What the kernel lacks, never empty.
    pub missing: BTreeSet<Capability>,
    /// The kernel, as `uname -r` says it.
    pub release: String,
}

impl Skip {
    /// The same as a finding.
    pub fn finding(&self) -> finding::Skip {
        let capabilities = self.missing.iter().map(|capability| capability.name().to_owned()).collect();
        finding::Skip::Lacks { release: self.release.clone(), capabilities }
    }
}

/// Why a scenario could not be planned at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The parameters are not a combination of its matrix.
    #[error("{scenario} has no variant with the parameters {parameters:?}")]
    UnknownParameters {
        /// The scenario.
        scenario: String,
        /// What was asked for.
        parameters: Parameters,
    },
    /// `records: all` where the number of records is not known before the run.
    #[error(
        "{scenario}.yaml:{line}: how many records the list holds here is not known before the run; \
         give a number, or `new-records` in the `expect:` of each `measure` before"
    )]
    UnknownCount {
        /// The scenario.
        scenario: String,
        /// Line of the step.
        line: u32,
    },
    /// A step names what nothing in the scenario is.
    #[error("{scenario}.yaml:{line}: `{name}` stands for no {what}")]
    Unresolved {
        /// The scenario.
        scenario: String,
        /// Line of the step; 0 of a task as a whole.
        line: u32,
        /// What the name was to stand for.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The interface has no way to do a verb though the kernel was said to be able to.
    #[error("{scenario}.yaml:{line}: interface {interface:?} has no `{verb}`")]
    NoSuchVerb {
        /// The scenario.
        scenario: String,
        /// Line of the step.
        line: u32,
        /// The verb.
        verb: String,
        /// The interface.
        interface: Interface,
    },
}

/// Every combination of the scenario's matrix, each a run.
pub fn expand(scenario: &Scenario) -> Vec<Parameters> {
    scenario.variants.iter().map(|variant| variant.parameters.clone()).collect()
}

/// Plans one run.
///
/// # Errors
///
/// Parameters that the scenario does not have, and steps that cannot be translated; a kernel that lacks something
/// is no error but a [`Skip`].
pub fn plan(
    scenario: &Scenario,
    parameters: &Parameters,
    capabilities: &Capabilities,
    interface: Interface,
    seed: u64,
) -> Result<Planned, PlanError> {
    let variant = scenario.variant(parameters).ok_or_else(|| PlanError::UnknownParameters {
        scenario: scenario.id.clone(),
        parameters: parameters.clone(),
    })?;
    let missing: BTreeSet<_> =
        needs(scenario, variant).into_iter().filter(|need| !capabilities.has(*need)).collect();
    if !missing.is_empty() {
        return Ok(Planned::Skip(Skip { missing, release: capabilities.release.clone() }));
    }
    compile::compile(scenario, variant, capabilities, interface, seed)
        .map(|plan| Planned::Plan(Box::new(plan)))
}

/// All that a variant needs of a kernel: what the scenario says, and what its machine and verbs imply.
pub fn needs(scenario: &Scenario, variant: &Variant) -> BTreeSet<Capability> {
    let mut needs = scenario.needs.clone();
    // Without these no check has anything to rest on.
    needs.extend([Capability::Ima, Capability::Tpm, Capability::Policy]);
    // Without a table there is nothing to flush, and a scenario can be there to show just that.
    let flushes = |word: &str| word == probe::FLUSH && !scenario.needs.contains(&Capability::NoHashTable);
    if variant.machine.kernel_args.iter().any(|word| flushes(word)) {
        needs.insert(Capability::FlushHtable);
    }
    let mut spoken = false;
    for step in variant.tasks.iter().flat_map(Task::every_step) {
        match &step.verb {
            Verb::Stage | Verb::Save | Verb::Delete => {
                needs.insert(Capability::Staging);
            }
            Verb::Attest(Attestation::Stage) => {
                needs.insert(Capability::Staging);
            }
            Verb::Attest(Attestation::Trim) => {
                needs.insert(Capability::Trim);
            }
            Verb::Trim { .. } => {
                needs.insert(Capability::Trim);
            }
            Verb::Snapshot { .. } => {
                needs.insert(Capability::Snapshots);
            }
            Verb::TrimTo { .. } | Verb::MarkLog => {
                needs.insert(Capability::LogMarks);
            }
            Verb::KexecLoad { args, call, .. } => {
                needs.insert(Capability::Kexec);
                let for_panic = *call == (KexecCall::File { on: Leave::Panic });
                needs.extend(for_panic.then_some(Capability::CrashKernel));
                needs.extend(args.iter().any(|word| word == probe::FLUSH).then_some(Capability::FlushHtable));
            }
            Verb::KexecUnload => {
                needs.insert(Capability::Kexec);
            }
            Verb::KexecExecute { by } => {
                needs.insert(Capability::Kexec);
                needs.extend(step.expect.may_succeed().then_some(match by {
                    Leave::Reboot => Capability::KexecCarry,
                    Leave::Panic => Capability::CrashKernel,
                }));
            }
            Verb::Call(Call::Open { file: File::List { bank, staged, .. }, flags, .. }) => {
                needs.extend(bank.map(|_| Capability::BankFiles));
                needs.extend(staged.then_some(Capability::Staging));
                let writes = [Flag::Write, Flag::ReadWrite, Flag::Create, Flag::Append, Flag::Truncate];
                spoken |= writes.iter().any(|flag| flags.0.contains(flag));
            }
            Verb::View { file: File::List { bank, staged, .. } } => {
                needs.extend(bank.map(|_| Capability::BankFiles));
                needs.extend(staged.then_some(Capability::Staging));
            }
            _ => {}
        }
    }
    // What is spelled out is in the words of one interface: mainline's, unless the scenario names another.
    if spoken && !needs.iter().any(|need| need.is_words()) {
        needs.extend(Capability::MAINLINE);
    }
    needs
}

#[cfg(test)]
mod tests;
