//! What the process says to whoever called it: one number.

use imalab_check::outcome::{Outcome, RunResult, SuiteResult};

/// Why the process ends, from the mildest to the one that wins over all others.
///
/// Findings about a kernel win over trouble with the surroundings: a caller that retries on
/// [`Exit::Infra`] must not lose a finding by it. A signal wins over everything, since then nobody knows what
/// the runs that did not happen would have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// Every run passed or was skipped, and one at least passed; a known defect that showed as described
    /// counts as passed.
    Passed,
    /// Nothing matched, or everything was skipped.
    NothingRan,
    /// A run could not be ordered as its scenario asks for: nobody knows what it would have shown.
    NotOrdered,
    /// Set-up or the harness's surroundings failed, or a result could not be written; a retry may help.
    Infra,
    /// A scenario failed, or made no progress within its budget.
    ScenarioFailed,
    /// A guest's kernel panicked or oopsed.
    KernelDied,
    /// The command line or a scenario's YAML is wrong; nothing was run.
    Usage,
    /// A signal ended it early.
    Interrupted,
}

impl Exit {
    /// The process's exit code. 0, 2 and 130 (128 + SIGINT) are the shell's customs; 4, 96, 100 and 101 are those that
    /// nextest made known to CI systems for "no tests", "set-up failed" and "test failed".
    pub fn code(self) -> u8 {
        match self {
            Exit::Passed => 0,
            Exit::Usage => 2,
            Exit::NothingRan => 4,
            Exit::NotOrdered => 5,
            Exit::Infra => 96,
            Exit::ScenarioFailed => 100,
            Exit::KernelDied => 101,
            Exit::Interrupted => 130,
        }
    }

    /// The one of both that a caller has to hear of.
    #[must_use]
    pub fn and(self, other: Exit) -> Exit {
        self.max(other)
    }

    /// What a suite's result amounts to.
    pub fn of(suite: &SuiteResult) -> Exit {
        if suite.interrupted {
            return Exit::Interrupted;
        }
        suite.runs.iter().filter_map(Exit::of_run).max().unwrap_or(Exit::NothingRan)
    }

    /// A run's part in it; a skipped run has none.
    fn of_run(run: &RunResult) -> Option<Exit> {
        let told = Exit::of_outcome(run.outcome);
        match run.not_stored {
            Some(_) => Some(told.map_or(Exit::Infra, |exit| exit.and(Exit::Infra))),
            None => told,
        }
    }

    fn of_outcome(outcome: Outcome) -> Option<Exit> {
        match outcome {
            Outcome::Skipped => None,
            Outcome::Passed | Outcome::KnownDefect | Outcome::KnownLimit => Some(Exit::Passed),
            Outcome::NotOrdered => Some(Exit::NotOrdered),
            Outcome::Infra => Some(Exit::Infra),
            // A guest that stopped making progress is a finding until somebody shows that it was the host.
            Outcome::Failed | Outcome::Timeout => Some(Exit::ScenarioFailed),
            Outcome::KernelDied => Some(Exit::KernelDied),
            Outcome::Interrupted => Some(Exit::Interrupted),
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Exit code of a suite: 130 when interrupted, else 101 when a guest's kernel died, else 100 when a scenario failed or
/// timed out, else 96 when the surroundings failed, else 5 when a run could not be ordered, else 4 when nothing ran, else 0.
pub fn exit_code(suite: &SuiteResult) -> u8 {
    Exit::of(suite).code()
}
