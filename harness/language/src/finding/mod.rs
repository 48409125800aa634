//! Findings: what is wrong with a run, and why it ended as it did, as data.
//!
//! Each has a code that stays, and fields: what, where, what was expected, what came. Whoever decides anything by a finding
//! (which is the reason of a run, whether it is how a known defect shows) goes by these. Sentences are made in `report` of the
//! crate `imalab`, and are never parsed. `docs/findings.md` is made of the tables below.

#[macro_use]
mod macros;
mod evidence;
mod exactly_once;
mod fact;
mod fields;
mod kernel_health;
mod kexec;
mod matching;
mod model;
mod part;
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

pub use evidence::Evidence;
pub use exactly_once::ExactlyOnce;
pub use fact::{CounterAtKexec, Fact};
pub use fields::FIELDS;
pub use kernel_health::KernelHealth;
pub use kexec::Kexec;
pub use matching::{Pattern, entry};
pub use model::Model;
pub use part::{
    ConsoleLine, Extend, Holder, List, Operation, Part, Place, Promise, Record, Step, Totals, Value, Waiter,
};
pub use probe::Probe;
pub use quote::Quote;
pub use readers::Readers;
pub use replay::Replay;
pub use run::{KernelDied, Run};
pub use steps::{Amount, Steps};
pub use suite::{Known, Offers, Skip};
pub use trace::Trace;
pub use views_agree::ViewsAgree;

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
}

groups! {
    "steps" Steps: "A step gave another result than its scenario expects.",
    "trace" Trace: "What the guest sent does not fit the plan, or itself. The check `steps` has these.",
    "model" Model: "The reference model of the interface gives something else.",
    "exactly-once" ExactlyOnce: "What the tap saw extended and what user space holds are not the same sequence.",
    "replay" Replay: "The whole log, replayed, is not PCR 10.",
    "views-agree" ViewsAgree: "Files of the interface show different records.",
    "readers" Readers: "What was read of an open list is not its records, each once and whole.",
    "quote" Quote: "A quote does not verify, or is over values that the log never had.",
    "kernel-health" KernelHealth: "A complaint on the console, a boot or an end that nobody asked for.",
    "kexec" Kexec: "A kernel began with another list than the one before it left, or its records of kexec are not true.",
    "evidence" Evidence: "Evidence that several checks rest on is missing.",
    "offers" Offers: "A kernel lacks what `kernels.yaml` says that it offers.",
    "probe" Probe: "A kernel took what it was asked for when it was asked what it offers, and gave something else.",
    "known" Known: "A known defect or limit showed, or did not.",
    "kernel-died" KernelDied: "The guest's kernel died.",
    "run" Run: "What ended a run before its checks say anything.",
    "skip" Skip: "Why a run did not begin.",
}

#[cfg(test)]
mod tests;
