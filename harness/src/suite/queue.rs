//! The runs of a suite in their order, each planned when its turn has come: a repetition costs nothing before.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::partition::Partition;
use super::suite::{Refusal, Request};
use super::{offers, probed};
use crate::report::RunId;
use imalab_check::outcome::{Outcome, Shard};
use imalab_language::interface::Capabilities;
use imalab_language::plan::{self, Parameters, Plan, PlanError, Planned};
use imalab_language::scenario::Scenario;

/// Most runs of one call. Each has a result, which stays in memory until the reports are written: some kilobytes.
pub const MAX_RUNS: u64 = 100_000;

/// Why there is no queue.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum QueueError {
    /// A scenario cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// More runs than one call takes.
    #[error("{cases} runs repeated {repeat} times are more than the {MAX_RUNS} that one call takes")]
    #[diagnostic(help("repeat less, name fewer scenarios, or call again with another `--seed`"))]
    TooMany {
        /// Scenarios with their parameters, times kernels.
        cases: u64,
        /// How often each.
        repeat: u32,
    },
}

/// Tells whether there are too many runs, before the first kernel is asked.
///
/// # Errors
/// [`QueueError::TooMany`].
pub(super) fn check(request: &Request<'_>) -> Result<(), QueueError> {
    let variants: usize = request.scenarios.iter().map(|scenario| scenario.variants.len()).sum();
    let cases = variants as u64 * request.kernels.len() as u64;
    match cases.saturating_mul(request.repeat.into()) {
        0..=MAX_RUNS => Ok(()),
        _ => Err(QueueError::TooMany { cases, repeat: request.repeat }),
    }
}

/// A run whose turn has come: planned, or why it will not be.
pub(super) struct Job {
    pub(super) id: RunId,
    pub(super) place: u64,
    pub(super) seed: u64,
    pub(super) kernel: usize,
    pub(super) work: Result<Box<Plan>, Refusal>,
}

/// What is repeated: a scenario with parameters on a kernel.
struct Case<'a> {
    kernel: usize,
    scenario: &'a Scenario,
    parameters: Parameters,
}

/// Runs that have not begun.
pub(super) struct Queue<'a> {
    request: &'a Request<'a>,
    known: &'a [Result<Capabilities, Refusal>],
    /// What kernels lack that they must offer: told first, and once, since a kernel is asked once.
    lacking: Vec<(usize, Refusal)>,
    cases: Vec<Case<'a>>,
    places: Mutex<VecDeque<u64>>,
    /// What probes found, told before all else. No part of a partition: whoever runs any of it says so.
    probed: Mutex<VecDeque<Job>>,
    /// Which part of the suite it is.
    pub(super) shard: Option<Shard>,
}

impl<'a> Queue<'a> {
    /// All that `request` asks for, of kernels that are so far `known`.
    ///
    /// # Errors
    /// [`QueueError`], before anything has run.
    pub(super) fn new(
        request: &'a Request<'a>,
        known: &'a [Result<Capabilities, Refusal>],
    ) -> Result<Queue<'a>, QueueError> {
        check(request)?;
        let mut cases = Vec::new();
        for kernel in 0..known.len() {
            for scenario in request.scenarios {
                let all = plan::expand(scenario).into_iter();
                cases.extend(all.map(|parameters| Case { kernel, scenario, parameters }));
            }
        }
        let (count, repeat) = (cases.len() as u64, request.repeat.max(1));
        let lacking = (0..).zip(known).filter_map(|(kernel, known)| {
            Some((kernel, offers::lacking(&request.kernels[kernel], known.as_ref().ok()?)?))
        });
        let lacking = lacking.collect::<Vec<_>>();
        let first = lacking.len() as u64;
        let (places, probed) = (Mutex::default(), Mutex::default());
        let mut queue = Queue { request, known, lacking, cases, places, probed, shard: None };
        // What cannot be planned is told before the first run.
        for case in &queue.cases {
            drop(queue.work(case, request.seed)?);
        }
        let all = 0..first + count * u64::from(repeat);
        let part = request.partition;
        queue.shard = part.map(|part: Partition| {
            let ids: Vec<RunId> = all.clone().map(|place| queue.id(place)).collect();
            part.shard(ids.iter(), request.seed)
        });
        let places: VecDeque<u64> =
            all.filter(|place| part.is_none_or(|part| part.takes(*place, &queue.id(*place)))).collect();
        let probed = queue.probed(first + count * u64::from(repeat));
        (queue.places, queue.probed) = (Mutex::new(places), Mutex::new(probed));
        Ok(queue)
    }

    /// All runs that have not begun, in the order in which they will.
    pub(super) fn runs(&self) -> Vec<(u64, RunId)> {
        let probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = places.iter().map(|place| (*place, self.id(*place)));
        probed.iter().map(|job| (job.place, job.id.clone())).chain(planned).collect()
    }

    /// The next run; none when all have begun.
    pub(super) fn next(&self) -> Option<Job> {
        if let Some(job) = self.probed.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return Some(job);
        }
        let place = self.places.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        let id = self.id(place);
        let Some(case) = self.case(place) else {
            let (kernel, refusal) = self.lacking.get(usize::try_from(place).ok()?)?.clone();
            return Some(Job { id, place, seed: self.request.seed, kernel, work: Err(refusal) });
        };
        let seed = self.request.seed.wrapping_add(u64::from(id.repeat) - 1);
        // Another seed does not change whether it can be planned; were it so, that is told and not hidden.
        let work = self
            .work(case, seed)
            .unwrap_or_else(|error| Err(Refusal::new(Outcome::Infra, error.to_string())));
        Some(Job { id, place, seed, kernel: case.kernel, work })
    }

    /// A failed run for each kernel in which the probe found something wrong, from place `first` on.
    fn probed(&self, first: u64) -> VecDeque<Job> {
        let job = |(kernel, known): (usize, &Result<Capabilities, Refusal>)| {
            let refusal = probed::found_by_probe(known.as_ref().ok()?)?;
            let id = RunId {
                scenario: probed::PROBE.to_owned(),
                parameters: Parameters::new(),
                kernel: self.request.kernels[kernel].name.clone(),
                repeat: 1,
            };
            let (place, seed) = (first + kernel as u64, self.request.seed);
            Some(Job { id, place, seed, kernel, work: Err(refusal) })
        };
        self.known.iter().enumerate().filter_map(job).collect()
    }

    /// The case at a place; none where it is told what a kernel lacks.
    fn case(&self, place: u64) -> Option<&Case<'a>> {
        let (at, _) = self.at(place)?;
        self.cases.get(at)
    }

    /// Which case is at a place, and its repetition from 1.
    fn at(&self, place: u64) -> Option<(usize, u32)> {
        let place = place.checked_sub(self.lacking.len() as u64)?;
        let count = self.cases.len() as u64;
        let (at, before) = (place.checked_rem(count)?, place.checked_div(count)?);
        Some((usize::try_from(at).ok()?, u32::try_from(before).ok()?.saturating_add(1)))
    }

    fn id(&self, place: u64) -> RunId {
        let name = |kernel: usize| self.request.kernels[kernel].name.clone();
        match self.at(place).and_then(|(at, repeat)| Some((self.cases.get(at)?, repeat))) {
            Some((case, repeat)) => RunId {
                scenario: case.scenario.id.clone(),
                parameters: case.parameters.clone(),
                kernel: name(case.kernel),
                repeat,
            },
            None => RunId {
                scenario: offers::RUN.to_owned(),
                parameters: Parameters::new(),
                kernel: name(self.lacking[place as usize].0),
                repeat: 1,
            },
        }
    }

    fn work(&self, case: &Case<'_>, seed: u64) -> Result<Result<Box<Plan>, Refusal>, PlanError> {
        let skipped = |reason| Refusal::new(Outcome::Skipped, reason);
        let known = match &self.known[case.kernel] {
            Ok(known) => known,
            Err(refusal) => return Ok(Err(refusal.clone())),
        };
        Ok(match plan::plan(case.scenario, &case.parameters, known, known.interface, seed)? {
            Planned::Skip(skip) => Err(skipped(skip.reason)),
            Planned::Plan(mut plan) => {
                plan.stock = self.request.kernels[case.kernel].stock;
                let own = std::mem::take(&mut plan.machine.kernel_args);
                plan.machine.kernel_args = plan::words_of(&self.request.kernel_args, &own);
                match imalab_run::others(&plan, self.request.kernels) {
                    Ok(_) => Ok(plan),
                    Err(missing) => Err(skipped(format!("{missing} (--kernel-image NAME=BZIMAGE)"))),
                }
            }
        })
    }
}
