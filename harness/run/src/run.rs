//! One plan on one machine, from the first process to the last.

use std::fs;
use std::time::{Duration, Instant};

use super::context::RunContext;
use super::fork::{Found, Saved, one_line};
use super::guest::{Boot, Guest, GuestError, GuestSpec};
use super::kernels::{self, KernelsError};
use super::lane::{self, NoReport};
use super::own_checks;
use super::stream::Stream;
use super::supervise::{End, supervise, take_dump};
use imalab_language::plan::Plan;
use imalab_machine::accel::Accel;
use imalab_machine::child::{self, Exit};
use imalab_machine::deadline::{Budget, Slowness};
use imalab_machine::host_delay;
use imalab_machine::tpm::tap::Admit;
use imalab_schedule::Report;
use imalab_trace::{Host, Trace, What};

/// What a run leaves.
#[derive(Debug)]
pub struct Ran {
    /// All that was observed.
    pub trace: Trace,
    /// From the first process to the last.
    pub wall: Duration,
    /// Command lines of the machine, a word each.
    pub commands: Vec<Vec<String>>,
    /// The console's bytes.
    pub console: Vec<u8>,
    /// In the deterministic lane, its schedule, or why it is not known.
    pub schedule: Option<Result<Report, NoReport>>,
    /// How the machine came to its agent's first message.
    pub booted: Booted,
}

/// How a run's machine came to its agent's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booted {
    /// It went on from a saved one.
    Fork,
    /// Its kernel booted.
    Cold {
        /// Why, where there might have been a saved one.
        because: Option<String>,
    },
}

/// Why there was no run. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No kernels to go on in.
    #[error(transparent)]
    Kernels(#[from] KernelsError),
    /// No guest.
    #[error(transparent)]
    Guest(#[from] GuestError),
}

impl RunError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            RunError::Guest(error) => error.hint(),
            RunError::Kernels(_) => None,
        }
    }
}

/// Runs `plan` and returns when every process of it is gone. It goes on from a saved machine where `context` has one, which
/// is kept until [`Forks::used`](super::Forks::used) says so.
///
/// # Errors
/// [`RunError`] when the machine could not be started. Whatever happens after that is in the trace.
pub fn run(plan: &Plan, context: RunContext<'_>) -> Result<Ran, RunError> {
    let Some(forks) = context.forks else { return run_from(plan, context, Err(None)) };
    match forks.find(plan, context) {
        Found::None(because) => run_from(plan, context, Err(Some(because))),
        Found::Saved(saved) => match run_from(plan, context, Ok(&saved)) {
            Err(RunError::Guest(error)) if !context.interrupts.seen() => {
                let because = format!("a saved machine could not be gone on from: {}", one_line(&error));
                forks.give_up(because.clone());
                run_from(plan, context, Err(Some(because)))
            }
            ran => ran,
        },
    }
}

/// Runs it from this saved machine, or from its kernel's image, and why.
pub(super) fn run_from(
    plan: &Plan,
    context: RunContext<'_>,
    saved: Result<&Saved, Option<String>>,
) -> Result<Ran, RunError> {
    let begin = Instant::now();
    let epoch = saved.as_ref().map_or(begin, |saved| saved.epoch(begin));
    // Not with the rest of the run: that may lie in memory.
    let mut stream = Stream::new(epoch, &std::env::temp_dir());
    if let Ok(saved) = saved {
        stream.go_on_from(saved.events());
    }
    let events = stream.sender();
    let spec = GuestSpec {
        shape: &plan.machine,
        initramfs: kernels::initramfs(plan, context)?,
        marks: &plan.marks,
        holds: &plan.holds,
        kexecs: plan.kexecs(),
        // Nobody but the marks' own commands belongs between those of the guest.
        admit: Admit::ThisProcess,
        console: None,
        boot: saved.as_ref().map_or(Boot::Cold(&plan.program), |saved| Boot::Fork(saved, &plan.program)),
    };
    let narrow = stream.narrow();
    let mut guest = Guest::start(spec, context, epoch, &events, narrow, || stream.drain())?;
    let interrupted = events.clone();
    // A run that has ended no longer listens.
    let _listening =
        context.interrupts.on_signal(move || drop(interrupted.send(What::Host(Host::Interrupted))));

    let budget = budget(plan, context, guest.pid());
    match supervise(&mut stream, plan.boots(), budget, guest.tpm(), guest.pid()) {
        End::Over => {}
        End::Expired | End::Hung => {
            let (text, emulated) = (guest.machine().processors(), context.accel == Accel::Tcg);
            stream.note(What::Host(Host::Processors { text, emulated }));
            // Before it is sent, so that whatever comes of it comes later.
            stream.drain();
            stream.note(What::Host(Host::NmiSent));
            if guest.machine().interrupt() {
                take_dump(&mut stream);
            }
        }
    }
    let ended = guest.stop();
    if let Some(text) = ended.qemu.console_log {
        stream.note(What::Host(Host::Trouble { text: format!("the console's log is incomplete: {text}") }));
    }
    let by_itself = (!ended.qemu.forced).then_some(ended.qemu.exit);
    last_words(&mut stream, "qemu", by_itself, &ended.qemu.output);
    last_words(&mut stream, "swtpm", ended.swtpm, &ended.swtpm_output);
    stream.drain();
    if let Some(Ok(report)) = &ended.schedule {
        let told = [lane::holds(report, context.kernel), lane::not_ordered(plan, report)];
        told.into_iter().flatten().for_each(|told| stream.note(What::Host(told)));
    }
    // What was observed is worth more than that its copy cannot be read.
    let console = fs::read(&ended.console_log).unwrap_or_else(|error| {
        let text = format!("the console's log cannot be read: {error}");
        stream.note(What::Host(Host::Trouble { text }));
        Vec::new()
    });
    let booted = saved.map_or_else(|because| Booted::Cold { because }, |_| Booted::Fork);
    Ok(Ran {
        trace: stream.into_trace(),
        wall: begin.elapsed(),
        commands: ended.commands,
        console,
        schedule: ended.schedule,
        booted,
    })
}

/// A machine that somebody debugs takes as long as they do.
const ENDLESS: Budget = Budget { quiet: Duration::MAX, cap: Duration::MAX };

/// How much longer a run may take in the deterministic lane.
const SEEDED: f64 = 4.0;

/// Keeps what a child said that failed by itself: nothing else tells why.
fn last_words(stream: &mut Stream, child: &str, ended: Option<Exit>, output: &str) {
    if ended.is_some_and(|exit| exit != Exit::Code(0)) && !output.trim().is_empty() {
        let text = child::last_lines(output).join("\n");
        stream.note(What::Host(Host::LastWords { child: child.to_owned(), text }));
    }
}

fn budget(plan: &Plan, context: RunContext<'_>, qemu: u32) -> Budget {
    let load = match host_delay::longest(qemu) {
        Some(_) => 1.0,
        None => {
            let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
            Slowness::host_load(&load, std::thread::available_parallelism().map_or(1, usize::from))
        }
    };
    let slowness = Slowness { accel: context.accel, sanitizer: own_checks::are_many(context.kernel), load };
    // One thread runs all processors, and each loop in which a processor waits ends its turn.
    let scale = context.timeout_scale * if context.seeded.is_some() { SEEDED } else { 1.0 };
    // A scale that is no number, or makes a time too long to tell, changes nothing.
    let seconds =
        |s: u32| Duration::try_from_secs_f64(f64::from(s) * scale).unwrap_or(Duration::from_secs(s.into()));
    if context.debugger.is_some() {
        return ENDLESS;
    }
    Budget { quiet: seconds(plan.budget.silence_s), cap: seconds(plan.budget.total_s) }.scaled(slowness)
}
