//! The runs of a suite in their order, each planned when its turn has come: a repetition costs nothing before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::partition::Partition;
use super::refusal::Refusal;
use super::request::Request;
use super::{offers, probe_findings};
use crate::run_id::{PROBE, RunId};
use imalab_check::outcome::{Outcome, Shard};
use imalab_language::capabilities::Capabilities;
use imalab_language::finding::{Run, Skip};
use imalab_language::plan::{self, Parameters, Plan, PlanError, Planned};
use imalab_language::scenario::{Race, Scenario};
use imalab_run::{KernelsError, Unfit};
use imalab_schedule::Way;

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
    let kernels = request.kernels.len() as u64;
    let runs = |scenario: &Scenario| {
        (scenario.variants.len() as u64 * kernels).saturating_mul(repeats(request, scenario).into())
    };
    let variants: usize = request.scenarios.iter().map(|scenario| scenario.variants.len()).sum();
    let cases = variants as u64 * kernels;
    match request.scenarios.iter().map(runs).fold(0, u64::saturating_add) {
        _ if request.only.as_ref().is_some_and(|only| only.len() as u64 <= MAX_RUNS) => Ok(()),
        0..=MAX_RUNS => Ok(()),
        _ => {
            let most = request.scenarios.iter().map(|scenario| repeats(request, scenario)).max();
            Err(QueueError::TooMany { cases, repeat: most.unwrap_or(request.repeat) })
        }
    }
}

/// How often a scenario is run, at least once.
fn repeats(request: &Request<'_>, scenario: &Scenario) -> u32 {
    let own = scenario.race.as_ref().filter(|_| request.raced).map(|race| race.schedules);
    own.unwrap_or(request.repeat).max(1)
}

/// A run whose turn has come: planned, or why it will not be.
pub(super) struct Job {
    pub(super) id: RunId,
    pub(super) place: u64,
    pub(super) seed: u64,
    pub(super) kernel: usize,
    /// In the deterministic lane, how the seed decides.
    pub(super) way: Option<Way>,
    pub(super) work: Result<Box<Plan>, Refusal>,
}

/// What is repeated: a scenario with parameters on a kernel.
struct Case<'a> {
    kernel: usize,
    scenario: &'a Scenario,
    parameters: Parameters,
}

impl Case<'_> {
    /// What tells it from every other.
    fn key<'k>(&'k self, request: &'k Request<'_>) -> (&'k str, &'k Parameters, &'k str) {
        (&self.scenario.id, &self.parameters, &request.kernels[self.kernel].name)
    }
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
        if let Some(only) = &request.only {
            let named: BTreeSet<_> = only.keys().map(RunId::case_key).collect();
            cases.retain(|case| named.contains(&case.key(request)));
        }
        let repeat = match &request.only {
            Some(only) => only.keys().map(|id| id.repeat).max().unwrap_or(1),
            None => cases.iter().map(|case| repeats(request, case.scenario)).max().unwrap_or(1),
        };
        let count = cases.len() as u64;
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
        let all: Vec<u64> = match &request.only {
            None => (0..first + count * u64::from(repeat)).filter(|place| queue.has(*place)).collect(),
            Some(only) => (0..first).chain(queue.places_of(only.keys())).collect(),
        };
        let part = request.partition;
        queue.shard = part.map(|part: Partition| {
            let ids: Vec<RunId> = all.iter().map(|place| queue.id(*place)).collect();
            part.shard(ids.iter(), request.seed)
        });
        let taken = |place: &u64| part.is_none_or(|part| part.takes(*place, &queue.id(*place)));
        let places: VecDeque<u64> = all.into_iter().filter(taken).collect();
        let probed = queue.probed(first + count * u64::from(repeat));
        (queue.places, queue.probed) = (Mutex::new(places), Mutex::new(probed));
        Ok(queue)
    }

    /// In the deterministic lane, how a seed decides in runs of a scenario that says this of it.
    fn way(&self, race: Option<&Race>) -> Option<Way> {
        self.request.seeded.as_ref().map(|lane| lane.way(race))
    }

    /// Whether a scenario is repeated so often that there is a run at this place.
    fn has(&self, place: u64) -> bool {
        let Some((at, repeat)) = self.at(place) else { return true };
        self.cases.get(at).is_some_and(|case| repeat <= repeats(self.request, case.scenario))
    }

    /// Where these runs are, in order; those that the suite does not have are nowhere.
    fn places_of<'i>(&self, ids: impl Iterator<Item = &'i RunId>) -> BTreeSet<u64> {
        let keys = self.cases.iter().map(|case| case.key(self.request));
        let cases: BTreeMap<_, u64> = keys.zip(0..).collect();
        let first = self.lacking.len() as u64;
        let place = |id: &RunId| {
            let before = u64::from(id.repeat.checked_sub(1)?) * self.cases.len() as u64;
            Some(first + before + cases.get(&id.case_key())?)
        };
        ids.filter_map(place).collect()
    }

    /// All runs that have not begun, in the order in which they will.
    pub(super) fn runs(&self) -> Vec<(u64, RunId)> {
        let probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = places.iter().map(|place| (*place, self.id(*place)));
        probed.iter().map(|job| (job.place, job.id.clone())).chain(planned).collect()
    }

    /// The plan of each case that has a machine, its kernel's place, and how many runs of it have not begun.
    pub(super) fn machines(&self) -> Vec<(Box<Plan>, usize, u64)> {
        let mut runs: BTreeMap<usize, u64> = BTreeMap::new();
        for place in self.places.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some((case, _)) = self.at(*place) {
                *runs.entry(case).or_default() += 1;
            }
        }
        let planned = |(case, runs): (usize, u64)| {
            let case = self.cases.get(case)?;
            Some((self.work(case, self.request.seed).ok()?.ok()?, case.kernel, runs))
        };
        runs.into_iter().filter_map(planned).collect()
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
            return Some(Job {
                id,
                place,
                seed: self.request.seed,
                kernel,
                way: self.way(None),
                work: Err(refusal),
            });
        };
        let more = if self.request.same_seed { 0 } else { u64::from(id.repeat) - 1 };
        let counted = self.request.seed.wrapping_add(more);
        let seed = self.request.only.as_ref().and_then(|only| only.get(&id)).copied().unwrap_or(counted);
        // Another seed does not change whether it can be planned; were it so, that is told and not hidden.
        let work = self.work(case, seed).unwrap_or_else(|error| {
            let error = error.to_string();
            Err(Refusal::new(Outcome::Infra, Run::NotStarted { error, hint: None }))
        });
        let way = self.way(case.scenario.race.as_ref());
        Some(Job { id, place, seed, kernel: case.kernel, way, work })
    }

    /// A failed run for each kernel in which the probe found something wrong, from place `first` on.
    fn probed(&self, first: u64) -> VecDeque<Job> {
        let job = |(kernel, known): (usize, &Result<Capabilities, Refusal>)| {
            let refusal = probe_findings::found_by_probe(known.as_ref().ok()?)?;
            let id = RunId {
                scenario: PROBE.to_owned(),
                parameters: Parameters::new(),
                kernel: self.request.kernels[kernel].name.clone(),
                repeat: 1,
            };
            let (place, seed) = (first + kernel as u64, self.request.seed);
            Some(Job { id, place, seed, kernel, way: self.way(None), work: Err(refusal) })
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
        let skipped = |skip: Skip| Refusal::new(Outcome::Skipped, skip);
        let known = match &self.known[case.kernel] {
            Ok(known) => known,
            Err(refusal) => return Ok(Err(refusal.clone())),
        };
        Ok(match plan::plan(case.scenario, &case.parameters, known, known.interface, seed)? {
            Planned::Skip(missing) => Err(skipped(missing.finding())),
            Planned::Plan(mut plan) => {
                plan.stock = self.request.kernels[case.kernel].stock;
                let own = std::mem::take(&mut plan.machine.kernel_args);
                plan.machine.kernel_args = plan::words_of(&self.request.kernel_args, &own);
                if self.request.seeded.is_none() && !plan.holds.is_empty() {
                    return Ok(Err(skipped(Skip::HoldsTasks {})));
                }
                imalab_run::known_places(&plan, &self.request.kernels[case.kernel].image)?;
                match imalab_run::others(&plan, self.request.kernels) {
                    Ok(others) if self.request.seeded.is_some() => {
                        match imalab_run::unfit(&plan, !others.is_empty()) {
                            Some(Unfit::HostTime) => Err(skipped(Skip::HostTime {})),
                            Some(Unfit::OtherKernel) => Err(skipped(Skip::OtherKernel {})),
                            None => Ok(plan),
                        }
                    }
                    Ok(_) => Ok(plan),
                    Err(KernelsError::Unknown(kernel)) => Err(skipped(Skip::NoKernel { kernel })),
                    Err(error) => {
                        let error = crate::report::chain(&error);
                        Err(Refusal::new(Outcome::Infra, Run::NotStarted { error, hint: None }))
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use imalab_check::outcome::Boot;
    use imalab_language::finding::Run;
    use imalab_language::lane::Lane;
    use imalab_language::scenario;
    use imalab_machine::accel::{Accel, Choice};
    use imalab_run::Kernel;

    use super::super::Store;

    fn scenario(name: &str) -> Scenario {
        let text =
            "summary: s\npromise: p\nmatrix: {cpus: [1, 2]}\nmachine:\n  cpus: ${cpus}\nsteps:\n  - stage\n";
        scenario::parse(name, "it.yaml", text).unwrap()
    }

    fn request<'a>(scenarios: &'a [Scenario], kernels: &'a [Kernel]) -> Request<'a> {
        Request {
            kernels,
            initramfs: PathBuf::new(),
            kernel_args: Vec::new(),
            scenarios,
            jobs: 1,
            repeat: 3,
            raced: false,
            only: None,
            fail_fast: None,
            timeout_scale: 1.0,
            debugger: None,
            partition: None,
            seed: 10,
            lane: Lane::Free,
            seeded: None,
            same_seed: false,
            boot: Boot::Cold,
            promises: None,
            accelerator: Choice { accel: Accel::Tcg, reason: String::new() },
            qemu: PathBuf::new(),
            swtpm: PathBuf::new(),
            cache: PathBuf::new(),
            store: Store::default(),
        }
    }

    fn unknown(kernels: &[Kernel]) -> Vec<Result<Capabilities, Refusal>> {
        kernels.iter().map(|_| Err(Refusal::new(Outcome::Infra, Run::Interrupted {}))).collect()
    }

    fn taken(queue: &Queue<'_>) -> Vec<(String, u64)> {
        std::iter::from_fn(|| queue.next()).map(|job| (job.id.to_string(), job.seed)).collect()
    }

    #[test]
    fn every_case_is_repeated_with_the_next_seed() {
        let (scenarios, kernels) = ([scenario("a/b")], [Kernel::new("k", "/k"), Kernel::new("l", "/l")]);
        let (request, known) = (request(&scenarios, &kernels), unknown(&kernels));
        let queue = Queue::new(&request, &known).unwrap();
        let planned: Vec<String> = queue.runs().into_iter().map(|(_, id)| id.to_string()).collect();
        let taken = taken(&queue);
        assert_eq!(planned, taken.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
        assert_eq!(taken.len(), 2 * 2 * 3);
        assert_eq!(taken[0], ("a/b [cpus=1] on k".to_owned(), 10));
        assert_eq!(taken[11], ("a/b [cpus=2] repeat 3 on l".to_owned(), 12));
    }

    #[test]
    fn a_race_says_itself_how_often_it_is_run() {
        let text = "summary: s\npromise: p\nsteps:\n  - stage\nrace: {schedules: 5}\n";
        let scenarios = [scenario("a/b"), scenario::parse("a/c", "it.yaml", text).unwrap()];
        let kernels = [Kernel::new("k", "/k")];
        let known = unknown(&kernels);
        let runs = |raced| {
            let request = Request { raced, repeat: 1, ..request(&scenarios, &kernels) };
            let queue = Queue::new(&request, &known).unwrap();
            let planned = queue.runs().len();
            let taken = taken(&queue);
            assert_eq!(taken.len(), planned);
            taken
        };
        assert_eq!(runs(false).len(), 3);
        let raced = runs(true);
        assert_eq!(raced.len(), 2 + 5);
        assert_eq!(raced.last().unwrap(), &("a/c repeat 5 on k".to_owned(), 14));
    }

    #[test]
    fn only_what_is_named_is_run_with_its_own_seed() {
        let scenarios = [scenario("a/b"), scenario("a/c")];
        let kernels = [Kernel::new("k", "/k")];
        let id = |scenario: &str, cpus: &str, repeat| RunId {
            scenario: scenario.to_owned(),
            parameters: [("cpus".to_owned(), cpus.to_owned())].into(),
            kernel: "k".to_owned(),
            repeat,
        };
        let only = [
            (id("a/c", "2", 7), 99),
            (id("a/b", "1", 1), 5),
            // What is not there is nowhere, however often it was repeated.
            (id("a/b", "3", u32::MAX), 5),
            (id("a/d", "1", 1), 5),
            (id("a/b", "1", 0), 5),
        ];
        let request = Request { only: Some(only.into()), ..request(&scenarios, &kernels) };
        let known = unknown(&kernels);
        let queue = Queue::new(&request, &known).unwrap();
        let runs = [("a/b [cpus=1] on k".to_owned(), 5), ("a/c [cpus=2] repeat 7 on k".to_owned(), 99)];
        assert_eq!(taken(&queue), runs);
    }
}
