//! Programs of the explorer: scenarios without what only a person would say.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Tasks that act side by side, phase by phase: all of them come to the end of a phase before the next one begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Program {
    /// Virtual processors.
    pub cpus: u8,
    /// The kernel has `ima_flush_htable`.
    pub flush: bool,
    /// Changes of the policy are recorded.
    pub policy_records: bool,
    /// The first is `main`; each other one's process begins before it.
    pub actors: Vec<Actor>,
    /// One after the other.
    pub phases: Vec<Phase>,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A process of its own, from the begin.
    Process,
    /// A thread of `main`'s process, from the first phase on in which it does something.
    Thread,
}

/// What each actor does, in the order of [`Program::actors`], side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Phase {
    /// Steps, by actor; the list may be shorter than that of actors.
    pub acts: Vec<Vec<Step>>,
}

impl Phase {
    /// What an actor does in it.
    pub fn of(&self, actor: usize) -> &[Step] {
        self.acts.get(actor).map_or(&[], Vec::as_slice)
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, actor: usize) -> &mut Vec<Step> {
        if self.acts.len() <= actor {
            self.acts.resize_with(actor + 1, Vec::new);
        }
        &mut self.acts[actor]
    }
}

/// A descriptor's name in its process. Each stands for one opening in a program.
pub type Slot = u8;

/// What an actor does. Nothing is expected of it: the invariants judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each field is that of the step of its name in docs/scenarios.md")]
pub enum Step {
    /// Files that nothing else uses.
    Measure { files: u16 },
    /// Files that this step has in common with others of its name.
    MeasureSame { name: u8, files: u16 },
    /// A violation with each file.
    Violate { files: u8, time_of_use: bool },
    /// Opens, reads and closes a list.
    View { list: List },
    /// The same with a counter.
    ViewCount { violations: bool },
    /// Opens a list.
    Open { slot: Slot, list: List, access: Access },
    /// Reads from the offset on, to the end or so many bytes.
    Read { slot: Slot, limit: Option<u32> },
    /// One `pread(2)`; far behind the end it walks over the whole list.
    ReadAt { slot: Slot, at: u32, bytes: u16 },
    /// Back to the start.
    Rewind { slot: Slot },
    /// Closes a descriptor.
    Close { slot: Slot },
    /// Writes a request to a list.
    Ask { slot: Slot, request: Request },
    /// What an attestation agent does, by opening the list itself.
    Attest { by_staging: bool },
    /// Adds a rule to the policy, which nothing matches.
    LoadPolicy { rules: u8 },
    /// Something happens to extends from here on.
    Fault { answer: Answer, skip: u8, times: u8 },
}

/// A measurement list's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct List {
    /// That of the staged list.
    pub staged: bool,
    /// In text.
    pub ascii: bool,
    /// That of bank SHA-256, which has its name in the file's.
    pub sha256: bool,
}

/// How a list is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// For reading.
    Read,
    /// For reading and writing: nobody else gets in.
    ReadWrite,
}

/// What is written to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Stages the current list.
    Stage,
    /// Deletes the staged one.
    Delete,
    /// Removes the first of the current list; more than there ever are is refused.
    Trim(u32),
    /// Bytes that are no request.
    Wrong(u8),
}

/// How a TPM answers in place of carrying out an extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// `TPM_RC_RETRY`: the kernel asks again, with the list's mutex taken.
    Retry,
    /// `TPM_RC_FAILURE`.
    Failure,
}

/// More records than a program makes.
pub const TOO_MANY: u32 = 1_000_000;

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which phase.
    pub phase: usize,
    /// Whose.
    pub actor: usize,
    /// Which of that actor's steps of the phase.
    pub step: usize,
}

impl Place {
    /// Whether a step here has ended before one there begins, in whichever order actors take turns.
    #[must_use]
    pub fn is_before(self, other: Place) -> bool {
        self.phase < other.phase
            || (self.phase, self.actor) == (other.phase, other.actor) && self.step < other.step
    }
}

impl Program {
    /// All steps with their places, phase by phase.
    pub fn steps(&self) -> impl Iterator<Item = (Place, &Step)> {
        self.phases.iter().enumerate().flat_map(|(phase, acts)| {
            acts.acts.iter().enumerate().flat_map(move |(actor, steps)| {
                steps.iter().enumerate().map(move |(step, one)| (Place { phase, actor, step }, one))
            })
        })
    }

    /// The actor that an actor's process begins with: threads have what it has open.
    pub fn process(&self, actor: usize) -> usize {
        match self.actors.get(actor) {
            Some(Actor::Thread) => 0,
            _ => actor,
        }
    }

    /// The first phase in which an actor does something.
    pub fn first_phase(&self, actor: usize) -> Option<usize> {
        self.phases.iter().position(|phase| !phase.of(actor).is_empty())
    }

    /// The same without the step at a place.
    #[must_use]
    pub fn without(&self, place: Place) -> Program {
        let mut less = self.clone();
        if let Some(steps) =
            less.phases.get_mut(place.phase).and_then(|phase| phase.acts.get_mut(place.actor))
            && place.step < steps.len()
        {
            steps.remove(place.step);
        }
        less
    }
}

impl List {
    /// Its name as a file of a scenario.
    pub fn file(self) -> &'static str {
        match (self.staged, self.ascii) {
            (false, false) => "binary",
            (false, true) => "ascii",
            (true, false) => "staged-binary",
            (true, true) => "staged-ascii",
        }
    }
}

impl Step {
    /// The descriptor that it needs to be open.
    pub fn uses(&self) -> Option<Slot> {
        match *self {
            Step::Read { slot, .. }
            | Step::ReadAt { slot, .. }
            | Step::Rewind { slot }
            | Step::Close { slot }
            | Step::Ask { slot, .. } => Some(slot),
            _ => None,
        }
    }

    /// The descriptor that it makes.
    pub fn makes(&self) -> Option<Slot> {
        match *self {
            Step::Open { slot, .. } => Some(slot),
            _ => None,
        }
    }

    /// Whether it moves the offset of its descriptor's file.
    pub fn moves(&self) -> bool {
        matches!(self, Step::Read { .. } | Step::Rewind { .. })
    }
}

/// The name of an actor as a task.
#[derive(Clone, Copy, Debug)]
pub struct Name(pub usize);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "main"),
            other => write!(f, "t{other}"),
        }
    }
}
