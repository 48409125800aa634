//! Findings, facts and reasons in words: the one place that makes sentences of them. Nothing reads these back.
//!
//! What a sentence says stands beside its code, in the crate `imalab-language`; the words for what it speaks of (steps, records,
//! lists) are here.

mod parts;
mod reason;
#[cfg(test)]
mod tests;

use imalab_check::outcome::{Reason, Unlike};
use imalab_language::finding::{Fact, Finding};
use parts::Parts;

/// A finding as a sentence of one line.
pub fn finding(finding: &Finding) -> String {
    finding.words(&Parts)
}

/// What a check says of a pass, as part of a sentence.
pub fn fact(fact: &Fact) -> String {
    fact.words(&Parts)
}

/// Why a run has its outcome, as a sentence of one line.
pub fn reason(reason: &Reason) -> String {
    reason::words(reason)
}

/// The same by codes, for a line whose reader finds the sentence elsewhere.
pub fn short(reason: &Reason) -> String {
    reason::short(reason)
}

/// Why a run is not what is known of its kernel.
pub fn unlike(why: &Unlike) -> String {
    reason::unlike(why)
}

/// An operation by itself, without its place in a step: `write "2\n" binary_runtime_measurements`.
pub fn operation_text(operation: &imalab_language::finding::Operation) -> String {
    parts::call(operation)
}
