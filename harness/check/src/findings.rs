//! One check's notes while it runs, and the result they make.

use std::collections::BTreeMap;

use super::evidence::Moment;
use crate::outcome::{Check, CheckResult, Verdict};
use imalab_language::finding::{Evidence, Fact, Finding};

/// Findings of a result at most; more of the same say nothing new.
const SHOWN: usize = 20;
/// Findings that are kept at most, of which the earliest are shown.
const KEPT: usize = 1_000;

/// A finding, and when what it is about began, if it is about something that a task did.
#[derive(Debug)]
struct Found {
    of: Option<Option<Moment>>,
    finding: Finding,
}

/// Collects what a check finds.
///
/// A check passes only when it compared something: it says what it rests on, and where there was none of that it could not
/// run, whatever else it looked at.
#[derive(Debug)]
pub(super) struct Findings {
    check: Check,
    findings: Vec<Found>,
    hidden: usize,
    obstacles: Vec<Finding>,
    facts: Vec<Fact>,
    compared: BTreeMap<String, u64>,
    left_out: BTreeMap<String, u64>,
    nothing: Option<Finding>,
}

impl Findings {
    pub(super) fn new(check: Check) -> Findings {
        Findings {
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

    /// Something is wrong.
    pub(super) fn finding(&mut self, finding: impl Into<Finding>) {
        self.add(Found { of: None, finding: finding.into() });
    }

    /// As [`Findings::finding`], of something that a task did and that began then: of such findings that follow one another the
    /// earliest comes first, being the likeliest cause of the rest, whichever task it is of. What never began comes last.
    pub(super) fn finding_at(&mut self, began: Option<Moment>, finding: impl Into<Finding>) {
        self.add(Found { of: Some(began), finding: finding.into() });
    }

    fn add(&mut self, found: Found) {
        if self.findings.len() < KEPT {
            self.findings.push(found);
        } else {
            self.hidden += 1;
        }
    }

    /// What was found, in order.
    fn in_order(mut findings: Vec<Found>) -> Vec<Finding> {
        for some in findings.chunk_by_mut(|one, next| one.of.is_some() && next.of.is_some()) {
            some.sort_by_key(|found| found.of.map(|began| (began.is_none(), began)));
        }
        findings.into_iter().map(|found| found.finding).collect()
    }

    /// Something that has to be looked at could not be.
    pub(super) fn obstacle(&mut self, obstacle: impl Into<Finding>) {
        self.obstacles.push(obstacle.into());
    }

    /// What a pass says beside how much it compared.
    pub(super) fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// So many of these were compared; a pass rests on it, so that none is an obstacle.
    pub(super) fn rests_on(&mut self, number: usize, what: &str) {
        if number == 0 {
            self.obstacle(Evidence::NoneOf { of: what.to_owned() });
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
    pub(super) fn not_applicable(&mut self, why: impl Into<Finding>) {
        self.nothing = Some(why.into());
    }

    pub(super) fn result(mut self) -> CheckResult {
        let (mut more, mut facts) = (0, Vec::new());
        let (verdict, findings) = if !self.findings.is_empty() {
            let mut found = Self::in_order(self.findings);
            more = (self.hidden + found.len().saturating_sub(SHOWN)) as u64;
            found.truncate(SHOWN);
            found.append(&mut self.obstacles);
            (Verdict::Failed, found)
        } else if !self.obstacles.is_empty() {
            (Verdict::CouldNotRun, self.obstacles)
        } else if let Some(why) = self.nothing {
            (Verdict::NotApplicable, vec![why])
        } else if self.compared.values().all(|number| *number == 0) {
            (Verdict::CouldNotRun, vec![Evidence::NothingCompared {}.into()])
        } else {
            facts = self.facts;
            (Verdict::Passed, Vec::new())
        };
        let (compared, left_out) = (self.compared, self.left_out);
        CheckResult { check: self.check, verdict, findings, more, facts, compared, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_language::finding::{Quote, Replay};

    fn verdict(note: impl FnOnce(&mut Findings)) -> CheckResult {
        let mut findings = Findings::new(Check::Quote);
        note(&mut findings);
        findings.result()
    }

    /// A finding that is told by a number.
    fn of(mark: u64) -> Finding {
        Quote::NonceReused { mark }.into()
    }

    #[test]
    fn of_what_tasks_did_the_earliest_comes_first() {
        let at = |ns| Some(Moment { boot: 1, ns });
        let result = verdict(|findings| {
            findings.finding(of(0));
            for (began, mark) in [(at(9), 2), (None, 3), (at(2), 1)] {
                findings.finding_at(began, of(mark));
            }
            findings.finding(of(4));
        });
        assert_eq!(result.findings, [0, 1, 2, 3, 4].map(of));
        // Though more were found than are shown.
        let result = verdict(|findings| (0..50).rev().for_each(|ns| findings.finding_at(at(ns), of(ns))));
        assert_eq!((result.findings[0].clone(), result.findings.len(), result.more), (of(0), 20, 30));
    }

    #[test]
    fn words_alone_are_no_pass() {
        let result = verdict(|findings| findings.fact(Fact::PoweredOff {}));
        assert_eq!(result.verdict, Verdict::CouldNotRun, "{result:?}");
        let result = verdict(|findings| findings.compared(0, "records"));
        assert_eq!(result.verdict, Verdict::CouldNotRun, "{result:?}");
        assert_eq!(result.findings, [Evidence::NothingCompared {}.into()]);
    }

    #[test]
    fn nothing_of_one_thing_is_no_pass_whatever_there_was_of_another() {
        let result = verdict(|findings| {
            findings.rests_on(3, "records");
            findings.rests_on(0, "banks");
            findings.fact(Fact::PoweredOff {});
        });
        assert_eq!((result.verdict, result.facts), (Verdict::CouldNotRun, Vec::new()));
        assert_eq!(result.findings, [Evidence::NoneOf { of: "banks".to_owned() }.into()]);
        assert_eq!(result.compared["banks"], 0);
    }

    #[test]
    fn what_does_not_apply_is_not_a_pass_and_hides_no_finding() {
        let result = verdict(|findings| findings.not_applicable(Quote::NoQuoteStep {}));
        let why = vec![Quote::NoQuoteStep {}.into()];
        assert_eq!((result.verdict, result.findings), (Verdict::NotApplicable, why));
        let result = verdict(|findings| {
            findings.not_applicable(Quote::NoQuoteStep {});
            findings.finding(of(1));
            findings.obstacle(Replay::PcrNotRead { mark: 2 });
        });
        assert_eq!(result.verdict, Verdict::Failed);
        assert_eq!(result.findings, [of(1), Replay::PcrNotRead { mark: 2 }.into()]);
    }
}
