//! The deterministic lane of a suite: what its runs share, and what each leaves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::report::RunId;
use imalab_check::outcome::{Outcome, RunResult};
use imalab_language::finding::Run;
use imalab_language::plan::Plan;
use imalab_language::verdict::Reason;
use imalab_run::{Ran, RunContext, RunError, Seeded, run};
use imalab_schedule::{End, Strategy};

/// How a seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At each point, with a chance of one in so many; 0: never.
    Random {
        /// One in so many.
        one_in: u64,
    },
    /// By priorities, as [`Strategy::Pct`].
    Pct {
        /// How many orderings a defect may need, at least 1.
        depth: u64,
    },
}

/// What the runs of a suite in the deterministic lane share.
#[derive(Debug)]
pub struct SeededLane {
    plugin: PathBuf,
    way: Way,
    /// How many points the runs of a case have, by kernel and scenario, where somebody had to know.
    points: Mutex<BTreeMap<String, u64>>,
}

/// The seed by which points are counted: any would do, and always the same has to.
const COUNTING: u64 = 0;

impl SeededLane {
    /// With this plugin of QEMU.
    pub fn new(plugin: PathBuf, way: Way) -> SeededLane {
        SeededLane { plugin, way, points: Mutex::default() }
    }

    /// Runs `plan` with this seed.
    ///
    /// # Errors
    /// [`RunError`].
    pub(super) fn run(
        &self,
        id: &RunId,
        plan: &Plan,
        seed: u64,
        context: RunContext<'_>,
    ) -> Result<Ran, RunError> {
        let strategy = match self.way {
            Way::Random { one_in: 0 } => Strategy::None,
            Way::Random { one_in: per } => Strategy::Random { seed, per },
            Way::Pct { depth } => Strategy::Pct { seed, depth, points: self.points(id, plan, context)? },
        };
        self.with(&strategy, plan, seed, context)
    }

    fn with(
        &self,
        strategy: &Strategy,
        plan: &Plan,
        seed: u64,
        context: RunContext<'_>,
    ) -> Result<Ran, RunError> {
        let seeded = Some(Seeded { seed, strategy, plugin: &self.plugin });
        run(plan, RunContext { seeded, ..context })
    }

    /// How many points a run of `plan` has that nobody preempts: a first run counts them for all.
    fn points(&self, id: &RunId, plan: &Plan, context: RunContext<'_>) -> Result<u64, RunError> {
        let case = RunId { repeat: 1, ..id.clone() }.to_string();
        // Whoever comes second waits for the first.
        let mut known = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(points) = known.get(&case) {
            return Ok(*points);
        }
        let ran = self.with(&Strategy::None, plan, COUNTING, context)?;
        let points = ran.schedule.and_then(Result::ok).map_or(1, |report| report.events.max(1));
        known.insert(case, points);
        Ok(points)
    }
}

/// Notes what became of the run's schedule. A run that passed and of which nobody knows the schedule proves nothing of its
/// seed.
pub fn note(ran: &Ran, result: &mut RunResult) {
    let unknown = match &ran.schedule {
        None => return,
        Some(Ok(report)) if report.end == End::Reached => {
            result.schedule_hash = Some(report.hash.clone());
            return;
        }
        Some(Ok(_)) => "QEMU ended before the guest did, so its schedule depends on the host".to_owned(),
        Some(Err(error)) => error.to_string(),
    };
    if matches!(result.outcome, Outcome::Passed | Outcome::KnownDefect | Outcome::KnownLimit) {
        result.outcome = Outcome::Infra;
        result.reason = Some(Reason::of(Run::ScheduleUnknown { error: unknown }));
    }
}
