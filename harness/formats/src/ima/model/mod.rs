//! What the interface promises, as a machine of its own: the reference that a run is compared with.
//!
//! At the level of system calls, and of what `Documentation/security/IMA-export-delete.rst` says, not of what the code
//! happens to do: where the two differ, the kernel is the suspect. Records are known by their place in the whole log,
//! so a list is a few stretches of it. [`Kernel::judge`] says whether a call may have given what it gave, and
//! [`Kernel::apply`] takes in what it did.
//!
//! Where a promise leaves a choice (which of two errors a request with two faults gets), every choice is taken.

mod call;
mod descriptors;
mod judge;
mod kernel;
mod lists;
mod own_file;
mod proposal;
mod refusals;
mod request;
mod rights;
mod rule;
mod said;
#[cfg(test)]
mod tests;
mod words;

pub use super::file::{Access, File, ListFile};
pub use call::{Call, Effect, Found, Log, Setup, Written};
pub use descriptors::{Slot, Task};
pub use kernel::Kernel;
pub use lists::HashTable;
pub use refusals::{Broken, Expected, Refusals};
pub use rule::{Rule, Shown};
pub use said::SAID;
pub use words::{DOCUMENT, From, Words};

/// The rules, all of which hold, or all but one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    without: Option<Rule>,
}

impl Rules {
    /// The rules with one of them turned over.
    pub fn without(rule: Rule) -> Rules {
        Rules { without: Some(rule) }
    }

    /// Whether a rule holds.
    pub fn holds(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
