//! Findings: what is wrong with a run, and why it ended as it did, as data.
//!
//! Each has a code that stays, and fields: what, where, what was expected, what came. Whoever decides anything by a finding
//! (which is the reason of a run, whether it is how a known defect shows) goes by these. A sentence stands beside each code and is
//! put together of [phrases](Phrasing) that `report` of the crate `imalab` alone has, so that nothing parses it. `docs/findings.md`
//! is made of the tables below.

#[macro_use]
mod macros;
mod check;
mod evidence;
mod exactly_once;
mod fact;
mod fields;
mod invariant;
mod kernel_health;
mod kexec;
mod matching;
mod model;
mod mutex;
mod part;
mod phrasing;
mod probe;
mod quote;
mod readers;
mod replay;
mod run;
mod steps;
mod suite;
#[cfg(test)]
mod table;
mod trace;
mod views_agree;

pub use check::Check;
pub use evidence::Evidence;
pub use fact::{CounterAtKexec, Fact};
pub use fields::FIELDS;
pub use invariant::{Directness, Invariant, Rests};
pub use matching::{Pattern, entry};
pub use part::{
    ConsoleLine, Extend, Holder, List, Operation, Part, Place, Promise, Record, Step, Totals, Value, Waiter,
};
pub use phrasing::Phrasing;
pub use probe::Probe;
pub use run::{KernelDied, Run};
pub use steps::Amount;
pub use suite::{Known, Offers, Skip};
pub use trace::Trace;

/// The invariants, in the order in which every run is judged by them: what holds where one passes, its name, its module, and its
/// findings.
///
/// The module here declares the invariant ([`Invariant`]) and its findings; the module of the same name in `imalab-check`
/// compares. `invariants!(macro)` hands all rows to a macro: whoever has something for each invariant makes it of this list.
#[macro_export]
macro_rules! invariants {
    ($then:ident) => {
        $then! {
            /// Every step gave what the scenario expects.
            "steps" steps Steps,
            /// Everything is as the reference model of the interface says.
            "model" model Model,
            /// What was extended and what user space holds are the same.
            "exactly-once" exactly_once ExactlyOnce,
            /// The whole log, replayed, is PCR 10.
            "replay" replay Replay,
            /// All files show the same records.
            "views-agree" views_agree ViewsAgree,
            /// A reader sees each record once, and whole.
            "readers" readers Readers,
            /// Every quote verifies, and is over a prefix of the log.
            "quote" quote Quote,
            /// The console is clean, and boots and end are as asked for.
            "kernel-health" kernel_health KernelHealth,
            /// A kernel begins with the list that the one before it left.
            "kexec" kexec Kexec,
            /// How long a request holds the mutex of the lists does not depend on their length.
            "mutex" mutex Mutex,
        }
    };
}

/// A code with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: `exactly-once/record-lost`.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Its fields, each with the fields of its own.
    pub fields: &'static [(&'static str, &'static [&'static str])],
}

/// Codes that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// What stands before the slash.
    pub prefix: &'static str,
    /// What they are about.
    pub about: &'static str,
    /// The codes.
    pub codes: &'static [Entry],
    /// What fields mean that no other group has.
    pub fields: &'static [(&'static str, &'static str)],
}

macro_rules! with_invariants {
    ($($(#[doc = $holds:literal])+ $name:literal $module:ident $group:ident,)+) => {
        $(pub use $module::$group;)+

        groups! {
            $($name $group,)+
            "trace" Trace,
            "evidence" Evidence,
            "offers" Offers,
            "probe" Probe,
            "known" Known,
            "kernel-died" KernelDied,
            "run" Run,
            "skip" Skip,
        }
    };
}

invariants!(with_invariants);

#[cfg(test)]
mod tests;
