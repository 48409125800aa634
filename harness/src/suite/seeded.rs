//! The deterministic lane of a suite: what its runs share, and what each leaves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::covered::{Cover, Covered};
use super::refusal::not_started;
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult};
use imalab_language::finding::{Finding, Run};
use imalab_language::plan::Plan;
use imalab_language::scenario::Race;
use imalab_language::verdict::Reason;
use imalab_run::{Ran, RunContext, Seeded, run};
use imalab_schedule::{End, Holds, Report, Strategy, Way};

/// How many points the runs of a case have, once a run of it has counted them.
type Count = Arc<Mutex<Option<u64>>>;

/// What the runs of a suite in the deterministic lane share.
#[derive(Debug)]
pub struct SeededLane {
    plugin: PathBuf,
    /// What was asked for; `None`: what each scenario says.
    way: Option<Way>,
    /// By kernel and scenario, where somebody had to know.
    points: Mutex<BTreeMap<String, Count>>,
    covered: Covered,
}

/// How a seed decides where nobody says.
pub const DEFAULT_WAY: Way = Way::Random { one_in: 10 };

/// The seed by which points are counted: any would do, and always the same has to.
const COUNTING: u64 = 0;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SeededLane {
    /// With this plugin of QEMU.
    pub fn new(plugin: PathBuf, way: Option<Way>) -> SeededLane {
        SeededLane { plugin, way, points: Mutex::default(), covered: Covered::default() }
    }

    /// How a seed decides in runs of a scenario that says this of it.
    pub fn way(&self, race: Option<&Race>) -> Way {
        self.way.or_else(|| race?.way).unwrap_or(DEFAULT_WAY)
    }

    /// What tells its machines from those of other lanes, before any seed is known.
    pub(super) fn machine(&self) -> Seeded<'_> {
        Seeded { seed: COUNTING, strategy: &Strategy::None, plugin: &self.plugin, coverage: false }
    }

    /// Runs `plan` with this seed, which decides so.
    ///
    /// # Errors
    /// Why there was no run.
    pub(super) fn run(
        &self,
        id: &RunId,
        plan: &Plan,
        (way, seed): (Way, u64),
        context: RunContext<'_>,
    ) -> Result<Ran, Box<Run>> {
        let strategy = match way {
            Way::Random { one_in: 0 } => Strategy::None,
            Way::Random { one_in: per } => Strategy::Random { seed, per },
            Way::Pct { depth } => Strategy::Pct { seed, depth, points: self.points(id, plan, context)? },
            Way::Exhaustive(holds) => {
                let points = self.points(id, plan, context)?;
                self.covers(id, holds, seed, points);
                Strategy::List { choices: holds.choices(seed, points) }
            }
        };
        self.with(&strategy, plan, seed, context)
    }

    /// What was run of all schedules with few preemptions, where these are counted.
    pub fn covered(&self) -> Vec<Cover> {
        self.covered.all()
    }

    fn covers(&self, id: &RunId, holds: Holds, seed: u64, points: u64) {
        let case = RunId { repeat: 1, ..id.clone() }.to_string();
        self.covered.add(case, holds, seed, points);
    }

    fn with(
        &self,
        strategy: &Strategy,
        plan: &Plan,
        seed: u64,
        context: RunContext<'_>,
    ) -> Result<Ran, Box<Run>> {
        let seeded = Some(Seeded { seed, strategy, plugin: &self.plugin, coverage: false });
        run(plan, RunContext { seeded, ..context }).map_err(|error| Box::new(not_started(&error)))
    }

    /// How many points a run of `plan` has that nobody preempts: a first run counts them for all of its case.
    fn points(&self, id: &RunId, plan: &Plan, context: RunContext<'_>) -> Result<u64, Box<Run>> {
        let case = RunId { repeat: 1, ..id.clone() }.to_string();
        let count = Arc::clone(lock(&self.points).entry(case).or_default());
        // Whoever comes second waits for the first.
        let mut known = lock(&count);
        if let Some(points) = *known {
            return Ok(points);
        }
        let ran = self.with(&Strategy::None, plan, COUNTING, context)?;
        let points = match known_schedule(&ran) {
            Some(Ok(report)) => report.events,
            other => {
                let why = other.and_then(Result::err).unwrap_or_else(|| "it has no schedule".to_owned());
                let error = format!("the run that counts the points: {why}");
                return Err(Box::new(Run::ScheduleUnknown { error }));
            }
        };
        *known = Some(points);
        Ok(points)
    }
}

/// The schedule of a run in the deterministic lane, or why it is not known in full; `None` in other lanes.
fn known_schedule(ran: &Ran) -> Option<Result<&Report, String>> {
    Some(match ran.schedule.as_ref()? {
        Ok(report) => whole(report).map(|()| report),
        Err(error) => Err(error.to_string()),
    })
}

/// Whether a report tells the whole schedule of a guest. Every machine has a TPM, and its kernel selects its banks.
fn whole(report: &Report) -> Result<(), String> {
    let why = match report.end {
        End::Cut => "QEMU ended before the guest did, so what it did last depends on the host",
        End::Reached if report.events == 0 => "the guest came to no point",
        End::Reached if report.tpm_commands == 0 => "the guest gave its TPM no command",
        End::Reached if report.left_out > 0 => "it has more preemptions than are kept",
        End::Reached => return Ok(()),
    };
    Err(why.to_owned())
}

/// Notes what became of the run's schedule. A run that passed and of which nobody knows the schedule proves nothing of its
/// seed.
pub fn note(ran: &Ran, result: &mut RunResult) {
    match known_schedule(ran) {
        None => {}
        Some(Ok(report)) => result.schedule_hash = Some(report.hash.clone()),
        Some(Err(error)) => demote(result, Reason::of(Run::ScheduleUnknown { error })),
    }
}

/// After the trace of a run was judged again: what its first result had for a `reason` that no trace shows stands.
pub fn keep_beside_the_trace(reason: Option<Reason>, result: &mut RunResult) {
    let Some(reason) = reason else { return };
    match reason.finding {
        Finding::Run(Run::ScheduleUnknown { .. }) => demote(result, reason),
        // Whatever this one of the two came to.
        Finding::Run(Run::ForksDiffer { .. }) => {
            (result.outcome, result.reason) = (Outcome::Infra, Some(reason));
        }
        _ => {}
    }
}

fn demote(result: &mut RunResult, reason: Reason) {
    if matches!(result.outcome, Outcome::Passed | Outcome::KnownDefect | Outcome::KnownLimit) {
        result.outcome = Outcome::Infra;
        result.reason = Some(reason);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn report(end: End, events: u64, tpm_commands: u64) -> Report {
        let schema = imalab_schedule::SCHEMA;
        let hash = "aa".to_owned();
        Report {
            schema,
            hash,
            end,
            events,
            tpm_commands,
            instructions: 9,
            expired: 0,
            preemptions: vec![],
            left_out: 0,
            holds: Vec::new(),
            pins: Vec::new(),
            coverage: None,
            from: None,
        }
    }

    #[rstest]
    #[case::all(End::Reached, 5, 7, None)]
    #[case::cut(End::Cut, 5, 7, Some("QEMU ended before"))]
    #[case::no_point(End::Reached, 0, 7, Some("no point"))]
    #[case::no_gate(End::Reached, 5, 0, Some("its TPM no command"))]
    fn a_schedule_is_known_when_all_of_it_was_seen(
        #[case] end: End,
        #[case] events: u64,
        #[case] commands: u64,
        #[case] why: Option<&str>,
    ) {
        let told = whole(&report(end, events, commands)).err();
        assert_eq!(told.is_some(), why.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(why.unwrap_or_default()));
    }

    fn differ() -> Run {
        Run::ForksDiffer { fork: vec!["passed".to_owned()], cold: vec!["FAILED".to_owned()] }
    }

    #[rstest]
    #[case::a_pass_without_a_schedule(Run::ScheduleUnknown { error: String::new() }, Outcome::Passed, Outcome::Infra)]
    #[case::a_failure_without_one(Run::ScheduleUnknown { error: String::new() }, Outcome::Failed, Outcome::Failed)]
    #[case::a_pass_that_no_boot_shows(differ(), Outcome::Passed, Outcome::Infra)]
    #[case::a_failure_that_no_boot_shows(differ(), Outcome::Failed, Outcome::Infra)]
    #[case::what_the_trace_shows(Run::Interrupted {}, Outcome::Passed, Outcome::Passed)]
    fn what_no_trace_shows_is_kept(#[case] before: Run, #[case] judged: Outcome, #[case] kept: Outcome) {
        let mut result = RunResult { outcome: judged, reason: None, ..crate::report::fake_result(0) };
        keep_beside_the_trace(Some(Reason::of(before.clone())), &mut result);
        assert_eq!(result.outcome, kept);
        assert_eq!(result.reason, (judged != kept).then(|| Reason::of(before)));
    }
}
