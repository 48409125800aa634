//! Pure: a plan and its trace become verdicts, one file per invariant.

mod evidence;
mod exactly_once;
mod ledger;
mod replay;
mod sheet;
mod steps;
mod views_agree;
mod whole;
#[cfg(test)]
mod world;

use crate::event::Trace;
use crate::outcome::CheckResult;
use crate::plan::Plan;
use evidence::Evidence;
use whole::Wholes;

/// Judges a run by every invariant.
///
/// Nothing in a trace makes it panic: what the guest sent is untrusted, and what does not fit is a finding.
pub fn all(plan: &Plan, trace: &Trace) -> Vec<CheckResult> {
    let evidence = Evidence::of(plan, trace);
    let wholes = Wholes::of(&evidence);
    vec![
        steps::check(&evidence),
        exactly_once::check(&evidence, &wholes),
        replay::check(&evidence, &wholes),
        views_agree::check(&evidence),
    ]
}
