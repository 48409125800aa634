//! What a suite tells while it runs: to a terminal, a journal, JSON lines, KTAP, and whoever else listens.

use std::time::Duration;

use crate::run_id::RunId;
use imalab_check::outcome::{AcceleratorUsed, Boot, Outcome, Reason, RunResult, Shard, SuiteResult};
use imalab_language::capabilities::Capabilities;
use imalab_language::lane::Lane;

/// Something that happened in a suite. Listeners get events in order, one at a time, from one thread.
#[derive(Clone, Copy, Debug)]
pub enum SuiteEvent<'a> {
    /// A kernel is booted to see what it offers; not told of one whose answer is remembered.
    ProbeStarted {
        /// Its name in this suite.
        kernel: &'a str,
    },
    /// A kernel has answered, or could not.
    Probed {
        /// Its name in this suite.
        kernel: &'a str,
        /// What it offers, or what became of the probe and why.
        answer: Result<&'a Capabilities, (Outcome, &'a Reason)>,
    },
    /// All runs are known, none has begun.
    Planned(&'a PlannedSuite),
    /// A run begins.
    RunStarted {
        /// Which.
        id: &'a RunId,
        /// Its place in the whole suite, from 0.
        place: u64,
    },
    /// A run has not ended for a while. Told again after each further while.
    RunSlow {
        /// Which.
        id: &'a RunId,
        /// Its place in the whole suite, from 0.
        place: u64,
        /// How long it has been running.
        elapsed: Duration,
    },
    /// A run has ended, judged and stored; `not_stored` of its result says what could not be stored.
    RunEnded(&'a RunResult),
    /// No further run begins. Those that run are ended by a signal, and come to their ends otherwise. A signal may still
    /// come after failures.
    Stopping {
        /// Why.
        why: Stop,
        /// Runs that have begun and not ended.
        running: usize,
    },
    /// All runs that began have ended.
    Finished(&'a SuiteResult),
}

/// Why no further run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A signal came.
    Signal,
    /// As many runs have failed as were allowed to (`--fail-fast`).
    FailFast,
}

impl Stop {
    /// Its name in JSON lines.
    pub fn name(self) -> &'static str {
        match self {
            Stop::Signal => "signal",
            Stop::FailFast => "fail-fast",
        }
    }
}

/// What is going to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSuite {
    /// What holds for the whole suite.
    pub context: SuiteContext,
    /// The runs of this call, skipped ones included, in the order in which they begin, by place in the whole suite.
    pub runs: Vec<(u64, RunId)>,
    /// Which part of the suite this call runs; `None`: all of it.
    pub shard: Option<Shard>,
}

/// What holds for the whole suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteContext {
    /// Names of the kernels, with the release where it is known: `mainline (7.3.4)`.
    pub kernels: Vec<String>,
    /// The accelerator, and why this one.
    pub accelerator: AcceleratorUsed,
    /// What decides the order in which guests' processors run.
    pub lane: Lane,
    /// How a seed decides it, in the deterministic lane.
    pub strategy: Option<String>,
    /// How machines come to their agents' first messages.
    pub boot: Boot,
    /// Why so, or when otherwise.
    pub boot_reason: String,
    /// Machines side by side.
    pub jobs: usize,
    /// The suite's seed.
    pub seed: u64,
}

/// Whoever wants to know what a suite does. It may take its time: no further run ends meanwhile.
pub trait Listener {
    /// Takes an event.
    fn event(&mut self, event: SuiteEvent<'_>);
}

impl<F: FnMut(SuiteEvent<'_>)> Listener for F {
    fn event(&mut self, event: SuiteEvent<'_>) {
        self(event);
    }
}
