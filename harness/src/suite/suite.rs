//! Many runs: scenarios times kernels times repetitions, some side by side.

use std::time::{Duration, Instant};

use super::ask::probe_all;
use super::boot::Boots;
use super::dispatch::{Dispatch, Work};
use super::one_run::millis;
use super::queue::{self, Job, Queue, QueueError};
use super::refusal::Refusal;
use super::request::Request;
use crate::event::{Listener, PlannedSuite, SuiteContext, SuiteEvent};
use crate::report::{self};
use crate::run_id::RunId;
use imalab_check::outcome::{RunResult, SuiteResult};
use imalab_language::capabilities::Capabilities;
use imalab_language::plan::Plan;
use imalab_run::{Interrupts, RunContext, Scratch};

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
        context: context(request, &known, &boots),
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

/// What holds for the whole suite.
fn context(request: &Request<'_>, known: &[Result<Capabilities, Refusal>], boots: &Boots) -> SuiteContext {
    let kernels = request.kernels.iter().zip(known).map(|(kernel, known)| match known {
        Ok(known) => format!("{} ({})", kernel.name, known.release),
        Err(_) => kernel.name.clone(),
    });
    SuiteContext {
        kernels: kernels.collect(),
        accelerator: request.accelerator(),
        lane: request.lane,
        strategy: request.seeded.as_ref().map(|lane| lane.way(None).to_string()),
        boot: boots.how,
        boot_reason: boots.reason.clone(),
        jobs: request.jobs,
        seed: request.seed,
    }
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
