//! imalab: drives the IMA measurement list of a real kernel and proves that no record was lost.
//!
//! One direction of data, held by crates: `imalab-language` parses a scenario and plans it, `imalab-run` drives an
//! `imalab-machine` and collects one ordered `imalab-trace`, `imalab-check` is pure, [`suite`] does so for many plans, [`report`]
//! prints.

pub mod bench;
pub mod carried;
pub mod cli;
pub mod event;
pub mod explore;
pub mod report;
pub mod run_id;
pub mod suite;
