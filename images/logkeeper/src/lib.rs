//! A keeper of IMA's measurement log: takes records out of the kernel, keeps them on disk, and loses none.
//!
//! The steps ([`Keeper`]) know the system by a trait with one method for each system call ([`SystemCalls`]), so that tests can let each of
//! them fail or be the last. [`Machine`] is the real one.

mod config;
mod holders;
mod interface;
mod keeper;
mod lists;
mod look;
mod machine;
mod notify;
mod policy;
mod problem;
mod settle;
mod signals;
mod stored;
mod system_calls;
mod tpm;
mod triggers;
mod trust;
mod view;

pub use config::{Config, ConfigError};
pub use holders::{holders_of_lists, holders_of_lock};
pub use interface::{Files, Flavour, Interface, NotOffered};
pub use keeper::{GENERATION, Keeper, Old, Settings, Step};
pub use look::{Look, Stand};
pub use machine::{Machine, MachineError};
pub use notify::notify;
pub use policy::RULES;
pub use problem::{Problem, Waiting};
pub use signals::Signals;
pub use stored::Stored;
pub use system_calls::{Access, Folder, OpenError, SystemCalls};
pub use triggers::{Triggers, kexec_is_loaded};
pub use trust::Untrusted;
pub use view::{DISCONNECTED, End, ViewError, Whole, hold, let_go, serve};
