//! IMA's measurement list: records, their binary and ASCII forms, replay.

mod bank;

pub use bank::{Bank, UnknownBank};
