//! Invariant `views-agree`: ASCII and binary, and the files of all banks, show the same records.
//!
//! A record's data are the same in every file; its digest column is that of the file's bank, and zeros for a
//! violation in all of them. The ASCII form is compared byte by byte with what the binary one makes of it,
//! since its text cannot be taken apart in every case: a file name may have a space in it.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{BufReader, Read};

use super::Case;
use super::evidence::{Evidence, ListSeen, RecordId};
use super::findings::Findings;
use super::run_length::RunLength;
use super::subjects::list;
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::{AsciiLine, Bank, ByteOrder, RecordRef};
use imalab_language::finding::{Fact, Step, ViewsAgree};
use imalab_language::plan::{Action, Form, Observed};

/// Longest part of an ASCII line that a finding shows, in bytes.
const LINE_SHOWN: usize = 300;

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let evidence = &case.digest.evidence;
    let mut findings = Findings::new(Check::ViewsAgree);
    let (mut full, mut lists, mut most) = (0, 0, 0);
    let planned = planned(evidence);
    let both = [Form::Binary, Form::Ascii].iter().all(|form| planned.iter().any(|(other, _)| other == form));
    for step in 0..evidence.steps.len() {
        let quiescent = evidence.quiescent(step);
        for staged in [false, true] {
            let views: Vec<&ListSeen> =
                evidence.lists_of(step).iter().filter(|list| list.is_staged() == staged).collect();
            lists += views.len();
            let mut comparison = Views { evidence, step, findings: &mut findings };
            views.iter().for_each(|view| comparison.alone(view));
            if quiescent {
                comparison.together(&views);
            }
        }
        unread(evidence, step, &mut findings);
        if quiescent && evidence.steps[step].planned.action == Action::Checkpoint {
            let counted = counter(evidence, step, &mut findings);
            if counted && both && read(evidence, step) == planned {
                full += 1;
                most = most.max(evidence.lists_of(step).iter().map(|list| list.count).max().unwrap_or(0));
            }
        }
    }
    if full == 0 {
        findings.obstacle(ViewsAgree::NoFullCheckpoint {});
    }
    let banks: BTreeSet<&str> = planned.iter().map(|(_, bank)| bank.name()).collect();
    findings.rests_on(full, "full checkpoints");
    findings.compared(most, "records");
    if full > 0 && most == 0 {
        findings.not_applicable(ViewsAgree::NoRecord {});
    }
    findings.rests_on(banks.len(), "banks");
    findings.compared(lists, "views");
    let without_file = evidence.records.active().iter().filter(|bank| !banks.contains(bank.name()));
    findings.leaves_out(without_file.count(), "banks without a file of their own");
    findings.fact(Fact::Banks { banks: banks.into_iter().map(str::to_owned).collect() });
    findings.result()
}

/// The views of the current list that the plan reads anywhere: what this kernel offers of it.
fn planned(evidence: &Evidence<'_>) -> BTreeSet<(Form, Bank)> {
    let readings = evidence.steps.iter().flat_map(|step| &step.planned.reads);
    readings
        .filter_map(|reading| match reading.of {
            Observed::List { form, bank, staged: false } => Some((form, bank)),
            _ => None,
        })
        .collect()
}

/// The views of the current list that a step read.
fn read(evidence: &Evidence<'_>, step: usize) -> BTreeSet<(Form, Bank)> {
    let lists = evidence.lists_of(step).iter().filter(|list| !list.is_staged() && list.broken.is_none());
    lists.map(|list| (list.form, list.bank)).collect()
}

/// A checkpoint that came to its end has read everything that it was there to read.
fn unread(evidence: &Evidence<'_>, step: usize, findings: &mut Findings) {
    let seen = &evidence.steps[step];
    let ended = !seen.seen.is_empty() && seen.seen.iter().all(|op| op.ended.is_some());
    if seen.planned.action != Action::Checkpoint || !ended {
        return;
    }
    let lists =
        seen.planned.reads.iter().filter(|reading| matches!(reading.of, Observed::List { .. })).count();
    let counters = seen.planned.reads.len() - lists;
    let (lists_read, counters_read) = (evidence.lists_of(step).len(), evidence.counters_of(step).len());
    if lists_read < lists || counters_read < counters {
        findings.obstacle(ViewsAgree::NotAllRead {
            step: evidence.step(step),
            views: lists as u64,
            views_read: lists_read as u64,
            counters: counters as u64,
            counters_read: counters_read as u64,
        });
    }
}

/// The counter of records is that of the current list alone. Whether both were read.
fn counter(evidence: &Evidence<'_>, step: usize, findings: &mut Findings) -> bool {
    let lists = evidence.lists_of(step);
    let Some(view) = lists.iter().find(|list| !list.is_staged() && list.broken.is_none()) else {
        return false;
    };
    let mut counted = false;
    for counter in evidence.counters_of(step).iter().filter(|counter| counter.of == Observed::Count) {
        counted = true;
        if counter.value != view.count as u64 {
            let finding = ViewsAgree::Counter {
                step: evidence.step(step),
                list: list(view),
                expected: view.count as u64,
                found: counter.value,
            };
            findings.finding_at(evidence.began(step), finding);
        }
    }
    counted
}

/// The views that one step read of one list.
struct Views<'v, 'a> {
    evidence: &'v Evidence<'a>,
    step: usize,
    findings: &'v mut Findings,
}

impl Views<'_, '_> {
    fn finding(&mut self, finding: ViewsAgree) {
        self.findings.finding_at(self.evidence.began(self.step), finding);
    }

    fn step(&self) -> Step {
        self.evidence.step(self.step)
    }

    /// What a view has to be by itself: well-formed, with the digests of its data.
    fn alone(&mut self, view: &ListSeen) {
        if let Some(error) = view.broken.clone() {
            self.finding(ViewsAgree::Malformed { step: self.step(), list: list(view), error });
        }
        let (Some(wrong), Some(records)) = (view.wrong.first(), &view.records) else { return };
        let Some(id) = records.get(wrong.at) else { return };
        self.finding(ViewsAgree::WrongDigest {
            step: self.step(),
            list: list(view),
            record: self.evidence.record_at(id, wrong.at),
            expected_digest: self.evidence.records.shown(id, view.bank).to_string(),
            found_digest: hex::encode(&wrong.found),
            more: view.wrong.len() as u64 - 1,
        });
    }

    /// What views of one list owe each other.
    fn together(&mut self, views: &[&ListSeen]) {
        let sound = |view: &&&ListSeen| view.broken.is_none();
        let Some((first, records)) = views
            .iter()
            .filter(sound)
            .filter(|view| view.form == Form::Binary)
            .find_map(|view| Some((*view, view.records.as_ref()?)))
        else {
            return;
        };
        for view in views.iter().filter(sound).filter(|view| !std::ptr::eq(**view, first)) {
            match (view.form, &view.records) {
                (Form::Ascii, _) => self.text(first, records, view),
                (Form::Binary, Some(others)) => self.same(first, records, view, others),
                (Form::Binary, None) => {}
            }
        }
    }

    fn same(
        &mut self,
        first: &ListSeen,
        records: &RunLength<RecordId>,
        view: &ListSeen,
        others: &RunLength<RecordId>,
    ) {
        if records == others {
            return;
        }
        let at = records.same_as(others);
        let show = |records: &RunLength<RecordId>| records.get(at).map(|id| self.evidence.record_at(id, at));
        self.finding(ViewsAgree::Differ {
            step: self.step(),
            number: at as u64 + 1,
            list: list(first),
            other_list: list(view),
            record: show(records),
            other_record: show(others),
            records: records.len() as u64,
            other_records: others.len() as u64,
        });
    }

    fn text(&mut self, first: &ListSeen, records: &RunLength<RecordId>, view: &ListSeen) {
        let mut text = BufReader::new(self.evidence.bytes_of(view));
        let mut found = Vec::new();
        for (at, id) in records.iter().enumerate() {
            let expected = match self.line(id, view.bank) {
                Ok(line) => line,
                Err(error) => {
                    let (step, number) = (self.step(), at as u64 + 1);
                    return self.finding(ViewsAgree::NoText { step, list: list(first), number, error });
                }
            };
            found.clear();
            // Reading from memory does not fail; less than asked for is the end of the text.
            let _ = text.by_ref().take(expected.len() as u64).read_to_end(&mut found);
            if found != expected {
                let show = |line: &[u8]| line.get(..LINE_SHOWN).unwrap_or(line).escape_ascii().to_string();
                return self.finding(ViewsAgree::Text {
                    step: self.step(),
                    list: list(view),
                    number: at as u64 + 1,
                    expected: show(&expected),
                    found: show(&found),
                });
            }
        }
        let more = view.count.saturating_sub(records.len());
        if more > 0 {
            self.finding(ViewsAgree::Longer {
                step: self.step(),
                list: list(view),
                other_list: list(first),
                records: more as u64,
            });
        }
    }

    fn line(&self, id: RecordId, bank: Bank) -> Result<Vec<u8>, String> {
        let record = self.evidence.records.get(id);
        let digest = self.evidence.records.shown(id, bank);
        let shown = RecordRef {
            pcr: record.pcr,
            digest: digest.as_bytes(),
            template: record.template,
            data: record.data,
        };
        AsciiLine::of(shown, ByteOrder::Little).map(|line| line.to_bytes()).map_err(|error| error.to_string())
    }
}
