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

use crate::outcome::{Check, CheckResult, During, Outcome, Reason, RunResult, Unlike};
use cause::by_checks;
use imalab_language::finding::{Finding, Known, Run};
use imalab_language::plan::Plan;
use imalab_language::scenario::{KnownLimit, Showing};
use imalab_trace::{Event, Host, Trace, What};

/// An outcome and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What became of the run.
    pub outcome: Outcome,
    /// Why; none when passed, but where something known is not there.
    pub reason: Option<Reason>,
    /// The checks that it rests on, where they are others than those that were given.
    pub checks: Option<Vec<CheckResult>>,
}

impl Judgement {
    fn passed() -> Judgement {
        Judgement { outcome: Outcome::Passed, reason: None, checks: None }
    }

    /// By what the run itself shows.
    fn new(outcome: Outcome, finding: impl Into<Finding>) -> Judgement {
        Judgement { outcome, reason: Some(Reason::of(finding)), checks: None }
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
    fn without(self, known: Known) -> Judgement {
        if self.outcome != Outcome::Passed {
            return self;
        }
        Judgement { reason: Some(Reason::of(known)), ..self }
    }

    /// This, which is not what is known of the kernel.
    fn unlike(self, why: Unlike) -> Judgement {
        let reason = self.reason.map(|reason| Reason { unlike: Some(why), ..reason });
        Judgement { reason, ..self }
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
    if let (Some(death), Some(known)) = (&death, &plan.known_defect)
        && known.is_death(release, death)
    {
        return Judgement::new(Outcome::KnownDefect, Known::DefectShown { breaks: known.breaks.clone() });
    }
    let seen: Option<(Outcome, Finding)> = death
        .map(|death| (Outcome::KernelDied, death))
        .or_else(|| host::interrupted(trace).then(|| (Outcome::Interrupted, Run::Interrupted {}.into())))
        .or_else(|| first(trace, flooded).map(|finding| (Outcome::Failed, finding.into())))
        .or_else(|| host::ended_from_outside(trace).map(|finding| (Outcome::Infra, finding.into())))
        .or_else(|| first(trace, hang::unended).map(|finding| (Outcome::Infra, finding.into())))
        .or_else(|| hang::told(plan, trace).map(|finding| (Outcome::Timeout, finding.into())))
        .or_else(|| hang::silent(plan, trace).map(|finding| (Outcome::Timeout, finding.into())))
        .or_else(|| host::infrastructure(plan, trace).map(|(outcome, finding)| (outcome, finding.into())));
    if let Some((outcome, finding)) = seen {
        let between = death::is_between_kernels(plan, trace).then_some(During::BetweenKernels);
        let reason = Reason { during: between.into_iter().collect(), ..Reason::of(finding) };
        return Judgement { outcome, reason: Some(reason), checks: None };
    }
    let judged = by_what_is_known(plan, trace, release, checks, today);
    let judged = match first(trace, not_ordered) {
        Some(finding) if rests_on_order(&judged, checks) => Judgement::new(Outcome::NotOrdered, finding),
        _ => judged,
    };
    if judged.outcome != Outcome::Failed && !checks.is_empty() {
        // Where all of it was proved all the same, the kernel got over it. A probe proves nothing.
        return judged;
    }
    if let Some(finding) = host::was_busy(plan, trace) {
        return Judgement::new(Outcome::Infra, finding);
    }
    match host::gave_up(trace) {
        Some(line) => Judgement::new(Outcome::Failed, Run::TpmGivenUp { line }),
        None => judged,
    }
}

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
    let breaks = || known.breaks.clone();
    match known.judge(release, checks) {
        Showing::NotConcerned => plainly(),
        Showing::AsStated => Judgement::new(Outcome::KnownDefect, Known::DefectShown { breaks: breaks() }),
        // A fix has to be able to pass.
        Showing::Gone if !plan.stock => plainly().without(Known::DefectNotPresent { breaks: breaks() }),
        Showing::Gone => Judgement::new(Outcome::Failed, Known::DefectGone { breaks: breaks() }),
        Showing::Otherwise(why) => plainly().unlike(why),
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
    let judged = by_checks(checks);
    let why = || limit.why.clone();
    if judged.outcome == Outcome::Passed {
        return Judgement::new(Outcome::KnownLimit, Known::LimitShown { why: why() });
    }
    let unlimited = Plan { known_limit: None, ..plan.clone() };
    let checks = super::digest(&unlimited, trace).check(today);
    let gone = checks.iter().all(|check| !check.verdict.is_bad());
    if gone && !plan.stock {
        let passed = Judgement { checks: Some(checks), ..Judgement::passed() };
        return passed.without(Known::LimitNotPresent { why: why() });
    }
    if gone {
        return Judgement::new(Outcome::Failed, Known::LimitGone { why: why() });
    }
    judged.unlike(Unlike::BeyondLimit)
}

/// The first event that says it.
fn first<T>(trace: &Trace, says: impl Fn(&Event) -> Option<T>) -> Option<T> {
    trace.notable().find_map(says)
}

/// Whether it may be another when the tasks come in the order that the scenario asks for. What the steps give is expected of
/// that order; the other invariants hold in any.
fn rests_on_order(judged: &Judgement, checks: &[CheckResult]) -> bool {
    let by_steps_alone = || {
        let mut bad = checks.iter().filter(|check| check.verdict.is_bad());
        bad.all(|check| check.check == Check::Steps)
    };
    match judged.outcome {
        Outcome::Passed | Outcome::KnownLimit => true,
        Outcome::Failed => by_steps_alone(),
        _ => false,
    }
}

/// A task could not be held where the scenario asks for it.
fn not_ordered(event: &Event) -> Option<Run> {
    match &event.what {
        What::Host(Host::NotOrdered { line, task, place, until, end }) => Some(Run::NotOrdered {
            scenario_line: (*line).into(),
            task: task.clone(),
            place: place.clone(),
            awaits: until.clone(),
            held: end.clone(),
        }),
        _ => None,
    }
}

/// A guest that told more than a run takes: it is at fault on any host.
fn flooded(event: &Event) -> Option<Run> {
    match &event.what {
        What::Host(Host::Flooded { text, .. }) => Some(Run::Flooded { limit: text.clone() }),
        _ => None,
    }
}

fn release(trace: &Trace) -> Option<&str> {
    trace.notable().find_map(|event| match &event.what {
        What::Guest(Message::Hello { release, .. }) => Some(release.as_str()),
        _ => None,
    })
}
