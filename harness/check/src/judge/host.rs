//! What is the host's fault, and what proves that.

use imalab_wire::{End, Message};

use super::{first, release};
use crate::ending::{self, GUEST_SHUTDOWN, HOST_SIGNAL};
use crate::outcome::Outcome;
use imalab_formats::splat;
use imalab_language::finding::Run;
use imalab_language::plan::{MarkAction, Plan};
use imalab_trace::{Event, Exchange, Host, Origin, Trace, What};

/// Somebody who is not us ended QEMU or swtpm while the machine was needed, however orderly it went: whatever came after that is
/// no word on the kernel.
pub(super) fn ended_from_outside(trace: &Trace) -> Option<Run> {
    let mut tpm_may_end = false;
    for event in trace.notable() {
        match &event.what {
            What::Host(Host::EndAsked) => tpm_may_end = true,
            What::Host(Host::Exited { child, .. }) if child == "qemu" => tpm_may_end = true,
            // It is ended by us only after QEMU.
            What::Host(Host::Exited { child, status }) if child == "swtpm" && !tpm_may_end => {
                return Some(child_ended(trace, child, *status, Some("qemu")));
            }
            _ => {}
        }
    }
    let (_, reason) = ending::shutdown(trace)?;
    (reason == HOST_SIGNAL).then_some(Run::QemuKilled {})
}

/// Whether a signal ended the run: nothing else had before it. What came of it after that was our own doing.
pub(super) fn interrupted(trace: &Trace) -> bool {
    let ended = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::Interrupted) => Some(true),
        What::Host(Host::Exited { .. } | Host::Deadline { .. } | Host::Hang { .. }) => Some(false),
        _ => (infra(event).is_some() || fault(event).is_some()).then_some(false),
    });
    ended.unwrap_or(false)
}

/// A harness or surroundings that failed, or a run that came to no end: then whose fault it is.
pub(super) fn infrastructure(plan: &Plan, trace: &Trace) -> Option<(Outcome, Run)> {
    if let Some(finding) = first(trace, infra) {
        return Some((Outcome::Infra, finding));
    }
    // Nothing of the host's, so it is the guest's.
    if let Some(error) = first(trace, fault) {
        return Some((Outcome::Failed, Run::AgentError { error }));
    }
    let (by, lost) = lost(plan, trace)?;
    if let Some(finding) = was_busy(plan, trace) {
        return Some((Outcome::Infra, finding));
    }
    Some(match (by, lost) {
        (Whose::Guests, Run::AgentLost { said_hello, powered_off, .. }) => {
            let tpm_given_up = gave_up(trace);
            (Outcome::Failed, Run::AgentLost { said_hello, powered_off, tpm_given_up })
        }
        (Whose::Guests, lost) => (Outcome::Failed, lost),
        (Whose::Hosts, lost) => (Outcome::Infra, lost),
    })
}

fn infra(event: &Event) -> Option<Run> {
    match &event.what {
        What::Host(Host::BadFrame { text }) => Some(Run::BadFrame { error: text.clone() }),
        What::Host(Host::TpmTrouble { text }) => Some(Run::TpmTrouble { error: text.clone() }),
        What::Host(Host::Trouble { text }) => Some(Run::Trouble { error: text.clone() }),
        _ => None,
    }
}

/// What the agent could not do in the guest.
pub(super) fn fault(event: &Event) -> Option<String> {
    match &event.what {
        What::Guest(Message::Fault { text }) => Some(text.clone()),
        _ => None,
    }
}

/// A line by which the kernel says that it waited in vain for its TPM, or for something else that the host may have kept from it.
struct Complaint<'a> {
    event: &'a Event,
    line: &'a str,
}

/// A guest whose kernel gave the TPM up at boot (`-ETIME` of the driver's probe), or waited in vain for an answer
/// (`tpm_try_transmit`, `drivers/char/tpm/tpm-interface.c`). It may get over that: the TPM carries the command out, only later.
fn tpm_complaints(trace: &Trace) -> impl Iterator<Item = Complaint<'_>> {
    trace.notable().filter_map(|event| match &event.what {
        What::Console(line) if gives_up(line) || line.contains("tpm tpm0: Operation Timed out") => {
            Some(Complaint { event, line })
        }
        _ => None,
    })
}

fn gives_up(line: &str) -> bool {
    line.contains("tpm_tis") && line.contains("failed with error -62")
}

/// Why the host is to blame for what the kernel complains of, as it was measured.
pub(super) fn was_busy(plan: &Plan, trace: &Trace) -> Option<Run> {
    let of_tpm = || {
        // What the plan does to commands makes them time out.
        let asked = plan.marks.iter().any(|mark| matches!(mark.does, MarkAction::Arm(_) | MarkAction::Hold));
        let mut complaints = tpm_complaints(trace).filter(|_| !asked);
        complaints.find_map(|complaint| {
            let line = complaint.line.to_owned();
            if let Some(kept) = kept(trace, complaint.event) {
                return Some(kept.with(line));
            }
            let answer_ms = Some(late(trace, complaint.event)?);
            Some(Run::HostBusy { line, waited_ms: None, within_ms: None, answer_ms })
        })
    };
    of_tpm().or_else(|| {
        let stall = |line: &str| splat::recognise(line).is_some_and(splat::Kind::is_stall);
        trace.notable().find_map(|event| {
            let What::Console(line) = &event.what else { return None };
            let kept = stall(line).then(|| kept(trace, event)).flatten()?;
            Some(kept.with(line.clone()))
        })
    })
}

/// What was measured when the line came: the host is guilty when it kept the guest waiting half of the time or more.
fn kept(trace: &Trace, line: &Event) -> Option<Kept> {
    let after = trace.notable().skip_while(|event| event.seq <= line.seq);
    // Noted right after the line, but for what came to the stream in between.
    let (longest_ms, within_ms) = after.take(NEAR).find_map(|event| match event.what {
        What::Host(Host::Kept { longest_ms, within_ms }) => Some((longest_ms, within_ms)),
        _ => None,
    })?;
    (longest_ms >= LATE_MS && longest_ms.saturating_mul(2) >= within_ms)
        .then_some(Kept { longest_ms, within_ms })
}

/// The longest that QEMU, swtpm or imalab waited for a processor, and within how long.
struct Kept {
    longest_ms: u64,
    within_ms: u64,
}

impl Kept {
    /// As the reason for a line of the console.
    fn with(self, line: String) -> Run {
        let (waited_ms, within_ms) = (Some(self.longest_ms), Some(self.within_ms));
        Run::HostBusy { line, waited_ms, within_ms, answer_ms: None }
    }
}

/// How long the answer to a command of the guest took that was late between the line and what came before it, milliseconds.
fn late(trace: &Trace, line: &Event) -> Option<u64> {
    let took = |exchange: &Exchange| exchange.end_ns.saturating_sub(exchange.begin_ns) / 1_000_000;
    let is_it = |exchange: &Exchange| {
        exchange.origin == Origin::Guest
            && took(exchange) >= LATE_MS
            && exchange.begin_ns <= line.at_ns
            && line.at_ns <= exchange.end_ns.saturating_add(SOON_NS)
    };
    trace.iter().flatten().find_map(|seen| match &seen.event().what {
        What::Tpm(exchange) if is_it(exchange) => Some(took(exchange)),
        _ => None,
    })
}

/// The shortest time that a kernel waits for its TPM (`TPM2_TIMEOUT_A`, `TIS_SHORT_TIMEOUT`, `drivers/char/tpm`), less
/// what the clocks of guest and host may differ by.
const LATE_MS: u64 = 700;
/// How soon a kernel that waited in vain complains of it.
const SOON_NS: u64 = 5_000_000_000;
/// Notable events among which the measure of a line stands.
const NEAR: usize = 4;

/// The line by which a guest gave its TPM up, where nothing that was measured says that the host was why.
pub(super) fn gave_up(trace: &Trace) -> Option<String> {
    let complaint = tpm_complaints(trace).find(|complaint| gives_up(complaint.line))?;
    Some(complaint.line.to_owned())
}

/// A child that ended, with what it said then.
fn child_ended(trace: &Trace, child: &str, status: i32, needed_by: Option<&str>) -> Run {
    let said = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::LastWords { child: of, text }) if of == child => Some(text),
        _ => None,
    });
    let lines = said.into_iter().flat_map(|text| text.lines()).map(|line| line.trim().to_owned());
    Run::ChildEnded {
        child: child.to_owned(),
        status,
        needed_by: needed_by.map(str::to_owned),
        last_words: lines.collect(),
    }
}

/// Whose fault it is that a run came to no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Guests,
    Hosts,
}

/// A run that ended before its end: a child that died, or an agent that was lost.
fn lost(plan: &Plan, trace: &Trace) -> Option<(Whose, Run)> {
    let done = trace.notable().position(|event| matches!(event.what, What::Guest(Message::Done { .. })));
    let off = matches!(ending::shutdown(trace), Some((_, GUEST_SHUTDOWN)));
    // A shell ends when its user is done with it, however that is.
    let own = plan.program.end == End::Shell || off;
    for (at, event) in trace.notable().enumerate() {
        let What::Host(Host::Exited { child, status }) = &event.what else { continue };
        match done {
            // What the guest did itself is told below.
            None if off && *status == 0 => {}
            None => return Some((Whose::Hosts, child_ended(trace, child, *status, Some("guest")))),
            // Each source of events has a thread of its own: on a busy host a child's orderly end can be told before the
            // last messages of the guest that it waited for.
            Some(done) if at < done && !(own && *status == 0) => {
                return Some((Whose::Hosts, child_ended(trace, child, *status, Some("guest"))));
            }
            Some(_) if !own && *status != 0 => {
                return Some((Whose::Hosts, child_ended(trace, child, *status, None)));
            }
            Some(_) => {}
        }
    }
    if done.is_some() || plan.program.end == End::Shell {
        return None;
    }
    let said_hello = release(trace).is_some();
    let lost = Run::AgentLost { said_hello, powered_off: off, tpm_given_up: None };
    Some((if off { Whose::Guests } else { Whose::Hosts }, lost))
}
