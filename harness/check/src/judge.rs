//! Pure: what a run showed and what its checks found become one outcome with its reason.
//!
//! What explains everything after it comes first: a dead kernel, then a signal that ended the run, then whoever ended QEMU or swtpm
//! from outside, then a run without progress, then a harness or surroundings that failed, and only then what the checks say. The
//! host is blamed for what was measured of it and for nothing else: a caller may try again what is the host's, and must not lose a
//! defect by it.

mod cause;
mod death;
mod hang;
mod host;
#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use imalab_wire::Message;

use crate::outcome::{CheckResult, Outcome, RunResult};
use cause::by_checks;
use imalab_language::plan::Plan;
use imalab_language::scenario::{KnownLimit, Showing};
use imalab_trace::{Event, Host, Trace, What};

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

/// What a run's checks found, and what they and the way that it went make of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// One result an invariant.
    pub checks: Vec<CheckResult>,
    /// The outcome, and why.
    pub judgement: Judgement,
}

impl Judged {
    /// What it makes of a run's result.
    pub fn put_into(self, result: &mut RunResult) {
        result.checks = self.checks;
        self.judgement.put_into(result);
    }
}

/// Judges a run. Without checks (a probe of the kernel) the run has to come to its end and nothing more.
/// `today` is a date (UTC): an entry of the allow list ends on some day.
pub fn of(plan: &Plan, trace: &Trace, checks: &[CheckResult], today: NaiveDate) -> Judgement {
    let release = release(trace).unwrap_or_default();
    let death = death::of(plan, trace);
    if let (Some((_, report)), Some(known)) = (&death, &plan.known_defect)
        && known.is_death(release, report)
    {
        return Judgement::new(Outcome::KnownDefect, format!("as stated: {}", known.breaks));
    }
    let seen = death
        .map(|(reason, _)| (Outcome::KernelDied, reason))
        .or_else(|| host::interrupted(trace).then(|| (Outcome::Interrupted, "interrupted".to_owned())))
        .or_else(|| first(trace, flooded).map(|reason| (Outcome::Failed, reason)))
        .or_else(|| host::ended_from_outside(trace).map(|reason| (Outcome::Infra, reason)))
        .or_else(|| first(trace, hang::unended).map(|reason| (Outcome::Infra, reason)))
        .or_else(|| hang::told(plan, trace).map(|reason| (Outcome::Timeout, reason)))
        .or_else(|| hang::silent(plan, trace).map(|reason| (Outcome::Timeout, reason)))
        .or_else(|| host::infrastructure(plan, trace));
    if let Some((outcome, reason)) = seen {
        let place = if death::is_between_kernels(plan, trace) { BETWEEN } else { "" };
        return Judgement::new(outcome, format!("{reason}{place}"));
    }
    let judged = by_what_is_known(plan, trace, release, checks, today);
    if judged.outcome != Outcome::Failed && !checks.is_empty() {
        // Where all of it was proved all the same, the kernel got over it. A probe proves nothing.
        return judged;
    }
    if let Some(reason) = host::was_busy(plan, trace) {
        return Judgement::new(Outcome::Infra, reason);
    }
    match host::gave_up(trace) {
        Some(reason) => Judgement::new(Outcome::Failed, reason),
        None => judged,
    }
}

/// How the reason of a run ends whose guest left a kernel and never said hello from the next.
const BETWEEN: &str = ", between two kernels";

/// By what the checks say, and what is known of such a kernel.
fn by_what_is_known(
    plan: &Plan,
    trace: &Trace,
    release: &str,
    checks: &[CheckResult],
    today: NaiveDate,
) -> Judgement {
    let plainly = || match plan.known_limit.as_ref().filter(|limit| limit.kernels.concerns(release)) {
        Some(limit) => limited(plan, trace, limit, checks, today),
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
fn limited(
    plan: &Plan,
    trace: &Trace,
    limit: &KnownLimit,
    checks: &[CheckResult],
    today: NaiveDate,
) -> Judgement {
    let Judgement { outcome, reason, .. } = by_checks(checks);
    if outcome == Outcome::Passed {
        return Judgement::new(Outcome::KnownLimit, format!("as stated: {}", limit.why));
    }
    let unlimited = Plan { known_limit: None, ..plan.clone() };
    let checks = super::digest(&unlimited, trace).check(today);
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

/// The first event that says it.
fn first(trace: &Trace, says: impl Fn(&Event) -> Option<String>) -> Option<String> {
    trace.notable().find_map(says)
}

/// A guest that told more than a run takes: it is at fault on any host.
fn flooded(event: &Event) -> Option<String> {
    match &event.what {
        What::Host(Host::Flooded { text, .. }) => Some(format!("the guest flooded the run: {text}")),
        _ => None,
    }
}

fn release(trace: &Trace) -> Option<&str> {
    trace.notable().find_map(|event| match &event.what {
        What::Guest(Message::Hello { release, .. }) => Some(release.as_str()),
        _ => None,
    })
}
