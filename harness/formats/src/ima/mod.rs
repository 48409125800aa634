//! IMA's measurement list: its records and their replay (`imalab-ima`), lists made from a seed, PCR values as files, the list
//! as kexec carries it, the list machine, dialects and the reference model.

pub mod dialect;
pub mod file;
mod generate;
mod kexec;
pub mod lists;
pub mod mark;
pub mod model;
mod pcr_file;
mod pcr_selection;

pub use generate::{Generator, Mix, generate_log};
pub use imalab_ima::*;
pub use kexec::{KexecError, KexecHeader};
pub use pcr_file::{PcrFileError, PcrHint, PcrValues};
pub use pcr_selection::{PcrSelection, SelectionError};
