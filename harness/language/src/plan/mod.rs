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
mod holds;
mod kernel_words;
mod limits;
mod programs;
mod slots;
mod stress;
mod task_holds;
mod types;
mod unresolved;
mod verbs;

use std::collections::BTreeSet;

pub use holds::{HeldUntil, Hold};
pub use kernel_words::{Change, unfit, words_of};
pub use kernel_words::{has_boot_policy, level, silences};
pub use task_holds::no_such_place;
pub use types::{Budget, Plan, PlannedStep};

pub use crate::scenario::needs;
pub use crate::vocabulary::{
    Action, BOOT_RECORDS, Expect, Form, Mark, MarkAction, Observed, Parameters, Reading, Shape,
};
pub use imalab_formats::tpm::fault::{Fault, How};
pub use imalab_formats::{Interface, NoInterface};

use crate::capabilities::Capabilities;
use crate::capability::Capability;
use crate::finding;
use crate::scenario::Scenario;

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
    /// A hold names a place that the kernel's code does not have.
    #[error("{scenario}.yaml:{line}: `hold`: {why}")]
    NoSuchPlace {
        /// The scenario.
        scenario: String,
        /// Line of the step.
        line: u32,
        /// What is wrong with it.
        why: String,
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

#[cfg(test)]
mod tests;
