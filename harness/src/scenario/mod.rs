//! The scenario language: what a user writes, and errors that point at it.
//!
//! `docs/scenarios.md` is its reference. A text is read in two steps: YAML into a tree that knows the place of
//! every node, and that tree, once per combination of the scenario's matrix, into a [`Variant`].

mod defect;
mod document;
mod error;
mod fields;
mod files;
mod lint;
mod model;
mod node;
mod steps;

pub use defect::{KernelRange, KnownDefect, Showing, Sign, Version};
pub use document::{DEFAULT_POLICY, MAX_COMBINATIONS, parse};
pub use error::ScenarioError;
pub use files::{LoadError, load, load_all};
pub use model::{Access, Call, Expectation, File, Listing, Records, Scenario, Step, Task, Variant, Verb};
pub use node::MAX_BYTES;
pub use steps::MAX_STEPS;

#[cfg(test)]
mod tests;
