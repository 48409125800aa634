//! Pure: a plan and its trace become verdicts, one file per invariant.

mod boots;
mod complaints;
mod deeds;
mod ending;
mod evidence;
mod exactly_once;
mod extended;
pub mod figures;
mod history;
pub mod judge;
mod kernel_health;
mod kexec;
mod latency;
mod ledger;
mod lives;
mod log;
mod model;
mod op_text;
pub mod outcome;
pub mod processors;
mod quote;
mod readers;
mod replay;
mod replayer;
mod runs;
mod sheet;
mod steps;
#[cfg(test)]
mod tests;
mod told;
mod views_agree;
mod violations;
mod whole;
#[cfg(test)]
mod world;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};

pub use latency::{freed, latency};

pub use lives::{Place, RecordLife, Within};
pub use told::{StepTold, told};

use crate::outcome::{CheckResult, Verdict};
use evidence::Evidence;
use imalab_formats::ima::model::{Rule, Rules};
use imalab_language::plan::Plan;
use imalab_trace::Trace;
use whole::Wholes;

/// Judges a run by every invariant, today: an entry of the allow list ends on some day.
///
/// Nothing in a trace makes it panic: what the guest sent is untrusted, and what does not fit is a finding.
pub fn all(plan: &Plan, trace: &Trace) -> Vec<CheckResult> {
    let now = std::time::SystemTime::now().into();
    all_on(plan, trace, DateTime::<chrono::Utc>::date_naive(&now))
}

/// As [`all`], as on some other day (UTC).
pub fn all_on(plan: &Plan, trace: &Trace, today: NaiveDate) -> Vec<CheckResult> {
    let evidence = Evidence::of(plan, trace);
    let wholes = Wholes::of(&evidence);
    let results = vec![
        steps::check(&evidence),
        model::check(&evidence, &wholes, Rules::default()),
        exactly_once::check(&evidence, &wholes),
        replay::check(&evidence, &wholes),
        views_agree::check(&evidence),
        readers::check(&evidence, &wholes),
        quote::check(&evidence, &wholes),
        kernel_health::check(&evidence, trace, today),
        kexec::check(&evidence, &wholes, trace),
    ];
    match &evidence.trouble {
        Some(why) => results.into_iter().map(|result| unknown(result, why)).collect(),
        None => results,
    }
}

/// Not all of the evidence was what it was: whatever was found in it would lead astray.
fn unknown(result: CheckResult, why: &str) -> CheckResult {
    let compared = BTreeMap::new();
    CheckResult { verdict: Verdict::CouldNotRun, findings: vec![why.to_owned()], compared, ..result }
}

/// Judges a run by the reference model alone, one of whose rules is turned over: proof that the rule matters to what the
/// run showed is that the verdict is another.
pub fn model_without(plan: &Plan, trace: &Trace, rule: Rule) -> CheckResult {
    let evidence = Evidence::of(plan, trace);
    let wholes = Wholes::of(&evidence);
    model::check(&evidence, &wholes, Rules::without(rule))
}

/// The whole log at the last checkpoint; empty when none read the list.
#[derive(Debug)]
pub struct RunLog<'a> {
    evidence: Evidence<'a>,
    wholes: Wholes,
}

impl<'a> RunLog<'a> {
    /// That of a run.
    pub fn of(plan: &'a Plan, trace: &'a Trace) -> RunLog<'a> {
        let evidence = Evidence::of(plan, trace);
        let wholes = Wholes::of(&evidence);
        RunLog { evidence, wholes }
    }

    /// Each record in the kernel's binary form, as the file of the SHA-1 bank shows it. What nobody had saved is not in
    /// it: then `exactly-once` has failed.
    pub fn records(&self) -> impl Iterator<Item = Vec<u8>> {
        let ids = self.wholes.last().into_iter().flat_map(|whole| whole.records.iter());
        ids.map(|id| {
            let mut bytes = Vec::new();
            self.evidence.records.write(id, &mut bytes);
            bytes
        })
    }

    /// Where each record was at every moment: in which kernel's list, in which chunk, carried when. Records of which
    /// nothing is known are not in it.
    pub fn lives(&self) -> impl Iterator<Item = RecordLife> {
        lives::of(&self.evidence, &self.wholes)
    }
}
