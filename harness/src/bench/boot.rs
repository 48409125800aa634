//! How long a whole machine takes to the agent's first message, beside a bare QEMU.
//!
//! Both get the same kernel, archive, machine and command line, built by the same function. The bare one's PID 1 is
//! the same agent, told to power off by a word behind `--`: it does so before it mounts or prints anything, and
//! unpacking the archive costs the kernel the same in both.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use imalab_wire::{End, Message, POWER_OFF_ARGUMENT, Program, Setup};
use serde::Serialize;

use super::figures::Figures;
use imalab_formats::ima::Bank;
use imalab_language::plan::{Budget, Interface, Parameters, Plan, Shape};
use imalab_machine::child::{self, Child, ChildError, Exit};
use imalab_machine::command::{Endpoint, Endpoints, argv};
use imalab_machine::tpm::swtpm::{self, LaunchError};
use imalab_run::{GuestError, RunContext, RunError, ScratchError, machine_spec};
use imalab_trace::{Host, Trace, What};

/// How long a bare machine may take, on a host as loaded as they get.
const PATIENCE: Duration = Duration::from_secs(120);

/// The machines' size: that of most scenarios.
const CPUS: u8 = 2;
const MEMORY_MIB: u32 = 256;

/// One boot of each kind, one after the other. Times are milliseconds of the host, from the moment at which QEMU's
/// program was running.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BootRound {
    /// imalab: to the agent's first message.
    pub imalab: f64,
    /// Bare QEMU with a plain swtpm: to QEMU's end.
    pub bare: f64,
    /// Bare QEMU without a TPM: to QEMU's end.
    pub bare_without_tpm: f64,
    /// imalab: what comes before QEMU, which is swtpm and its banks.
    pub before_qemu: f64,
    /// imalab: from the first process until the last one is gone.
    pub whole: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Boot {
    /// In order.
    pub rounds: Vec<BootRound>,
    /// imalab's time divided by the bare machine's, round by round.
    pub ratio: Figures,
    /// The same against the machine without a TPM.
    pub ratio_without_tpm: Figures,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// No machine of the harness.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its program cannot be written.
    #[error(transparent)]
    Program(#[from] GuestError),
    /// No folder.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A program could not be started.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// swtpm could not be prepared.
    #[error(transparent)]
    Swtpm(#[from] LaunchError),
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The agent did not come to its end.
    #[error("the agent did not boot and end: {}", console.join("\n"))]
    NoAgent {
        /// Last lines of the console.
        console: Vec<String>,
    },
    /// A bare machine ended otherwise than by its guest's power-off.
    #[error("bare QEMU did not end by itself with code 0 but with {}: {output}", exit.map_or("nothing".to_owned(), |exit| exit.to_string()))]
    Bare {
        /// How it ended, if it did.
        exit: Option<Exit>,
        /// QEMU's last words, then the console.
        output: String,
    },
    /// A bare machine's agent did more than to power off.
    #[error("the image's agent does not know the argument `{POWER_OFF_ARGUMENT}`: it is of another version")]
    AgentSpoke,
    /// No round was asked for.
    #[error("expected at least one round")]
    NoRound,
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Boots each kind of machine so many `rounds`, by turns, and tells `each` of every round.
///
/// # Errors
/// [`BootError`]; nothing is left running.
pub fn boot(
    context: RunContext<'_>,
    rounds: usize,
    mut each: impl FnMut(usize, &BootRound),
) -> Result<Boot, BootError> {
    let mut done = Vec::new();
    for number in 1..=rounds {
        let (imalab, before_qemu, whole) = with_imalab(context)?;
        let round = BootRound {
            imalab,
            bare: bare(context, true)?,
            bare_without_tpm: bare(context, false)?,
            before_qemu,
            whole,
        };
        each(number, &round);
        done.push(round);
    }
    let ratio = |bare: fn(&BootRound) -> f64| {
        Figures::of(done.iter().map(|round| round.imalab / bare(round))).ok_or(BootError::NoRound)
    };
    let (with, without) = (ratio(|round| round.bare)?, ratio(|round| round.bare_without_tpm)?);
    Ok(Boot { rounds: done, ratio: with, ratio_without_tpm: without })
}

fn with_imalab(context: RunContext<'_>) -> Result<(f64, f64, f64), BootError> {
    let ran = imalab_run::run(&plan(), context)?;
    if context.interrupts.seen() {
        return Err(BootError::Interrupted);
    }
    let trace = &ran.trace;
    let spawned =
        at(trace, |what| matches!(what, What::Host(Host::Spawned { child, .. }) if child == "qemu"));
    let hello = at(trace, |what| matches!(what, What::Guest(Message::Hello { .. })));
    let done = at(trace, |what| matches!(what, What::Guest(Message::Done { .. })));
    match (spawned, hello, done) {
        (Some(spawned), Some(hello), Some(_)) => Ok((hello - spawned, spawned, ms(ran.wall))),
        _ => Err(BootError::NoAgent { console: imalab_run::console_tail(trace) }),
    }
}

/// Milliseconds from the run's beginning to the first such event.
fn at(trace: &Trace, wanted: impl Fn(&What) -> bool) -> Option<f64> {
    trace.notable().find(|event| wanted(&event.what)).map(|event| event.at_ns as f64 / 1e6)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A program that does nothing.
fn program() -> Program {
    Program { token: 1, setup: Setup::default(), tasks: Vec::new(), finally: Vec::new(), end: End::PowerOff }
}

/// The machine of both. A new swtpm has all of its banks active, so the bare machine's kernel extends the same.
fn shape() -> Shape {
    Shape { cpus: CPUS, memory_mib: MEMORY_MIB, banks: Bank::ALL.to_vec(), kernel_args: Vec::new() }
}

fn plan() -> Plan {
    Plan {
        scenario: "bench".to_owned(),
        summary: "Boots and powers off.".to_owned(),
        parameters: Parameters::new(),
        seed: 0,
        interface: Interface::READ_ONLY,
        seen: Default::default(),
        machine: shape(),
        hash_table: true,
        stock: true,
        program: program(),
        steps: Vec::new(),
        marks: Vec::new(),
        budget: Budget { silence_s: 30, total_s: 60 },
        holds: Vec::new(),
        known_defect: None,
        known_limit: None,
        kernel_says: Vec::new(),
    }
}

/// Boots QEMU alone, with files where the harness would listen; milliseconds to its end.
fn bare(context: RunContext<'_>, tpm: bool) -> Result<f64, BootError> {
    let folder = context.scratch.folder()?;
    let path = |name: &str| folder.path().join(name);
    let program = imalab_run::write_program(folder.path(), &program())?;
    let (swtpm, control) = if tpm {
        let (child, control) = plain_swtpm(context.swtpm, &path("tpm"))?;
        (Some(child), Some(control))
    } else {
        (None, None)
    };
    let endpoints = Endpoints {
        qmp: Endpoint::File(path("qmp")),
        agent: Endpoint::File(path("agent")),
        console: Endpoint::File(path("console")),
        tpm: control.as_ref().map(|control| Endpoint::Fd(control.as_raw_fd())),
    };
    let kernel_args = vec!["--".to_owned(), POWER_OFF_ARGUMENT.to_owned()];
    let shape = Shape { kernel_args, ..shape() };
    let spec = machine_spec(context, &shape, context.initramfs.to_owned(), Some(program));
    let mut command = Command::new(context.qemu);
    command.args(argv(&spec, &endpoints));
    let qemu = child::spawn(command, control.into_iter().collect())?;
    let begin = Instant::now();
    let exit = qemu.wait(PATIENCE);
    let took = ms(begin.elapsed());
    drop(swtpm);
    if context.interrupts.seen() {
        return Err(BootError::Interrupted);
    }
    let console = fs::read(path("console")).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    // What it must not be is a machine whose agent did its usual work.
    if fs::metadata(path("agent")).is_ok_and(|file| file.len() > 0) {
        return Err(BootError::AgentSpoke);
    }
    // A kernel that panics ends QEMU with the same code (`-no-reboot`), and is no power-off.
    if exit != Some(Exit::Code(0)) || console.contains("Kernel panic") {
        return Err(BootError::Bare { exit, output: format!("{}\n{console}", qemu.output()) });
    }
    Ok(took)
}

/// A swtpm that QEMU talks to without the tap between them.
fn plain_swtpm(program: &Path, state: &Path) -> Result<(Child, OwnedFd), BootError> {
    fs::create_dir(state).map_err(|source| BootError::File { path: state.to_owned(), source })?;
    let launch = swtpm::prepare(program, state)?;
    let child = child::spawn(launch.command, launch.inherit)?;
    Ok((child, launch.control.into()))
}

impl Boot {
    /// A table: median, least, greatest.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<44} {:>9} {:>9} {:>9}", "", "median", "least", "greatest")];
        let mut row = |title: &str, of: fn(&BootRound) -> f64| {
            if let Some(figures) = Figures::of(self.rounds.iter().map(of)) {
                lines.push(format!("{title:<44} {figures:.0}"));
            }
        };
        row("imalab, to the agent's first message, ms", |round| round.imalab);
        row("bare QEMU with swtpm, to its end, ms", |round| round.bare);
        row("bare QEMU without a TPM, to its end, ms", |round| round.bare_without_tpm);
        row("imalab, before QEMU (swtpm, banks), ms", |round| round.before_qemu);
        row("imalab, first process to last one's end, ms", |round| round.whole);
        let mut ratio = |title: &str, figures: &Figures| lines.push(format!("{title:<44} {figures:.2}"));
        ratio("imalab / bare with swtpm, pair by pair", &self.ratio);
        ratio("imalab / bare without a TPM, pair by pair", &self.ratio_without_tpm);
        lines
    }
}
