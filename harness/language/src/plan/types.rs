//! The plan: what one run does, in full, and what every observation of it will mean.

use std::borrow::Cow;

use imalab_wire::{Program, StepId, TaskId};
use serde::{Deserialize, Serialize};

use super::holds::Hold;
use crate::scenario::{KnownDefect, KnownLimit};
use crate::vocabulary::{Action, Expect, Mark, Parameters, Reading, Shape};
use imalab_formats::Interface;
use imalab_formats::ima::dialect::{Dialect, Seen};

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
    /// Tasks that are held at places of the kernel's code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
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

/// Seconds of host time under KVM; slower lanes scale them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Longest silence of the machine that still counts as progress.
    pub silence_s: u32,
    /// Longest run.
    pub total_s: u32,
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
