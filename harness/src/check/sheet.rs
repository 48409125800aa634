//! One check's notes while it runs, and the result they make.

use crate::outcome::{CheckResult, Verdict};

/// Findings shown at most; more of the same say nothing new.
const SHOWN: usize = 20;

/// Collects what a check finds.
///
/// A check passes only when it rested on something: one that noted neither a finding nor a fact could not run.
#[derive(Debug)]
pub(super) struct Sheet {
    check: &'static str,
    findings: Vec<String>,
    hidden: usize,
    obstacles: Vec<String>,
    facts: Vec<String>,
}

impl Sheet {
    pub(super) fn new(check: &'static str) -> Sheet {
        Sheet { check, findings: Vec::new(), hidden: 0, obstacles: Vec::new(), facts: Vec::new() }
    }

    /// Something is wrong: what, where, expected, found.
    pub(super) fn finding(&mut self, finding: impl Into<String>) {
        if self.findings.len() < SHOWN {
            self.findings.push(finding.into());
        } else {
            self.hidden += 1;
        }
    }

    /// Something that has to be looked at could not be.
    pub(super) fn obstacle(&mut self, obstacle: impl Into<String>) {
        self.obstacles.push(obstacle.into());
    }

    /// What a pass rests on.
    pub(super) fn fact(&mut self, fact: impl Into<String>) {
        self.facts.push(fact.into());
    }

    pub(super) fn result(mut self) -> CheckResult {
        let (verdict, findings) = if !self.findings.is_empty() {
            if self.hidden > 0 {
                self.findings.push(format!("and {} more", self.hidden));
            }
            self.findings.append(&mut self.obstacles);
            (Verdict::Failed, self.findings)
        } else if !self.obstacles.is_empty() {
            (Verdict::CouldNotRun, self.obstacles)
        } else if self.facts.is_empty() {
            (Verdict::CouldNotRun, vec!["nothing was there to be checked".to_owned()])
        } else {
            (Verdict::Passed, vec![self.facts.join(", ")])
        };
        CheckResult { check: self.check.to_owned(), verdict, findings }
    }
}

/// `1 record`, `2 records`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
