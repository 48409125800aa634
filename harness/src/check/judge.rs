//! Pure: what a run showed and what its checks found become one outcome with its reason.
//!
//! What explains everything after it comes first: a dead kernel, then a run without progress, then a harness or
//! surroundings that failed, and only then what the checks say.

#[cfg(test)]
mod tests;

use imalab_wire::{End, Message, Op, StepId};

use super::complaints::complaints;
use super::ending::{self, GUEST_PANIC, GUEST_RESET, GUEST_SHUTDOWN};
use crate::event::{Event, Host, Trace, What};
use crate::machine::processors;
use crate::machine::splat::{Kind, Splat};
use crate::outcome::{CheckResult, Outcome, RunResult, Verdict};
use crate::plan::{MarkDeed, Plan};
use crate::scenario::{KnownLimit, Showing};

/// An outcome and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What became of the run.
    pub outcome: Outcome,
    /// One line that says why; empty when passed, but where something known is not there.
    pub reason: String,
    /// The checks that it rests on, where they are others than those that were given.
    pub checks: Option<Vec<CheckResult>>,
}

impl Judgement {
    fn new(outcome: Outcome, reason: impl Into<String>) -> Judgement {
        Judgement { outcome, reason: reason.into(), checks: None }
    }

    /// What it makes of a run's result.
    pub fn put_into(self, result: &mut RunResult) {
        result.outcome = self.outcome;
        result.reason = self.reason;
        if let Some(checks) = self.checks {
            result.checks = checks;
        }
    }

    /// This, with a word on something known that the kernel turned out not to have.
    fn without(self, what: &str, known: &str) -> Judgement {
        if self.outcome != Outcome::Passed {
            return self;
        }
        Judgement { reason: format!("{what} is not present in this kernel: {known}"), ..self }
    }
}

/// Judges a run. Without checks (a probe of the kernel) the run has to come to its end and nothing more.
pub fn of(plan: &Plan, trace: &Trace, checks: &[CheckResult]) -> Judgement {
    let release = release(trace).unwrap_or_default();
    let death = kernel_died(plan, trace);
    if let (Some((_, report)), Some(known)) = (&death, &plan.known_defect)
        && known.is_death(release, report)
    {
        return Judgement::new(Outcome::KnownDefect, format!("as stated: {}", known.breaks));
    }
    let seen = death
        .map(|(reason, _)| (Outcome::KernelDied, reason))
        .or_else(|| first(trace, unended).map(|reason| (Outcome::Infra, reason)))
        .or_else(|| first(trace, timeout).map(|reason| (Outcome::Timeout, reason + &idle(trace))))
        .or_else(|| infrastructure(plan, trace).map(|reason| (Outcome::Infra, reason)));
    if let Some((outcome, reason)) = seen {
        let place = if is_between_kernels(plan, trace) { BETWEEN } else { "" };
        return Judgement::new(outcome, format!("{reason}{place}"));
    }
    let judged = by_what_is_known(plan, trace, release, checks);
    match first(trace, |event| timed_out(plan, event)) {
        // Where all of it was proved all the same, the kernel got over it. A probe proves nothing.
        Some(reason) if judged.outcome == Outcome::Failed || checks.is_empty() => {
            Judgement::new(Outcome::Infra, reason)
        }
        _ => judged,
    }
}

/// By what the checks say, and what is known of such a kernel.
fn by_what_is_known(plan: &Plan, trace: &Trace, release: &str, checks: &[CheckResult]) -> Judgement {
    let plainly = || match plan.known_limit.as_ref().filter(|limit| limit.kernels.concerns(release)) {
        Some(limit) => limited(plan, trace, limit, checks),
        None => by_checks(checks),
    };
    let Some(known) = &plan.known_defect else { return plainly() };
    match known.judge(release, checks) {
        Showing::NotConcerned => plainly(),
        Showing::AsStated => Judgement::new(Outcome::KnownDefect, format!("as stated: {}", known.breaks)),
        // A fix has to be able to pass.
        Showing::Gone if !plan.stock => plainly().without("the known defect", &known.breaks),
        Showing::Gone => Judgement::new(
            Outcome::Failed,
            format!("the kernel seems mended: it no longer breaks \"{}\"", known.breaks),
        ),
        Showing::Otherwise(why) => {
            let judgement = plainly();
            let reason = format!("{}; not the known defect: {why}", judgement.reason);
            Judgement { reason, ..judgement }
        }
    }
}

/// Judges a run in which something is known to be lost: its checks have taken that in.
fn limited(plan: &Plan, trace: &Trace, limit: &KnownLimit, checks: &[CheckResult]) -> Judgement {
    let Judgement { outcome, reason, .. } = by_checks(checks);
    if outcome == Outcome::Passed {
        return Judgement::new(Outcome::KnownLimit, format!("as stated: {}", limit.why));
    }
    let unlimited = Plan { known_limit: None, ..plan.clone() };
    let checks = super::all(&unlimited, trace);
    let gone = checks.iter().all(|check| !check.verdict.is_bad());
    if gone && !plan.stock {
        let passed = Judgement { checks: Some(checks), ..Judgement::new(Outcome::Passed, "") };
        return passed.without("the known limit", &limit.why);
    }
    let reason = if gone {
        format!("the kernel no longer has the limit, nothing was lost: {}", limit.why)
    } else {
        format!("{reason}; this is not just the known limit")
    };
    Judgement::new(Outcome::Failed, reason)
}

fn by_checks(checks: &[CheckResult]) -> Judgement {
    let wrong = |verdict: Verdict| checks.iter().filter(move |check| check.verdict == verdict);
    // What was found says more than what could not be looked at.
    let mut all = wrong(Verdict::Failed).chain(wrong(Verdict::CouldNotRun));
    let Some(worst) = all.next() else { return Judgement::new(Outcome::Passed, "") };
    let finding = worst.findings.first().map_or("no finding", String::as_str);
    let how = if worst.verdict == Verdict::Failed { "" } else { " could not run" };
    let more: Vec<&str> = all.map(|check| check.check.as_str()).collect();
    let more = if more.is_empty() { String::new() } else { format!(" (also: {})", more.join(", ")) };
    Judgement::new(Outcome::Failed, format!("{}{how}: {finding}{more}", worst.check))
}

/// The first event that says it.
fn first(trace: &Trace, says: impl Fn(&Event) -> Option<String>) -> Option<String> {
    trace.notable().find_map(says)
}

/// Why the kernel is said to be dead, and its report of that as far as there is one.
fn kernel_died(plan: &Plan, trace: &Trace) -> Option<(String, Vec<String>)> {
    let console: Vec<&str> = trace
        .notable()
        .filter_map(|event| match &event.what {
            What::Console(line) => Some(line.as_str()),
            _ => None,
        })
        .collect();
    if let Some(splat) = complaints(plan, &console).into_iter().find(is_death) {
        return Some((splat.title, splat.excerpt));
    }
    let panicked = |event: &Event| match &event.what {
        What::Qmp(value) if value["event"] == "GUEST_PANICKED" => {
            Some("the guest told of a panic".to_owned())
        }
        _ => None,
    };
    let reason = first(trace, panicked).or_else(|| match ending::shutdown(trace) {
        Some((_, GUEST_PANIC)) => Some("the guest panicked".to_owned()),
        // Its last words were no complaint.
        Some((_, GUEST_RESET)) if plan.panics() > 0 && is_between_kernels(plan, trace) => {
            Some("no kernel came after the panic that was asked for".to_owned())
        }
        Some((_, GUEST_RESET)) => Some("the guest reset itself without a word".to_owned()),
        _ => None,
    });
    reason.map(|reason| (reason, Vec::new()))
}

/// How the reason of a run ends whose guest left a kernel and never said hello from the next.
const BETWEEN: &str = ", between two kernels";

/// Whether the guest was last heard of when it was about to go on in another kernel.
fn is_between_kernels(plan: &Plan, trace: &Trace) -> bool {
    let is_kexec = |id: StepId, op: u16| {
        let tasks = plan.program.tasks.iter().map(|task| &task.steps);
        let mut steps = tasks.chain([&plan.program.finally]).flatten();
        let ops = steps.find(|step| step.id == id).map_or(&[][..], |step| &step.ops);
        ops.get(usize::from(op)).is_some_and(Op::leaves)
    };
    let mut left = None;
    for event in trace.notable() {
        match &event.what {
            What::Guest(Message::OpStarted { step, op, .. }) if is_kexec(*step, *op) => {
                left = Some((*step, *op))
            }
            What::Guest(Message::OpDone { step, op, .. }) if left == Some((*step, *op)) => left = None,
            What::Guest(Message::Hello { .. }) => left = None,
            _ => {}
        }
    }
    left.is_some()
}

fn is_death(splat: &Splat) -> bool {
    match splat.kind {
        Kind::Panic | Kind::Oops => true,
        // BUG() is an invalid instruction, hence an oops; other complaints of that name are not.
        Kind::Bug => splat.title.starts_with("kernel BUG at"),
        _ => false,
    }
}

fn timeout(event: &Event) -> Option<String> {
    match &event.what {
        What::Host(Host::Deadline { text }) => Some(text.clone()),
        _ => None,
    }
}

/// A guest in which nothing happened any more since its emulated interrupt controller waits for the end of an interrupt that no
/// processor is in: it was lost on the way, and the kernel cannot be blamed for what came after.
fn unended(event: &Event) -> Option<String> {
    let What::Host(Host::Processors { text, emulated: true }) = &event.what else { return None };
    let (processor, vector) = processors::unended(text)?;
    Some(format!(
        "QEMU lost the end of an interrupt: processor {processor} is halted with vector {vector} in service, so none of its \
         priority or below gets through any more"
    ))
}

/// How many processors of a machine in which nothing happened any more waited for an interrupt, as a reason goes on.
fn idle(trace: &Trace) -> String {
    let told = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::Processors { text, .. }) => Some(processors::count(text)),
        _ => None,
    });
    match told {
        Some((idle, all @ 1..)) => format!(", {idle} of {all} processors idle"),
        Some((_, 0)) | None => String::new(),
    }
}

fn infrastructure(plan: &Plan, trace: &Trace) -> Option<String> {
    let exited = |name: &str| {
        let is =
            |event: &Event| matches!(&event.what, What::Host(Host::Exited { child, .. }) if child == name);
        trace.notable().position(is)
    };
    let reason = first(trace, infra).or_else(|| first(trace, without_tpm));
    // swtpm is ended by us only after QEMU; that it went before says why the TPM no longer answered.
    let orphaned = exited("swtpm").is_some_and(|at| exited("qemu").is_none_or(|qemu| at < qemu));
    match (reason, lost(plan, trace)) {
        (Some(reason), Some(lost)) if orphaned && reason.starts_with(TPM) => {
            Some(format!("{lost}; {reason}"))
        }
        (Some(reason), _) => Some(reason),
        (None, Some(lost)) => first(trace, |event| timed_out(plan, event)).or(Some(lost)),
        (None, None) => None,
    }
}

/// How the reason of TPM trouble begins.
const TPM: &str = "TPM: ";

fn infra(event: &Event) -> Option<String> {
    match &event.what {
        What::Host(Host::Interrupted) => Some("interrupted".to_owned()),
        What::Host(Host::BadFrame { text }) => Some(format!("the agent's stream cannot be decoded: {text}")),
        What::Host(Host::TpmTrouble { text }) => Some(format!("{TPM}{text}")),
        What::Host(Host::Trouble { text }) => Some(text.clone()),
        What::Guest(Message::Fault { text }) => Some(format!("agent: {text}")),
        _ => None,
    }
}

/// A guest whose kernel gave the TPM up at boot, since an answer that takes milliseconds did not come: the host had no time
/// for the TPM, and nothing can be said of the kernel.
fn without_tpm(event: &Event) -> Option<String> {
    let What::Console(line) = &event.what else { return None };
    (line.contains("tpm_tis") && line.contains("failed with error -62")).then(|| in_vain(line))
}

/// A guest whose kernel waited in vain for an answer of its TPM (`tpm_try_transmit`, `drivers/char/tpm/tpm-interface.c`), and
/// nobody had asked for it. It may get over that: the TPM carries the command out, only later.
fn timed_out(plan: &Plan, event: &Event) -> Option<String> {
    let What::Console(line) = &event.what else { return None };
    let asked = || plan.marks.iter().any(|mark| matches!(mark.does, MarkDeed::Arm(_) | MarkDeed::Hold));
    (line.contains("tpm tpm0: Operation Timed out") && !asked()).then(|| in_vain(line))
}

fn in_vain(line: &str) -> String {
    format!("the host was too busy: the guest waited in vain for its TPM ({line})")
}

/// A run that ended before its end: a child that died, or an agent that was lost.
fn lost(plan: &Plan, trace: &Trace) -> Option<String> {
    let done = trace.notable().position(|event| matches!(event.what, What::Guest(Message::Done { .. })));
    // A shell ends when its user is done with it, however that is.
    let own = plan.program.end == End::Shell || matches!(ending::shutdown(trace), Some((_, GUEST_SHUTDOWN)));
    for (at, event) in trace.notable().enumerate() {
        let What::Host(Host::Exited { child, status }) = &event.what else { continue };
        match done {
            None => return Some(format!("{child} ended with status {status} before the guest was done")),
            // Each source of events has a thread of its own: on a busy host a child's orderly end can be told before the
            // last messages of the guest that it waited for.
            Some(done) if at < done && !(own && *status == 0) => {
                return Some(format!("{child} ended with status {status} before the guest was done"));
            }
            Some(_) if !own && *status != 0 => return Some(format!("{child} ended with status {status}")),
            Some(_) => {}
        }
    }
    if done.is_some() || plan.program.end == End::Shell {
        return None;
    }
    Some(match release(trace) {
        Some(_) => "the agent's last message never came".to_owned(),
        None => "the agent never said hello".to_owned(),
    })
}

fn release(trace: &Trace) -> Option<&str> {
    trace.notable().find_map(|event| match &event.what {
        What::Guest(Message::Hello { release, .. }) => Some(release.as_str()),
        _ => None,
    })
}
