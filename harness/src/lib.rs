//! imalab: drives the IMA measurement list of a real kernel and proves that no record was lost.
//!
//! One direction of data, held by crates: `imalab-language` parses a scenario and plans it, [`run`] drives an
//! `imalab-machine` and collects one ordered `imalab-trace`, `imalab-check` is pure, [`report`] prints.

pub mod bench;
pub mod cli;
pub mod report;
pub mod run;
