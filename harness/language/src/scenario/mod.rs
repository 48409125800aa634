//! The scenario language: what a user writes, and errors that point at it.
//!
//! `docs/scenarios.md` is its reference. A text is read in two steps: YAML into a tree that knows the place of
//! every node, and that tree, once per combination of the scenario's matrix, into a [`Variant`].

#[cfg(test)]
mod coverage;
mod defect;
mod document;
mod error;
mod expectation;
mod fields;
mod files;
mod grammar;
mod limit;
mod lint;
mod model;
mod needs;
mod node;
mod open_files;
mod programs;
mod race;
pub mod reference;
mod steps;
mod tasks;
mod verbs;

pub use defect::{KernelRange, KnownDefect, Showing, Sign, Version};
pub use document::{MAX_COMBINATIONS, parse};
pub use error::ScenarioError;
pub use files::{LoadError, load, load_all};
pub(crate) use grammar::poll_event;
pub use limit::{KnownLimit, Lost};
pub use model::{
    Attestation, Awaited, Bytes, Call, Expectation, File, Files, Flag, Flags, GuestFile, HeldUntil,
    KexecCall, KillAt, Leave, Limit, Listing, Moved, Place, Policy, Program, Race, Records, Scenario, Signal,
    Spawn, Start, Step, Task, TaskHold, Transfer, Variant, Verb, Way, Whence, WriteOf,
};
pub(crate) use model::{process_of, task_named};
pub use needs::needs;
pub use node::MAX_BYTES;
pub(crate) use open_files::{Origin, origin};
pub(crate) use programs::start_of;
pub use steps::MAX_STEPS;

#[cfg(test)]
mod tests;
