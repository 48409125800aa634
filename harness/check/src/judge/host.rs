//! What is the host's fault, and what proves that.

use imalab_wire::{End, Message};

use super::{first, release};
use crate::ending::{self, GUEST_SHUTDOWN, HOST_SIGNAL};
use crate::outcome::Outcome;
use imalab_formats::splat;
use imalab_language::plan::{MarkDeed, Plan};
use imalab_trace::{Event, Exchange, Host, Origin, Trace, What};

/// Somebody who is not us ended QEMU or swtpm while the machine was needed, however orderly it went: whatever came after that is
/// no word on the kernel.
pub(super) fn ended_from_outside(trace: &Trace) -> Option<String> {
    let mut tpm_may_end = false;
    for event in trace.notable() {
        match &event.what {
            What::Host(Host::EndAsked) => tpm_may_end = true,
            What::Host(Host::Exited { child, .. }) if child == "qemu" => tpm_may_end = true,
            // It is ended by us only after QEMU.
            What::Host(Host::Exited { child, status }) if child == "swtpm" && !tpm_may_end => {
                let words = last_words(trace, child);
                return Some(format!("swtpm ended with status {status} before QEMU was done with it{words}"));
            }
            _ => {}
        }
    }
    let (_, reason) = ending::shutdown(trace)?;
    (reason == HOST_SIGNAL).then(|| "qemu was ended by a signal from outside".to_owned())
}

/// Whether a signal ended the run: nothing else had before it. What came of it after that was our own doing.
pub(super) fn interrupted(trace: &Trace) -> bool {
    let ended = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::Interrupted) => Some(true),
        What::Host(Host::Exited { .. } | Host::Deadline { .. } | Host::Hang { .. }) => Some(false),
        _ => infra(event).or_else(|| fault(event)).map(|_| false),
    });
    ended.unwrap_or(false)
}

/// A harness or surroundings that failed, or a run that came to no end: then whose fault it is.
pub(super) fn infrastructure(plan: &Plan, trace: &Trace) -> Option<(Outcome, String)> {
    if let Some(reason) = first(trace, infra) {
        return Some((Outcome::Infra, reason));
    }
    // Nothing of the host's, so it is the guest's.
    if let Some(reason) = first(trace, fault) {
        return Some((Outcome::Failed, reason));
    }
    let (by, lost) = lost(plan, trace)?;
    if let Some(reason) = was_busy(plan, trace) {
        return Some((Outcome::Infra, reason));
    }
    Some(match (by, gave_up(trace)) {
        (Whose::Guests, Some(reason)) => (Outcome::Failed, format!("{reason}; {lost}")),
        (Whose::Guests, None) => (Outcome::Failed, lost),
        (Whose::Hosts, _) => (Outcome::Infra, lost),
    })
}

fn infra(event: &Event) -> Option<String> {
    match &event.what {
        What::Host(Host::BadFrame { text }) => Some(format!("the agent's stream cannot be decoded: {text}")),
        What::Host(Host::TpmTrouble { text }) => Some(format!("TPM: {text}")),
        What::Host(Host::Trouble { text }) => Some(text.clone()),
        _ => None,
    }
}

/// What the agent could not do in the guest.
pub(super) fn fault(event: &Event) -> Option<String> {
    match &event.what {
        What::Guest(Message::Fault { text }) => Some(format!("agent: {text}")),
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
pub(super) fn was_busy(plan: &Plan, trace: &Trace) -> Option<String> {
    let of_tpm = || {
        // What the plan does to commands makes them time out.
        let asked = plan.marks.iter().any(|mark| matches!(mark.does, MarkDeed::Arm(_) | MarkDeed::Hold));
        let mut complaints = tpm_complaints(trace).filter(|_| !asked);
        complaints.find_map(|complaint| {
            let proof = kept(trace, complaint.event).or_else(|| late(trace, complaint.event))?;
            Some(format!(
                "the host was too busy: the guest waited in vain for its TPM ({}); {proof}",
                complaint.line
            ))
        })
    };
    of_tpm().or_else(|| {
        let stall = |line: &str| splat::recognise(line).is_some_and(splat::Kind::is_stall);
        trace.notable().find_map(|event| {
            let What::Console(line) = &event.what else { return None };
            let proof = stall(line).then(|| kept(trace, event)).flatten()?;
            Some(format!("the host was too busy: the kernel told of a stall ({line}); {proof}"))
        })
    })
}

/// What was measured when the line came: the host is guilty when it kept the guest waiting half of the time or more.
fn kept(trace: &Trace, line: &Event) -> Option<String> {
    let after = trace.notable().skip_while(|event| event.seq <= line.seq);
    // Noted right after the line, but for what came to the stream in between.
    let (longest_ms, within_ms) = after.take(NEAR).find_map(|event| match event.what {
        What::Host(Host::Kept { longest_ms, within_ms }) => Some((longest_ms, within_ms)),
        _ => None,
    })?;
    (longest_ms >= LATE_MS && longest_ms.saturating_mul(2) >= within_ms)
        .then(|| format!("QEMU, swtpm or imalab waited {longest_ms} ms of {within_ms} ms for a processor"))
}

/// A command of the guest to which the answer was that late, between the line and what came before it.
fn late(trace: &Trace, line: &Event) -> Option<String> {
    let took = |exchange: &Exchange| exchange.end_ns.saturating_sub(exchange.begin_ns) / 1_000_000;
    let is_it = |exchange: &Exchange| {
        exchange.origin == Origin::Guest
            && took(exchange) >= LATE_MS
            && exchange.begin_ns <= line.at_ns
            && line.at_ns <= exchange.end_ns.saturating_add(SOON_NS)
    };
    let ms = trace.iter().flatten().find_map(|seen| match &seen.event().what {
        What::Tpm(exchange) if is_it(exchange) => Some(took(exchange)),
        _ => None,
    })?;
    Some(format!("swtpm took {ms} ms for an answer"))
}

/// The shortest time that a kernel waits for its TPM (`TPM2_TIMEOUT_A`, `TIS_SHORT_TIMEOUT`, `drivers/char/tpm`), less
/// what the clocks of guest and host may differ by.
const LATE_MS: u64 = 700;
/// How soon a kernel that waited in vain complains of it.
const SOON_NS: u64 = 5_000_000_000;
/// Notable events among which the measure of a line stands.
const NEAR: usize = 4;

/// A guest that gave its TPM up, or waited in vain, and nothing that was measured says that the host was why.
pub(super) fn gave_up(trace: &Trace) -> Option<String> {
    let complaint = tpm_complaints(trace).find(|complaint| gives_up(complaint.line))?;
    Some(format!(
        "the kernel gave its TPM up ({}), and nothing that was measured of the host says why",
        complaint.line
    ))
}

/// What a child that failed said at its end, as a reason goes on.
fn last_words(trace: &Trace, child: &str) -> String {
    let said = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::LastWords { child: of, text }) if of == child => Some(text),
        _ => None,
    });
    let lines: Vec<&str> = said.into_iter().flat_map(|text| text.lines()).map(str::trim).collect();
    if lines.is_empty() { String::new() } else { format!(", its last words: {}", lines.join(" / ")) }
}

/// Whose fault it is that a run came to no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Guests,
    Hosts,
}

/// A run that ended before its end: a child that died, or an agent that was lost.
fn lost(plan: &Plan, trace: &Trace) -> Option<(Whose, String)> {
    let done = trace.notable().position(|event| matches!(event.what, What::Guest(Message::Done { .. })));
    let off = matches!(ending::shutdown(trace), Some((_, GUEST_SHUTDOWN)));
    // A shell ends when its user is done with it, however that is.
    let own = plan.program.end == End::Shell || off;
    for (at, event) in trace.notable().enumerate() {
        let What::Host(Host::Exited { child, status }) = &event.what else { continue };
        let words = last_words(trace, child);
        match done {
            // What the guest did itself is told below.
            None if off && *status == 0 => {}
            None => {
                return Some((
                    Whose::Hosts,
                    format!("{child} ended with status {status} before the guest was done{words}"),
                ));
            }
            // Each source of events has a thread of its own: on a busy host a child's orderly end can be told before the
            // last messages of the guest that it waited for.
            Some(done) if at < done && !(own && *status == 0) => {
                return Some((
                    Whose::Hosts,
                    format!("{child} ended with status {status} before the guest was done{words}"),
                ));
            }
            Some(_) if !own && *status != 0 => {
                return Some((Whose::Hosts, format!("{child} ended with status {status}{words}")));
            }
            Some(_) => {}
        }
    }
    if done.is_some() || plan.program.end == End::Shell {
        return None;
    }
    let told = match release(trace) {
        Some(_) => "the agent's last message never came",
        None => "the agent never said hello",
    };
    Some(if off {
        (Whose::Guests, format!("{told}, and the guest powered itself off"))
    } else {
        (Whose::Hosts, told.to_owned())
    })
}
