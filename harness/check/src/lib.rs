//! Pure: a plan and its trace become verdicts, one file per invariant.
//!
//! The list of the invariants is [`imalab_language::invariants`]: it names the modules here and the order in which they judge.

mod boots;
mod changes;
mod complaints;
mod ending;
mod evidence;
mod extended;
#[cfg(test)]
mod fake_run;
pub mod figures;
mod findings;
mod history;
pub mod judge;
mod latency;
mod ledger;
mod list_files;
mod log;
mod observed;
pub mod outcome;
pub mod processors;
mod reconstruction;
mod record_history;
mod replayer;
mod run_length;
mod step_summary;
mod subjects;
#[cfg(test)]
mod tests;
mod timeline;
mod violations;

/// Makes the module of each invariant, and one function that asks them all.
macro_rules! modules {
    ($($(#[doc = $holds:literal])+ $name:literal $module:ident $check:ident,)+) => {
        $(mod $module;)+

        /// Judges a run by every invariant, in the order of their list.
        fn checks(case: &Case<'_>) -> Vec<CheckResult> {
            vec![$($module::check(case)),+]
        }
    };
}

imalab_language::invariants!(modules);

use std::collections::BTreeMap;

use chrono::NaiveDate;

pub use judge::Judged;
pub use observed::with_observed;
pub use record_history::{Place, RecordHistory, Within};
pub use step_summary::StepSummary;
pub use subjects::operation;

use crate::figures::{Freed, Latency};
use crate::outcome::{CheckResult, Verdict};
use evidence::{Evidence, RecordId};
#[cfg(test)]
use fake_run::all;
use imalab_formats::ima::model::{Rule, Rules};
use imalab_language::finding;
use imalab_language::plan::Plan;
use imalab_trace::Trace;
use list_files::ListFiles;
use log::WholeLog;
use reconstruction::Reconstructions;
use run_length::RunLength;
use timeline::ListOperation;
use violations::Counters;

/// A run put in order, once: what is judged and told of it are views of this.
#[derive(Debug)]
pub struct Digest<'a> {
    plan: &'a Plan,
    trace: &'a Trace,
    evidence: Evidence<'a>,
    /// Files of lists that were open.
    files: ListFiles<'a>,
    /// What was done to the lists, in order of time.
    timeline: Vec<ListOperation>,
    /// The whole log at each checkpoint.
    reconstructions: Reconstructions,
    /// The records in the order in which they were extended, up to the last checkpoint.
    extended: RunLength<Option<RecordId>>,
    /// What the counter of violations begins with in each boot.
    counters: Counters,
}

/// What an invariant judges.
struct Case<'d> {
    digest: &'d Digest<'d>,
    /// The whole log at the end; none when no checkpoint read the list.
    log: Option<WholeLog<'d>>,
    /// The day (UTC): an entry of the allow list ends on some day.
    today: NaiveDate,
}

/// Puts a run in order.
///
/// Where programs ran, `plan` is [`with_observed`] of the run's plan.
///
/// Nothing in a trace makes it panic: what the guest sent is untrusted, and what does not fit is a finding.
pub fn digest<'a>(plan: &'a Plan, trace: &'a Trace) -> Digest<'a> {
    let evidence = Evidence::of(plan, trace);
    let files = ListFiles::of(&evidence);
    let timeline = timeline::of(&evidence, &files);
    let reconstructions = Reconstructions::of(&evidence, &timeline);
    let extended =
        reconstructions.last().map_or_else(RunLength::default, |whole| whole.order_of_extends(&evidence));
    let counters = Counters::of(&evidence, &reconstructions);
    Digest { plan, trace, evidence, files, timeline, reconstructions, extended, counters }
}

impl Digest<'_> {
    /// Judges the run by every invariant, as on this day (UTC): an entry of the allow list ends on some day.
    pub fn check(&self, today: NaiveDate) -> Vec<CheckResult> {
        let results = checks(&Case { digest: self, log: self.log(), today });
        match &self.evidence.trouble {
            Some(why) => results.into_iter().map(|result| unknown(result, why)).collect(),
            None => results,
        }
    }

    /// Judges the run by every invariant and by how it went.
    pub fn judge(&self, today: NaiveDate) -> Judged {
        let checks = self.check(today);
        let judgement = judge::of(self.plan, self.trace, &checks, today);
        Judged { checks, judgement }
    }

    /// Judges the run by the reference model alone, one of whose rules is turned over: proof that the rule matters to what
    /// the run showed is that the verdict is another.
    pub fn model_without(&self, rule: Rule) -> CheckResult {
        model::by(self, self.log().as_ref(), Rules::without(rule))
    }

    /// How long operations took while a list was changed, by the guest's own times.
    pub fn latency(&self) -> Vec<Latency> {
        latency::latency(&self.evidence, &self.reconstructions.changes)
    }

    /// What each delete and trim freed, where the same task read `/proc/meminfo` before and after it.
    pub fn freed(&self) -> Vec<Freed> {
        latency::freed(&self.evidence, &self.reconstructions.changes)
    }

    /// The steps that the scenario names, of all tasks, in the order in which they began.
    pub fn steps(&self) -> Vec<StepSummary> {
        step_summary::of_all(&self.evidence)
    }

    /// Each record of the whole log at the last checkpoint in the kernel's binary form, as the file of the SHA-1 bank
    /// shows it; none when no checkpoint read the list. What nobody had saved is not in it: then `exactly-once` has failed.
    pub fn records(&self) -> impl Iterator<Item = Vec<u8>> {
        let ids = self.reconstructions.last().into_iter().flat_map(|whole| whole.records.iter());
        ids.map(|id| {
            let mut bytes = Vec::new();
            self.evidence.records.write(id, &mut bytes);
            bytes
        })
    }

    /// Where each record was at every moment: in which kernel's list, in which chunk, carried when. Records of which
    /// nothing is known are not in it.
    pub fn histories(&self) -> impl Iterator<Item = RecordHistory> {
        record_history::of(&self.evidence, &self.reconstructions, &self.extended)
    }

    /// The whole log at the end; none when no checkpoint read the list.
    fn log(&self) -> Option<WholeLog<'_>> {
        self.reconstructions.last().map(|whole| WholeLog::of(&self.evidence, whole, &self.extended))
    }
}

/// Not all of the evidence was what it was: whatever was found in it would lead astray.
fn unknown(result: CheckResult, why: &str) -> CheckResult {
    let compared = BTreeMap::new();
    let findings = vec![finding::Evidence::Unreadable { error: why.to_owned() }.into()];
    let facts = Vec::new();
    CheckResult { verdict: Verdict::CouldNotRun, findings, facts, more: 0, compared, ..result }
}
