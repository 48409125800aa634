//! imalab: drives the IMA measurement list of a real kernel and proves that no record was lost.
//!
//! One direction of data: `scenario` is parsed, `plan` is pure, `run` drives a `machine` and collects one
//! ordered `event` stream, `check` is pure, `report` prints.

pub mod bench;
pub mod check;
pub mod cli;
pub mod event;
pub mod guest;
pub mod ima;
pub mod interface;
pub mod latency;
pub mod machine;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod run;
pub mod scenario;
mod spill;
pub mod tpm;
pub mod verify;
