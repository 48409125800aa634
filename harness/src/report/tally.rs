//! How many runs became what.

use std::fmt;

use imalab_check::outcome::{Outcome, SuiteResult};

/// Runs by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    known_defect: usize,
    known_limit: usize,
    kernel_died: usize,
    infra: usize,
    timeout: usize,
    not_ordered: usize,
    interrupted: usize,
}

impl Tally {
    /// Counts a suite's runs.
    pub fn of(suite: &SuiteResult) -> Tally {
        let mut tally = Tally::default();
        for run in &suite.runs {
            tally.add(run.outcome);
        }
        tally
    }

    /// Counts one more run.
    pub fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Skipped => &mut self.skipped,
            Outcome::KnownDefect => &mut self.known_defect,
            Outcome::KnownLimit => &mut self.known_limit,
            Outcome::KernelDied => &mut self.kernel_died,
            Outcome::Infra => &mut self.infra,
            Outcome::Timeout => &mut self.timeout,
            Outcome::NotOrdered => &mut self.not_ordered,
            Outcome::Interrupted => &mut self.interrupted,
        };
        *count += 1;
    }

    /// Runs that count as passed: a known defect or limit that showed as described is one.
    pub fn counted_passed(&self) -> usize {
        self.passed + self.known_defect + self.known_limit
    }

    /// Runs that count as failed: dead kernels, time-outs and trouble with the surroundings are.
    pub fn counted_failed(&self) -> usize {
        self.failed + self.kernel_died + self.infra + self.timeout
    }

    /// Runs that were skipped.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Runs that could not be ordered as their scenarios ask for: neither passed nor failed.
    pub fn not_ordered(&self) -> usize {
        self.not_ordered
    }

    /// Runs that a signal ended before they were over: neither passed nor failed.
    pub fn interrupted(&self) -> usize {
        self.interrupted
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.counted_passed() + self.counted_failed() + self.skipped + self.not_ordered + self.interrupted
    }

    /// What the three numbers of the summary hide, if anything: `counted as passed: 1 known defect; counted as
    /// failed: 2 dead kernels`.
    pub fn detail(&self) -> Option<String> {
        let mut parts = Vec::new();
        let known: Vec<String> = [
            (self.known_defect, "known defect", "known defects"),
            (self.known_limit, "known limit", "known limits"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| plural(count, one, many))
        .collect();
        if !known.is_empty() {
            parts.push(format!("counted as passed: {}", known.join(", ")));
        }
        let failed: Vec<String> = [
            (self.kernel_died, "dead kernel", "dead kernels"),
            (self.timeout, "time-out", "time-outs"),
            (self.infra, "infrastructure trouble", "infrastructure troubles"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| plural(count, one, many))
        .collect();
        if !failed.is_empty() {
            parts.push(format!("counted as failed: {}", failed.join(", ")));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// `1 run`, `2 runs`.
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The summary line that CI systems look for: `N passed, N failed`, and `, N skipped`, `, N not ordered` and `, N interrupted` when any was.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.counted_passed(), self.counted_failed())?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        if self.not_ordered > 0 {
            write!(f, ", {} not ordered", self.not_ordered)?;
        }
        if self.interrupted > 0 {
            write!(f, ", {} interrupted", self.interrupted)?;
        }
        Ok(())
    }
}
