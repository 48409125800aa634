//! What a scenario says, once it has been read.

mod call;
mod expectation;
mod hold;
mod program;
mod race;
mod step;

use std::collections::BTreeSet;

use serde::Serialize;

pub use call::{Bytes, Call, File, Flag, Flags, Moved, Transfer, Whence, WriteOf};
pub use expectation::Expectation;
pub use hold::{HeldUntil, Place, TaskHold};
pub use program::{Awaited, GuestFile, KillAt, Program};
pub use race::Race;
pub use step::{Attestation, Files, KexecCall, Leave, Limit, Policy, Records, Signal, Step, Verb, Way};

use super::defect::KnownDefect;
use super::limit::KnownLimit;
use super::needs::needs;
use crate::capability::Capability;
use crate::vocabulary::{Parameters, Shape};

/// One scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Path below the scenarios' folder, without `.yaml`: `stage/once`.
    pub id: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// The promise it tests, with who made it.
    pub promise: String,
    /// What the scenario itself asks of the kernel; what its verbs need comes on top.
    pub needs: BTreeSet<Capability>,
    /// Whether it is left out unless it is asked for by its whole name.
    pub only_when_named: bool,
    /// Defect of a kernel that it shows.
    pub known_defect: Option<KnownDefect>,
    /// Under which schedules the deterministic lane runs it; `None`: one, as it does any.
    pub race: Option<Race>,
    /// One for each combination of its matrix, at least one.
    pub variants: Vec<Variant>,
}

impl Scenario {
    /// The variant with these matrix values.
    pub fn variant(&self, parameters: &Parameters) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.parameters == *parameters)
    }
}

/// A scenario with one combination of its matrix put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The combination.
    pub parameters: Parameters,
    /// The machine it runs on.
    pub machine: Shape,
    /// IMA policy to load, whole.
    pub policy: String,
    /// In order of their boots, each after the one that starts it; `main` is what `steps:` holds, once for each boot.
    /// Every boot has one at least.
    pub tasks: Vec<Task>,
    /// Files that tasks and programs find.
    pub files: Vec<GuestFile>,
    /// Programs that steps start.
    pub programs: Vec<Program>,
    /// What kernels are known to lose in it.
    pub known_limit: Option<KnownLimit>,
    /// What the console must show, each within a line.
    pub kernel_says: Vec<String>,
}

/// Steps that run one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name, of which there is one in a boot.
    pub name: String,
    /// Boot in which it runs, from 0.
    pub boot: u16,
    /// What starts it.
    pub start: Start,
    /// Empty only where a boot has nothing to do but to be looked at.
    pub steps: Vec<Step>,
}

/// What starts a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Its boot.
    Boot,
    /// A step of another task, as a process of its own.
    Forked(Spawn),
    /// A step of another task, as a thread of its process.
    Threaded(Spawn),
}

/// The step that starts a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// Index of the task that takes the step.
    pub by: usize,
    /// Index of the step in it.
    pub step: usize,
}

impl Start {
    /// The step of another task that starts it.
    pub fn spawn(self) -> Option<Spawn> {
        match self {
            Start::Boot => None,
            Start::Forked(spawn) | Start::Threaded(spawn) => Some(spawn),
        }
    }
}

impl Task {
    /// Its steps, and those that a step of it chooses from.
    pub fn every_step(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().flat_map(|step| {
            let chosen = match &step.verb {
                Verb::Stress { choose, .. } => choose.as_slice(),
                _ => &[],
            };
            std::iter::once(step).chain(chosen.iter().flatten())
        })
    }
}

/// The task of a boot with this name.
pub(crate) fn task_named(tasks: &[Task], boot: u16, name: &str) -> Option<usize> {
    tasks.iter().position(|task| task.boot == boot && task.name == name)
}

/// The first task of the process that a task belongs to: threads share their descriptors.
pub(crate) fn process_of(tasks: &[Task], task: usize) -> usize {
    // Each task stands after the one that starts it.
    match tasks[task].start {
        Start::Threaded(spawn) if spawn.by < task => process_of(tasks, spawn.by),
        _ => task,
    }
}

/// What `imalab list` shows of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// As [`Scenario::id`].
    pub id: String,
    /// As [`Scenario::summary`].
    pub summary: String,
    /// As [`Scenario::promise`].
    pub promise: String,
    /// Everything it needs of a kernel, what its verbs need included.
    pub needs: BTreeSet<Capability>,
    /// Number of combinations of its matrix.
    pub runs: usize,
    /// As [`Scenario::only_when_named`].
    pub only_when_named: bool,
    /// Whether it shows a known defect.
    pub known_defect: bool,
}

impl Scenario {
    /// What `imalab list` shows of it.
    pub fn listing(&self) -> Listing {
        Listing {
            id: self.id.clone(),
            summary: self.summary.clone(),
            promise: self.promise.clone(),
            needs: self.variants.iter().flat_map(|variant| needs(self, variant)).collect(),
            runs: self.variants.len(),
            only_when_named: self.only_when_named,
            known_defect: self.known_defect.is_some(),
        }
    }
}
