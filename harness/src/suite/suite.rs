//! Many runs: scenarios times kernels times repetitions, some side by side.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::boot::{self, Boots};
use super::dispatch::{Dispatch, Work};
use super::event::{Listener, PlannedSuite, SuiteContext, SuiteEvent};
use super::partition::Partition;
use super::probe::{self, AskError};
use super::queue::{self, Job, Queue, QueueError};
use super::seeded::{self, SeededLane};
use super::store::Store;
use super::today;
use crate::report::{self, RunId};
use imalab_check::outcome::{
    AcceleratorUsed, Boot, CheckResult, During, Outcome, Reason, RunResult, SuiteResult,
};
use imalab_language::finding::{Finding, Run};
use imalab_language::interface::Capabilities;
use imalab_language::lane::Lane;
use imalab_language::plan::{Interface, Plan};
use imalab_language::scenario::Scenario;
use imalab_machine::accel::Choice;
use imalab_run::{
    Booted, Forks, Interrupts, Kernel, Ran, RunContext, RunError, Scratch, Seeded, console_tail, run,
};
use imalab_trace::{Host, What};

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
    /// Only these runs, each with this seed; then `repeat` and `seed` are not looked at.
    pub only: Option<BTreeMap<RunId, u64>>,
    /// After so many failed runs no further one begins.
    pub fail_fast: Option<usize>,
    /// Factor of every run's time limits.
    pub timeout_scale: f64,
    /// The part of it that is run; `None`: the whole.
    pub partition: Option<Partition>,
    /// Seed of the first repetition; each further one adds 1.
    pub seed: u64,
    /// All repetitions have the same seed.
    pub same_seed: bool,
    /// What decides the order in which guests' processors run.
    pub lane: Lane,
    /// What the deterministic lane takes; `None` in the others.
    pub seeded: Option<SeededLane>,
    /// How guests come to their agents' first messages, where they can.
    pub boot: Boot,
    /// Whose promises every kernel is held to; `None`: those of the interface that it is seen to have.
    pub promises: Option<Interface>,
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

/// How long a run takes before it is announced as slow: most take some seconds, under TCG too.
const SLOW_AFTER: Duration = Duration::from_secs(60);

impl Work for Job {
    fn id(&self) -> &RunId {
        &self.id
    }

    fn place(&self) -> u64 {
        self.place
    }
}

/// A run that ends before it begins.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) outcome: Outcome,
    pub(super) reason: Box<Reason>,
    pub(super) checks: Vec<CheckResult>,
    pub(super) console_tail: Vec<String>,
}

impl Refusal {
    pub(super) fn new(outcome: Outcome, finding: impl Into<Finding>) -> Refusal {
        let reason = Box::new(Reason::of(finding));
        Refusal { outcome, reason, checks: Vec::new(), console_tail: Vec::new() }
    }
}

/// Runs everything and tells `listener` what happens.
///
/// # Errors
/// [`QueueError`], before the first run: after that there are always results.
pub fn suite(
    request: &Request<'_>,
    scratch: &Scratch,
    interrupts: &Interrupts,
    listener: &mut dyn Listener,
) -> Result<SuiteResult, QueueError> {
    let begin = Instant::now();
    queue::check(request)?;
    let known = probe_all(request, scratch, interrupts, listener);
    let queue = Queue::new(request, &known)?;
    let boots = Boots::of(request, &queue, scratch, interrupts);
    let planned = PlannedSuite {
        context: request.suite_context(&known, &boots),
        runs: queue.runs(),
        shard: queue.shard.clone(),
    };
    listener.event(SuiteEvent::Planned(&planned));
    let dispatch = Dispatch {
        workers: request.jobs.max(1).min(planned.runs.len()),
        slow_after: SLOW_AFTER,
        fail_fast: request.fail_fast,
        interrupts,
    };
    let execute = |job: Job| {
        let capabilities = known.get(job.kernel).and_then(|known| known.as_ref().ok());
        let kernel = &request.kernels[job.kernel];
        let context = request.machine_context(kernel, boots.forks(), scratch, interrupts);
        request.result(&job, capabilities, context)
    };
    let results = dispatch.run(|| queue.next(), execute, listener);
    let not_begun = planned.runs.len().saturating_sub(results.len()) as u64;
    let suite = SuiteResult {
        schema: report::json::SCHEMA,
        runs: results.into_values().collect(),
        wall_ms: millis(begin.elapsed()),
        interrupted: interrupts.seen(),
        not_begun: Some(not_begun),
        shard: queue.shard,
    };
    listener.event(SuiteEvent::Finished(&suite));
    Ok(suite)
}

/// A run of a dry run.
pub enum DryRun<'a> {
    /// It would boot this machine.
    Machine {
        /// Which run.
        id: &'a RunId,
        /// What it would do.
        plan: &'a Plan,
        /// On what.
        context: RunContext<'a>,
    },
    /// It would end without one.
    Ended(&'a RunResult),
}

/// Plans everything as [`suite`] does, and calls `each` for each run once, repetitions left out. Boots nothing but probes.
///
/// # Errors
/// [`QueueError`].
pub fn dry_run(
    request: &Request<'_>,
    scratch: &Scratch,
    interrupts: &Interrupts,
    listener: &mut dyn Listener,
    each: &mut dyn FnMut(DryRun<'_>),
) -> Result<(), QueueError> {
    queue::check(request)?;
    let known = probe_all(request, scratch, interrupts, listener);
    let queue = Queue::new(request, &known)?;
    while let Some(job) = queue.next() {
        let capabilities = known.get(job.kernel).and_then(|known| known.as_ref().ok());
        let context = request.context(&request.kernels[job.kernel], None, scratch, interrupts);
        match &job.work {
            _ if job.id.repeat > 1 && request.only.is_none() => {}
            Ok(plan) => {
                each(DryRun::Machine { id: &job.id, plan, context });
            }
            Err(_) => each(DryRun::Ended(&request.result(&job, capabilities, context))),
        }
    }
    Ok(())
}

/// Asks each kernel what it offers.
fn probe_all(
    request: &Request<'_>,
    scratch: &Scratch,
    interrupts: &Interrupts,
    listener: &mut dyn Listener,
) -> Vec<Result<Capabilities, Refusal>> {
    let probe = |kernel: &Kernel| {
        let name = kernel.name.as_str();
        let mut booting = || listener.event(SuiteEvent::ProbeStarted { kernel: name });
        let context = request.context(kernel, None, scratch, interrupts);
        let known = probe::capabilities(
            context,
            &request.kernel_args,
            request.promises,
            &request.cache,
            &mut booting,
        );
        let known = known.map_err(refusal);
        let answer = known.as_ref().map_err(|refusal| (refusal.outcome, &*refusal.reason));
        listener.event(SuiteEvent::Probed { kernel: name, answer });
        known
    };
    request.kernels.iter().map(probe).collect()
}

fn refusal(error: AskError) -> Refusal {
    match error {
        AskError::Guest { judgement, console_tail } => {
            let outcome = judgement.outcome;
            // What was judged without a reason passed, and that is no error.
            let reason = judgement.reason.unwrap_or_else(|| Reason::of(Run::Interrupted {}));
            let during = [&[During::Probe][..], &reason.during].concat();
            let reason = Box::new(Reason { during, ..reason });
            Refusal { outcome, reason, checks: Vec::new(), console_tail }
        }
        AskError::Run(error) => Refusal::new(Outcome::Infra, not_started(&error)),
        error => {
            let error = report::chain(&error);
            Refusal::new(Outcome::Infra, Run::NotStarted { error, hint: None })
        }
    }
}

impl Request<'_> {
    /// The surroundings of a run on `kernel`.
    pub fn context<'a>(
        &'a self,
        kernel: &'a Kernel,
        forks: Option<&'a Forks>,
        scratch: &'a Scratch,
        interrupts: &'a Interrupts,
    ) -> RunContext<'a> {
        RunContext {
            kernel: &kernel.image,
            initramfs: &self.initramfs,
            kernels: self.kernels,
            accel: self.accelerator.accel,
            qemu: &self.qemu,
            swtpm: &self.swtpm,
            timeout_scale: self.timeout_scale,
            scratch,
            interrupts,
            seeded: None,
            forks,
        }
    }

    /// The same, where the lane is known as well.
    pub(super) fn machine_context<'a>(
        &'a self,
        kernel: &'a Kernel,
        forks: Option<&'a Forks>,
        scratch: &'a Scratch,
        interrupts: &'a Interrupts,
    ) -> RunContext<'a> {
        let seeded = self.seeded.as_ref().map(SeededLane::machine);
        RunContext { seeded, ..self.context(kernel, forks, scratch, interrupts) }
    }

    fn suite_context(&self, known: &[Result<Capabilities, Refusal>], boots: &Boots) -> SuiteContext {
        let kernels = self.kernels.iter().zip(known).map(|(kernel, known)| match known {
            Ok(known) => format!("{} ({})", kernel.name, known.release),
            Err(_) => kernel.name.clone(),
        });
        SuiteContext {
            kernels: kernels.collect(),
            accelerator: self.accelerator(),
            lane: self.lane,
            strategy: self.seeded.as_ref().map(|lane| lane.way().to_string()),
            boot: boots.how,
            boot_reason: boots.reason.clone(),
            jobs: self.jobs,
            seed: self.seed,
        }
    }

    fn accelerator(&self) -> AcceleratorUsed {
        AcceleratorUsed { name: self.accelerator.accel.to_string(), reason: self.accelerator.reason.clone() }
    }

    /// The result of a run, whatever happens: a defect of ours costs this run and no other.
    fn result(&self, job: &Job, capabilities: Option<&Capabilities>, context: RunContext<'_>) -> RunResult {
        let mut result = self.blank(job, capabilities);
        let done = catch_unwind(AssertUnwindSafe(|| self.carry_out(&mut result, job, context)));
        if let Err(panic) = done {
            let failed = Run::ImalabFailed { error: said(&*panic).to_owned() };
            match result.outcome {
                // Nothing was judged so far.
                Outcome::Infra => result.reason = Some(Reason::of(failed)),
                _ => result.not_stored = Some(report::words::finding(&failed.into())),
            }
        }
        if let (Ok(plan), Some(forks)) = (&job.work, context.forks) {
            forks.used(plan, context);
        }
        result
    }

    fn blank(&self, job: &Job, capabilities: Option<&Capabilities>) -> RunResult {
        RunResult {
            scenario: job.id.scenario.clone(),
            parameters: job.id.parameters.clone(),
            kernel: job.id.kernel.clone(),
            release: capabilities.map(|known| known.release.clone()),
            interface: capabilities.map(|known| known.interface),
            lane: self.lane,
            accelerator: Some(self.accelerator()),
            boot: None,
            cold_because: None,
            seed: job.seed,
            strategy: self.seeded.as_ref().map(|lane| lane.way().to_string()),
            schedule_hash: None,
            cross_checked: false,
            repeat: job.id.repeat,
            place: job.place,
            outcome: Outcome::Infra,
            reason: None,
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
            not_stored: None,
        }
    }

    fn carry_out(&self, result: &mut RunResult, job: &Job, context: RunContext<'_>) {
        let plan = match &job.work {
            Ok(plan) => plan,
            Err(refusal) => {
                result.outcome = refusal.outcome;
                result.reason = Some((*refusal.reason).clone());
                result.checks.clone_from(&refusal.checks);
                result.console_tail.clone_from(&refusal.console_tail);
                return;
            }
        };
        let kernel = &self.kernels[job.kernel];
        let ran = match &self.seeded {
            Some(lane) => lane.run(&job.id, plan, job.seed, context),
            None => run(plan, context).map_err(|error| Box::new(not_started(&error))),
        };
        match ran {
            Err(finding) => {
                if context.interrupts.seen() {
                    result.outcome = Outcome::Interrupted;
                }
                result.reason = Some(Reason::of(*finding));
            }
            Ok(ran) => {
                times(&ran, result);
                (result.boot, result.cold_because) = match &ran.booted {
                    Booted::Fork => (Some(Boot::Fork), None),
                    Booted::Cold { because } => (Some(Boot::Cold), because.clone()),
                };
                let digest = imalab_check::digest(plan, &ran.trace);
                digest.judge(today()).put_into(result);
                (result.latency, result.freed) = (digest.latency(), digest.freed());
                if let (Booted::Fork, Some(forks)) = (&ran.booted, context.forks)
                    && (forks.is_first() || boot::is_sampled(self.seed, job.place))
                {
                    let seeded = context.seeded.map(|seeded| Seeded { seed: job.seed, ..seeded });
                    boot::cross_check(plan, RunContext { seeded, ..context }, result);
                }
                if result.outcome == Outcome::Interrupted {
                    // Of a run that was cut off they say what it had not come to.
                    result.checks.clear();
                }
                if !matches!(result.outcome, Outcome::Passed | Outcome::Skipped | Outcome::Interrupted) {
                    result.console_tail = console_tail(&ran.trace);
                }
                seeded::note(&ran, result);
                self.store.keep(result, plan, (&ran, &digest), kernel, self);
            }
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

pub(super) fn not_started(error: &RunError) -> Run {
    // A reason is one line, and QEMU may have said several.
    let lines = report::chain(error);
    let text = lines.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Run::NotStarted { error: text, hint: error.hint().map(|hint| hint.to_string()) }
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
