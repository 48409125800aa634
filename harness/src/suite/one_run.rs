//! One run of a suite: carried out, judged and stored.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::boot;
use super::queue::Job;
use super::refusal::not_started;
use super::request::Request;
use super::seeded::{self, DEFAULT_WAY};
use super::today;
use crate::report;
use crate::report::run_dir::KernelUsed;
use crate::run_id::RunId;
use imalab_check::outcome::{Boot, Outcome, Reason, RunResult};
use imalab_files::atomic::FileError;
use imalab_language::capabilities::Capabilities;
use imalab_language::finding::Run;
use imalab_language::plan::Plan;
use imalab_run::{Booted, Kernel, Ran, RunContext, Seeded, console_tail, run};
use imalab_trace::{Host, What};

impl Request<'_> {
    /// The result of a run, whatever happens: a defect of ours costs this run and no other.
    pub(super) fn result(
        &self,
        job: &Job,
        capabilities: Option<&Capabilities>,
        context: RunContext<'_>,
    ) -> RunResult {
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

    pub(super) fn blank(&self, job: &Job, capabilities: Option<&Capabilities>) -> RunResult {
        let RunId { scenario, parameters, kernel, repeat } = job.id.clone();
        RunResult {
            release: capabilities.map(|known| known.release.clone()),
            interface: capabilities.map(|known| known.interface),
            accelerator: Some(self.accelerator()),
            strategy: job.way.map(|way| way.to_string()),
            repeat,
            place: job.place,
            ..RunResult::not_judged(scenario, parameters, kernel, self.lane, job.seed)
        }
    }

    pub(super) fn carry_out(&self, result: &mut RunResult, job: &Job, context: RunContext<'_>) {
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
        let context = RunContext { debugger: self.debugger, ..context };
        let ran = match &self.seeded {
            Some(lane) => {
                let way = job.way.unwrap_or(DEFAULT_WAY);
                lane.run(&job.id, plan, (way, job.seed), context)
            }
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
                course(&ran, result);
                let observed = imalab_check::with_observed(plan, &ran.trace);
                let digest = imalab_check::digest(&observed, &ran.trace);
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
                let text = self.store.scenarios.join(format!("{}.yaml", plan.scenario));
                let text = std::fs::read_to_string(text).ok();
                let used = |result: &RunResult| used(result, plan, kernel, self);
                self.store.keep(result, plan, (&ran, &digest), text.as_deref(), used);
            }
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// What a bundle says of the kernel.
fn used(
    result: &RunResult,
    plan: &Plan,
    kernel: &Kernel,
    request: &Request<'_>,
) -> Result<KernelUsed, FileError> {
    let others = imalab_run::others(plan, request.kernels).unwrap_or_default();
    let others = others.into_iter().map(|other| (other.name.as_str(), other.image.as_path()));
    KernelUsed::of(&kernel.name, result.release.as_deref(), &kernel.image, &request.initramfs, others)
}

/// Notes how a run's machine came up, and how long it took.
pub fn course(ran: &Ran, result: &mut RunResult) {
    use imalab_wire::Message;
    let trace = &ran.trace;
    (result.boot, result.cold_because) = match &ran.booted {
        Booted::Fork => (Some(Boot::Fork), None),
        Booted::Cold { because } => (Some(Boot::Cold), because.clone()),
    };
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

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
