//! One check's notes while it runs, and the result they make.

use std::collections::BTreeMap;

use super::evidence::Moment;
use crate::outcome::{CheckResult, Verdict};

/// Findings shown at most; more of the same say nothing new.
const SHOWN: usize = 20;
/// Findings that are kept at most, of which the earliest are shown.
const KEPT: usize = 1_000;

/// A finding, and when what it is about began, if it is about something that a task did.
#[derive(Debug)]
struct Found {
    of: Option<Option<Moment>>,
    text: String,
}

/// Collects what a check finds.
///
/// A check passes only when it compared something: it says what it rests on, and where there was none of that it could not
/// run, whatever else it looked at.
#[derive(Debug)]
pub(super) struct Sheet {
    check: &'static str,
    findings: Vec<Found>,
    hidden: usize,
    obstacles: Vec<String>,
    facts: Vec<String>,
    compared: BTreeMap<String, u64>,
    left_out: BTreeMap<String, u64>,
    nothing: Option<String>,
}

impl Sheet {
    pub(super) fn new(check: &'static str) -> Sheet {
        Sheet {
            check,
            findings: Vec::new(),
            hidden: 0,
            obstacles: Vec::new(),
            facts: Vec::new(),
            compared: BTreeMap::new(),
            left_out: BTreeMap::new(),
            nothing: None,
        }
    }

    /// Something is wrong: what, where, expected, found.
    pub(super) fn finding(&mut self, finding: impl Into<String>) {
        self.add(Found { of: None, text: finding.into() });
    }

    /// As [`Sheet::finding`], of something that a task did and that began then: of such findings that follow one another the
    /// earliest comes first, being the likeliest cause of the rest, whichever task it is of. What never began comes last.
    pub(super) fn finding_at(&mut self, began: Option<Moment>, finding: impl Into<String>) {
        self.add(Found { of: Some(began), text: finding.into() });
    }

    fn add(&mut self, found: Found) {
        if self.findings.len() < KEPT {
            self.findings.push(found);
        } else {
            self.hidden += 1;
        }
    }

    /// The texts of what was found, in order.
    fn told(mut findings: Vec<Found>) -> Vec<String> {
        for some in findings.chunk_by_mut(|one, next| one.of.is_some() && next.of.is_some()) {
            some.sort_by_key(|found| found.of.map(|began| (began.is_none(), began)));
        }
        findings.into_iter().map(|found| found.text).collect()
    }

    /// Something that has to be looked at could not be.
    pub(super) fn obstacle(&mut self, obstacle: impl Into<String>) {
        self.obstacles.push(obstacle.into());
    }

    /// A pass in words.
    pub(super) fn fact(&mut self, fact: impl Into<String>) {
        self.facts.push(fact.into());
    }

    /// So many of these were compared; a pass rests on it, so that none is an obstacle.
    pub(super) fn rests_on(&mut self, number: usize, what: &str) {
        if number == 0 {
            self.obstacle(format!("none of the {what} were there to be compared"));
        }
        self.compared(number, what);
    }

    /// So many of these were compared as well; a sound run may have none.
    pub(super) fn compared(&mut self, number: usize, what: &str) {
        self.compared.insert(what.to_owned(), number as u64);
    }

    /// So many of these were there and not compared.
    pub(super) fn leaves_out(&mut self, number: usize, what: &str) {
        if number > 0 {
            self.left_out.insert(what.to_owned(), number as u64);
        }
    }

    /// By the plan there is nothing to compare.
    pub(super) fn not_applicable(&mut self, why: &str) {
        self.nothing = Some(why.to_owned());
    }

    pub(super) fn result(mut self) -> CheckResult {
        let (verdict, findings) = if !self.findings.is_empty() {
            let mut told = Self::told(self.findings);
            let hidden = self.hidden + told.len().saturating_sub(SHOWN);
            told.truncate(SHOWN);
            if hidden > 0 {
                told.push(format!("and {hidden} more"));
            }
            told.append(&mut self.obstacles);
            (Verdict::Failed, told)
        } else if !self.obstacles.is_empty() {
            (Verdict::CouldNotRun, self.obstacles)
        } else if let Some(why) = self.nothing {
            (Verdict::NotApplicable, vec![why])
        } else if self.compared.values().all(|number| *number == 0) {
            (Verdict::CouldNotRun, vec!["nothing was there to be compared".to_owned()])
        } else {
            (Verdict::Passed, vec![self.facts.join(", ")])
        };
        let (compared, left_out) = (self.compared, self.left_out);
        CheckResult { check: self.check.to_owned(), verdict, findings, compared, left_out }
    }
}

/// `1 record`, `2 records`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(note: impl FnOnce(&mut Sheet)) -> CheckResult {
        let mut sheet = Sheet::new("any");
        note(&mut sheet);
        sheet.result()
    }

    #[test]
    fn of_what_tasks_did_the_earliest_comes_first() {
        let at = |ns| Some(Moment { boot: 1, ns });
        let result = verdict(|sheet| {
            sheet.finding("first of all");
            for (began, finding) in [(at(9), "late"), (None, "never"), (at(2), "early")] {
                sheet.finding_at(began, finding);
            }
            sheet.finding("last of all");
        });
        assert_eq!(result.findings, ["first of all", "early", "late", "never", "last of all"]);
        // Though more were found than are shown.
        let result = verdict(|sheet| (0..50).rev().for_each(|ns| sheet.finding_at(at(ns), ns.to_string())));
        assert_eq!((result.findings[0].as_str(), result.findings[20].as_str()), ("0", "and 30 more"));
    }

    #[test]
    fn words_alone_are_no_pass() {
        let result = verdict(|sheet| sheet.fact("all is well"));
        assert_eq!(result.verdict, Verdict::CouldNotRun, "{result:?}");
        let result = verdict(|sheet| sheet.compared(0, "records"));
        assert_eq!(result.verdict, Verdict::CouldNotRun, "{result:?}");
    }

    #[test]
    fn nothing_of_one_thing_is_no_pass_whatever_there_was_of_another() {
        let result = verdict(|sheet| {
            sheet.rests_on(3, "records");
            sheet.rests_on(0, "banks");
            sheet.fact("3 records");
        });
        assert_eq!(result.verdict, Verdict::CouldNotRun);
        assert_eq!(result.findings, ["none of the banks were there to be compared"]);
        assert_eq!(result.compared["banks"], 0);
    }

    #[test]
    fn what_does_not_apply_is_not_a_pass_and_hides_no_finding() {
        let result = verdict(|sheet| sheet.not_applicable("no quote step"));
        assert_eq!(
            (result.verdict, result.findings),
            (Verdict::NotApplicable, vec!["no quote step".to_owned()])
        );
        let result = verdict(|sheet| {
            sheet.not_applicable("no quote step");
            sheet.finding("a quote");
        });
        assert_eq!(result.verdict, Verdict::Failed);
    }
}
