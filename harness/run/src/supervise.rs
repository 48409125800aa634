//! Takes a run's events until its machine has ended, or must be ended.

use std::time::{Duration, Instant};

use imalab_wire::Message;

use super::stream::Stream;
use super::tpm::Tpm;
use imalab_formats::splat;
use imalab_machine::deadline::{Budget, Deadline, Progress};
use imalab_machine::host_delay::{self, DelaySampler, HostDelay, INTERVAL};
use imalab_trace::{Host, What};

/// Less than that of a processor's time, and a machine is given up.
const WORTH_WAITING: Duration = Duration::from_secs(1);

/// How long QEMU may take to end after the agent's last message, before scaling.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// How far back it is looked whether the host let a guest wait whose kernel tells of a hang: the shortest of the kernel's
/// limits (`KERNEL_ARGS`).
const STALL: Duration = Duration::from_secs(30);

/// No command takes swtpm so long, on a host as loaded as they get; most take some milliseconds.
const OVERDUE: Duration = Duration::from_secs(10);

/// How long a kernel may take for its report of a hang. It is printed at once, some lines of it.
const REPORT: Duration = Duration::from_secs(2);

/// Why events are no longer taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The machine has ended, or nothing that it does is needed.
    Over,
    /// A deadline has expired.
    Expired,
    /// The kernel itself says that it hangs.
    Hung,
}

/// What an event asks for.
enum Asks {
    Nothing,
    End,
    /// Whether the host let the guest wait for its TPM, which it complained of.
    TpmComplaint,
    /// Whether the kernel hangs, as it says.
    StallComplaint(String),
}

/// Takes events until the machine has ended, or must be ended.
pub(super) fn supervise(stream: &mut Stream, mut boots: u16, budget: Budget, tpm: &Tpm, qemu: u32) -> End {
    let mut deadline = Deadline::new(budget, Instant::now());
    let mut progress = Progress::default();
    let mut sampler = DelaySampler::new(vec![qemu, tpm.pid()]);
    // How much of the time that QEMU had to wait for a processor is excused already.
    let mut excused = host_delay::longest(qemu).unwrap_or_default();
    let mut answered = Instant::now();
    let mut tpm_may_end = false;
    loop {
        sampler.also(tpm.tap_thread());
        let (asked, patience) = (Instant::now(), deadline.left(Instant::now()).min(INTERVAL));
        // Whether that was the last event that is needed.
        let next = stream.next(patience, |what| {
            match what {
                What::Host(Host::EndAsked) => tpm_may_end = true,
                // It ends by itself because QEMU has, which has just not been noticed yet, nor its guest's last words.
                What::Host(Host::Exited { child, status: 0 }) if child == "swtpm" && tpm_may_end => {
                    deadline = Deadline::new(Budget { quiet: END_PATIENCE, cap: budget.cap }, Instant::now());
                }
                What::Host(Host::Exited { .. } | Host::Interrupted) => return Asks::End,
                // Nothing that comes after it can be trusted or is needed.
                What::Host(Host::BadFrame { .. } | Host::Flooded { .. }) => return Asks::End,
                // A boot that nobody asked for has no end of its own.
                What::Guest(Message::Hello { .. }) if boots == 0 => return Asks::End,
                What::Guest(Message::Hello { .. }) => boots -= 1,
                What::Guest(Message::Done { .. }) => {
                    deadline = Deadline::new(
                        Budget { quiet: END_PATIENCE.max(budget.quiet), cap: budget.cap },
                        Instant::now(),
                    );
                }
                What::Guest(Message::ReleaseHold { hold, .. }) => tpm.release(*hold),
                What::Tpm(_) => answered = Instant::now(),
                _ => {}
            }
            if progress.is_made_by(what) {
                deadline.progress(Instant::now());
            }
            match what {
                What::Console(line) if is_tpm_complaint(line) => Asks::TpmComplaint,
                What::Console(line) if splat::recognise(line).is_some_and(splat::Kind::is_stall) => {
                    Asks::StallComplaint(splat::without_prefix(line).to_owned())
                }
                _ => Asks::Nothing,
            }
        });
        let now = Instant::now();
        match next {
            Ok(Asks::End) => return End::Over,
            Ok(Asks::Nothing) => {}
            Ok(Asks::TpmComplaint) => note(stream, sampler.since(answered)),
            // A machine that a debugger stops is one whose processors stand still.
            Ok(Asks::StallComplaint(_)) if budget.cap == Duration::MAX => {}
            Ok(Asks::StallComplaint(text)) => {
                let kept = sampler.since(now.checked_sub(STALL).unwrap_or(now));
                note(stream, kept);
                if is_stuck(stream, tpm) {
                    return End::Over;
                }
                // What waits for a TPM that the plan holds does what it should.
                if !tpm.is_held() && kept.longest * 2 < kept.within {
                    stream.note(What::Host(Host::Hang { text }));
                    return if take_report(stream) { End::Over } else { End::Hung };
                }
            }
            Err(_) => {
                sampler.late(now.saturating_duration_since(asked).saturating_sub(patience));
                if let Some(expired) = deadline.expired(now) {
                    if is_stuck(stream, tpm) {
                        return End::Over;
                    }
                    let waited = host_delay::longest(qemu).unwrap_or_default();
                    let kept = waited.saturating_sub(excused);
                    if kept >= WORTH_WAITING {
                        deadline.excuse(kept);
                        excused = waited;
                    } else {
                        stream.note(What::Host(Host::Deadline { text: expired.to_string() }));
                        return End::Expired;
                    }
                }
            }
        }
        sampler.sample_if_due(now);
    }
}

/// A line by which a kernel says that its TPM did not answer in time (`tpm_try_transmit`, drivers/char/tpm/tpm-interface.c),
/// or that it gave it up for that (`-ETIME` of a driver's probe).
fn is_tpm_complaint(line: &str) -> bool {
    line.contains("Operation Timed out") || line.contains("failed with error -62")
}

/// Whether it is swtpm that does not get on, which is told then.
fn is_stuck(stream: &mut Stream, tpm: &Tpm) -> bool {
    let Some(owed) = tpm.owed().filter(|owed| *owed >= OVERDUE) else { return false };
    let text = format!("swtpm owes the answer to a command since {:.0} s", owed.as_secs_f64());
    stream.note(What::Host(Host::TpmTrouble { text }));
    true
}

fn note(stream: &mut Stream, delay: HostDelay) {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    stream.note(What::Host(Host::Kept { longest_ms: ms(delay.longest), within_ms: ms(delay.within) }));
}

/// Takes the rest of a report; whether the machine has ended meanwhile.
fn take_report(stream: &mut Stream) -> bool {
    let until = Instant::now() + REPORT;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match stream.next(left, |what| matches!(what, What::Host(Host::Exited { .. }))) {
            Ok(true) => return true,
            Ok(false) if !left.is_zero() => {}
            Ok(false) | Err(_) => return false,
        }
    }
}

/// How long a kernel may say nothing while it tells what its tasks wait for.
const DUMP_QUIET: Duration = Duration::from_secs(5);
/// How long it may take in all: under TCG a thousand lines take some seconds.
const DUMP: Duration = Duration::from_secs(30);

/// Takes what the kernel says after the NMI, until it has ended, says nothing more or goes on in another kernel.
pub(super) fn take_dump(stream: &mut Stream) {
    let until = Instant::now() + DUMP;
    loop {
        let left = until.saturating_duration_since(Instant::now()).min(DUMP_QUIET);
        let over = |what: &What| {
            matches!(
                what,
                What::Host(Host::Exited { .. } | Host::Interrupted) | What::Guest(Message::Hello { .. })
            )
        };
        if left.is_zero() || stream.next(left, over) != Ok(false) {
            return;
        }
    }
}
