//! Many runs: scenarios times kernels times repetitions, some side by side.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::one::{Ran, RunError, Site, run};
use super::partition::Partition;
use super::probe::{self, AskError};
use super::store::{Store, StoreError};
use super::{Interrupts, Scratch, console_tail};
use super::{kernels, offers};
use crate::check;
use crate::check::judge;
use crate::event::{Host, What};
use crate::interface::{Capabilities, Capability};
use crate::machine::accel::Choice;
use crate::outcome::{AcceleratorUsed, CheckResult, Outcome, RunResult, SuiteResult};
use crate::plan::{self, Parameters, Plan, PlanError, Planned};
use crate::report::{Context, Reporter, RunId};
use crate::scenario::Scenario;

/// A kernel to run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name in this suite.
    pub name: String,
    /// x86 boot image.
    pub image: PathBuf,
    /// What it must offer: lacking it fails the suite.
    pub offers: BTreeSet<Capability>,
    /// Whether it is a release that nobody has patched.
    pub stock: bool,
}

impl Kernel {
    /// A kernel of which nothing is known.
    pub fn new(name: impl Into<String>, image: impl Into<PathBuf>) -> Kernel {
        Kernel { name: name.into(), image: image.into(), offers: BTreeSet::new(), stock: false }
    }
}

/// What is to be run, and how.
pub struct Request<'a> {
    /// On which kernels.
    pub kernels: &'a [Kernel],
    /// Archive with the agent as `/init`.
    pub initramfs: PathBuf,
    /// Words for every kernel's command line.
    pub kernel_args: Vec<String>,
    /// Which scenarios, in order.
    pub scenarios: &'a [Scenario],
    /// How many machines side by side, at least 1.
    pub jobs: usize,
    /// How often each, at least 1.
    pub repeat: u32,
    /// The part of it that is run; `None`: the whole.
    pub partition: Option<Partition>,
    /// Seed of the first repetition; each further one adds 1.
    pub seed: u64,
    /// Who runs the guests' code, and why.
    pub accelerator: Choice,
    /// QEMU's program.
    pub qemu: PathBuf,
    /// swtpm's program.
    pub swtpm: PathBuf,
    /// Folder of what may be kept between calls.
    pub cache: PathBuf,
    /// Where runs leave their evidence.
    pub store: Store,
}

/// How guests are ordered; the only lane so far.
pub const LANE: &str = "free";

/// Why a suite could not be run to its end.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SuiteError {
    /// A scenario cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Evidence could not be written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
}

/// A run that is planned, or why it will not be.
struct Job {
    id: RunId,
    place: u64,
    seed: u64,
    kernel: usize,
    work: Result<Box<Plan>, Refusal>,
}

/// A run that ends before it begins.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) outcome: Outcome,
    pub(super) reason: String,
    pub(super) checks: Vec<CheckResult>,
    pub(super) console_tail: Vec<String>,
}

impl Refusal {
    fn new(outcome: Outcome, reason: String) -> Refusal {
        Refusal { outcome, reason, checks: Vec::new(), console_tail: Vec::new() }
    }
}

/// Runs everything and tells `reporter`.
///
/// # Errors
/// [`SuiteError`]; what could be run has been told.
pub fn suite(
    request: &Request<'_>,
    scratch: &Scratch,
    interrupts: &Interrupts,
    reporter: &Reporter,
) -> Result<SuiteResult, SuiteError> {
    let begin = Instant::now();
    let known: Vec<_> = request
        .kernels
        .iter()
        .map(|kernel| {
            reporter.kernel_asked(&kernel.name);
            probe::capabilities(
                request.site(kernel, scratch, interrupts),
                &request.kernel_args,
                &request.cache,
            )
            .map_err(refusal)
        })
        .collect();
    let mut jobs = request.jobs(&known)?;
    let shard = request.partition.map(|part| part.shard(jobs.iter().map(|job| &job.id), request.seed));
    if let Some(part) = request.partition {
        jobs.retain(|job| part.takes(job.place, &job.id));
    }
    reporter.suite_started(jobs.len(), &request.context(&known));

    let results: Mutex<Vec<Option<RunResult>>> = Mutex::new(vec![None; jobs.len()]);
    let queue: Mutex<VecDeque<(usize, Job)>> = Mutex::new(jobs.into_iter().enumerate().collect());
    let trouble: Mutex<Option<SuiteError>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..request.jobs.max(1) {
            scope.spawn(|| {
                while let Some((at, job)) = next(&queue, interrupts) {
                    reporter.run_started(&job.id);
                    let capabilities = known.get(job.kernel).and_then(|known| known.as_ref().ok());
                    match request.carry_out(&job, capabilities, scratch, interrupts) {
                        Ok(result) => {
                            reporter.run_finished(&result);
                            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(result);
                        }
                        Err(error) => {
                            queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                            trouble
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .get_or_insert(error.into());
                        }
                    }
                }
            });
        }
    });
    let suite = SuiteResult {
        schema: 1,
        runs: results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect(),
        wall_ms: millis(begin.elapsed()),
        interrupted: interrupts.seen(),
        shard,
    };
    match trouble.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(suite),
    }
}

fn next(queue: &Mutex<VecDeque<(usize, Job)>>, interrupts: &Interrupts) -> Option<(usize, Job)> {
    if interrupts.seen() {
        return None;
    }
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn refusal(error: AskError) -> Refusal {
    let reason = crate::report::chain(&error);
    match error {
        AskError::Guest { judgement, console_tail } => {
            Refusal { console_tail, ..Refusal::new(judgement.outcome, reason) }
        }
        AskError::Run(error) => Refusal::new(Outcome::Infra, with_hint(&error)),
        _ => Refusal::new(Outcome::Infra, reason),
    }
}

impl Request<'_> {
    /// The surroundings of a run on `kernel`.
    pub fn site<'a>(
        &'a self,
        kernel: &'a Kernel,
        scratch: &'a Scratch,
        interrupts: &'a Interrupts,
    ) -> Site<'a> {
        Site {
            kernel: &kernel.image,
            initramfs: &self.initramfs,
            kernels: self.kernels,
            accel: self.accelerator.accel,
            qemu: &self.qemu,
            swtpm: &self.swtpm,
            scratch,
            interrupts,
        }
    }

    fn context(&self, known: &[Result<Capabilities, Refusal>]) -> Context {
        let kernels = self.kernels.iter().zip(known).map(|(kernel, known)| match known {
            Ok(known) => format!("{} ({})", kernel.name, known.release),
            Err(_) => kernel.name.clone(),
        });
        Context {
            kernels: kernels.collect(),
            accelerator: self.accelerator(),
            lane: LANE.to_owned(),
            jobs: self.jobs,
            seed: self.seed,
        }
    }

    fn accelerator(&self) -> AcceleratorUsed {
        AcceleratorUsed { name: self.accelerator.accel.to_string(), reason: self.accelerator.reason.clone() }
    }

    fn jobs(&self, known: &[Result<Capabilities, Refusal>]) -> Result<Vec<Job>, SuiteError> {
        let mut jobs = Vec::new();
        for repeat in 1..=self.repeat.max(1) {
            for (kernel, known) in known.iter().enumerate() {
                // Once, since a kernel is asked once.
                let missing = known.as_ref().ok().filter(|_| repeat == 1);
                if let Some(refusal) = missing.and_then(|known| offers::lacking(&self.kernels[kernel], known))
                {
                    let id = RunId {
                        scenario: offers::RUN.to_owned(),
                        parameters: Parameters::new(),
                        kernel: self.kernels[kernel].name.clone(),
                        repeat,
                    };
                    let (place, seed) = (jobs.len() as u64, self.seed);
                    jobs.push(Job { id, place, seed, kernel, work: Err(refusal) });
                }
                for text in self.scenarios {
                    for parameters in plan::expand(text) {
                        let seed = self.seed.wrapping_add(u64::from(repeat) - 1);
                        let work = match known {
                            Err(refusal) => Err(refusal.clone()),
                            Ok(known) => match plan::plan(text, &parameters, known, known.interface, seed)? {
                                Planned::Plan(mut plan) => {
                                    plan.stock = self.kernels[kernel].stock;
                                    let own = std::mem::take(&mut plan.machine.kernel_args);
                                    plan.machine.kernel_args = plan::words_of(&self.kernel_args, &own);
                                    match kernels::others(&plan, self.kernels) {
                                        Ok(_) => Ok(plan),
                                        Err(missing) => Err(Refusal::new(
                                            Outcome::Skipped,
                                            format!("{missing} (--kernel-image NAME=BZIMAGE)"),
                                        )),
                                    }
                                }
                                Planned::Skip(skip) => Err(Refusal::new(Outcome::Skipped, skip.reason)),
                            },
                        };
                        let id = RunId {
                            scenario: text.id.clone(),
                            parameters,
                            kernel: self.kernels[kernel].name.clone(),
                            repeat,
                        };
                        jobs.push(Job { id, place: jobs.len() as u64, seed, kernel, work });
                    }
                }
            }
        }
        Ok(jobs)
    }

    fn carry_out(
        &self,
        job: &Job,
        capabilities: Option<&Capabilities>,
        scratch: &Scratch,
        interrupts: &Interrupts,
    ) -> Result<RunResult, StoreError> {
        let mut result = RunResult {
            scenario: job.id.scenario.clone(),
            parameters: job.id.parameters.clone(),
            kernel: job.id.kernel.clone(),
            release: capabilities.map(|known| known.release.clone()),
            interface: capabilities.map(|known| known.interface),
            lane: LANE.to_owned(),
            accelerator: Some(self.accelerator()),
            seed: job.seed,
            repeat: job.id.repeat,
            place: job.place,
            outcome: Outcome::Infra,
            reason: String::new(),
            checks: Vec::new(),
            latency: Vec::new(),
            freed: Vec::new(),
            console_tail: Vec::new(),
            wall_ms: 0,
            boot_ms: None,
            guest_ms: None,
            dir: None,
            bundle: None,
            repro: None,
        };
        let plan = match &job.work {
            Ok(plan) => plan,
            Err(refusal) => {
                result.outcome = refusal.outcome;
                result.reason.clone_from(&refusal.reason);
                result.checks.clone_from(&refusal.checks);
                result.console_tail.clone_from(&refusal.console_tail);
                return Ok(result);
            }
        };
        let kernel = &self.kernels[job.kernel];
        match run(plan, self.site(kernel, scratch, interrupts)) {
            Err(error) => {
                result.reason = with_hint(&error);
                Ok(result)
            }
            Ok(ran) => {
                times(&ran, &mut result);
                result.checks = check::all(plan, &ran.trace);
                result.latency = check::latency(plan, &ran.trace);
                result.freed = check::freed(plan, &ran.trace);
                let judgement = judge::of(plan, &ran.trace, &result.checks);
                judgement.put_into(&mut result);
                if !matches!(result.outcome, Outcome::Passed | Outcome::Skipped) {
                    result.console_tail = console_tail(&ran.trace);
                }
                self.store.keep(&mut result, plan, &ran, kernel, self)?;
                Ok(result)
            }
        }
    }
}

fn with_hint(error: &RunError) -> String {
    // A reason is one line, and QEMU may have said several.
    let lines = crate::report::chain(error);
    let reason = lines.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    error.hint().map_or(reason.clone(), |hint| format!("{reason} ({hint})"))
}

/// Notes how long a run took, and the parts of it.
pub fn times(ran: &Ran, result: &mut RunResult) {
    use imalab_wire::Message;
    let trace = &ran.trace;
    result.wall_ms = millis(ran.wall);
    let at = |wanted: fn(&What) -> bool| {
        trace.notable().find(|event| wanted(&event.what)).map(|event| event.at_ns / 1_000_000)
    };
    let spawned = at(|what| matches!(what, What::Host(Host::Spawned { child, .. }) if child == "qemu"));
    let hello = at(|what| matches!(what, What::Guest(Message::Hello { .. })));
    let done = at(|what| matches!(what, What::Guest(Message::Done { .. })));
    let between = |from: Option<u64>, to: Option<u64>| to?.checked_sub(from?);
    result.boot_ms = between(spawned, hello);
    result.guest_ms = between(hello, done);
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
