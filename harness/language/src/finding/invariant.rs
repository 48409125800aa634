//! What is declared of an invariant, beside its findings.

use super::Check;
use super::Finding;

/// An invariant: what it rests on, and how directly its findings name a fault. `docs/architecture.md` and `docs/results.md`
/// have their tables from here.
#[derive(Debug)]
pub struct Invariant {
    /// What it compares with what, as its row of the documents says it.
    pub evidence: &'static str,
    /// What a pass rests on.
    pub rests: Rests,
    /// How directly a finding of the check names a fault.
    pub directness: fn(&Finding) -> Directness,
}

/// What a pass rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rests {
    /// What is compared.
    pub on: &'static str,
    /// The verdict where there is none of that.
    pub nothing: &'static str,
    /// Tests and cases of `imalab-check` that show it.
    pub tests: &'static [&'static str],
}

/// How directly a finding of a check names a fault; the most direct first. The most direct finding of a run is its reason.
///
/// A kernel's own complaint names the line of the source; the tap stands outside the guest and names the record; what the lists
/// lead to says that something is wrong with them, and what the files show of them in which; the model names the call, by what
/// came before it; a quote fails as the PCR does; and a step's result is often but what an earlier fault led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Directness {
    /// A kernel's own complaint.
    Complaint,
    /// What a kernel says that it offers.
    Offer,
    /// What crossed the tap.
    Tap,
    /// What the log gives.
    Log,
    /// What a kexec carried.
    Carried,
    /// What a reader got.
    Read,
    /// What files show.
    Shown,
    /// What a call gave.
    Model,
    /// What a quote says.
    Quote,
    /// Boots and ends.
    Health,
    /// What a step gave.
    Step,
}

macro_rules! declared {
    ($($(#[doc = $holds:literal])+ $name:literal $module:ident $group:ident,)+) => {
        /// What is declared of a check; none of those that are of a kernel as a whole.
        fn of(check: Check) -> Option<&'static Invariant> {
            match check {
                $(Check::$group => Some(&super::$module::INVARIANT),)+
                Check::Offers | Check::Probe => None,
            }
        }
    };
}

crate::invariants!(declared);

impl Check {
    /// What is declared of an invariant.
    pub fn invariant(self) -> Option<&'static Invariant> {
        of(self)
    }

    /// How directly a finding of it names a fault.
    pub fn directness(self, finding: &Finding) -> Directness {
        self.invariant().map_or(Directness::Offer, |invariant| (invariant.directness)(finding))
    }
}
