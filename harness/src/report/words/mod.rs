//! Findings, facts and reasons in words: the one place that makes sentences of them. Nothing reads these back.
//!
//! A group of codes has a module, and each matches all of its codes: a code without words does not compile.

mod evidence;
mod exactly_once;
mod fact;
mod kernel_health;
mod kexec;
mod model;
mod parts;
mod probe;
mod quote;
mod readers;
mod reason;
mod replay;
mod run;
mod steps;
mod suite;
#[cfg(test)]
mod tests;
mod trace;
mod views_agree;

use imalab_check::outcome::{Reason, Unlike};
use imalab_language::finding::{Fact, Finding};

/// A finding as a sentence of one line.
pub fn finding(finding: &Finding) -> String {
    match finding {
        Finding::Steps(finding) => steps::words(finding),
        Finding::Trace(finding) => trace::words(finding),
        Finding::Model(finding) => model::words(finding),
        Finding::ExactlyOnce(finding) => exactly_once::words(finding),
        Finding::Replay(finding) => replay::words(finding),
        Finding::ViewsAgree(finding) => views_agree::words(finding),
        Finding::Readers(finding) => readers::words(finding),
        Finding::Quote(finding) => quote::words(finding),
        Finding::KernelHealth(finding) => kernel_health::words(finding),
        Finding::Kexec(finding) => kexec::words(finding),
        Finding::Evidence(finding) => evidence::words(finding),
        Finding::Offers(finding) => suite::offers(finding),
        Finding::Probe(finding) => probe::words(finding),
        Finding::Known(finding) => suite::known(finding),
        Finding::KernelDied(finding) => run::kernel_died(finding),
        Finding::Run(finding) => run::words(finding),
        Finding::Skip(finding) => suite::skip(finding),
    }
}

/// What a check says of a pass, as part of a sentence.
pub fn fact(fact: &Fact) -> String {
    fact::words(fact)
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
