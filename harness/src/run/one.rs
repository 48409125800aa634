//! One plan on one machine, from the first process to the last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imalab_wire::frame::encode_program;

use super::follow::{End, follow, hear_dump};
use super::interrupt::Interrupts;
use super::kernels::{self, KernelsError};
use super::scratch::{Scratch, ScratchError};
use super::stream::Stream;
use super::suite::Kernel;
use super::tpm::{Tpm, TpmError};
use imalab_language::plan::Plan;
use imalab_machine::accel::Accel;
use imalab_machine::child::{self, ChildError, Exit};
use imalab_machine::command::MachineSpec;
use imalab_machine::deadline::{Budget, Slowness};
use imalab_machine::guest;
use imalab_machine::tpm::tap::Admit;
use imalab_machine::{Machine, Start, StartError, waiting};
use imalab_trace::{Host, Trace, What};

/// What all runs of a kernel share.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// x86 boot image.
    pub kernel: &'a Path,
    /// Archive with the agent as `/init`.
    pub initramfs: &'a Path,
    /// Kernels that a guest may go on in, by the names that scenarios have for them.
    pub kernels: &'a [Kernel],
    /// Who runs the guest's code.
    pub accel: Accel,
    /// QEMU's program.
    pub qemu: &'a Path,
    /// swtpm's program.
    pub swtpm: &'a Path,
    /// Where folders that live as long as a machine are made.
    pub scratch: &'a Scratch,
    /// Signals to this process.
    pub interrupts: &'a Interrupts,
}

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
}

/// Why there was no run. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No folder for it.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A file of it could not be written or read.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No kernels to go on in.
    #[error(transparent)]
    Kernels(#[from] KernelsError),
    /// The program cannot be handed over.
    #[error("the scenario's program cannot be encoded")]
    Program(#[source] imalab_wire::frame::TooLong),
    /// No TPM.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// No machine, since its TPM went away.
    #[error("swtpm ended ({exit}) while QEMU started{}", child::told(.output))]
    TpmGone {
        /// How.
        exit: Exit,
        /// The last that it said.
        output: String,
        /// What QEMU made of it.
        source: Box<StartError>,
    },
    /// No machine.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl RunError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            RunError::Start(error) => error.hint(),
            RunError::Tpm(TpmError::Child(ChildError::Missing { .. })) => {
                Some("`cargo xtask doctor --yes` installs what is missing")
            }
            _ => None,
        }
    }
}

/// How long QEMU may take to answer at its start, on a host as loaded as they get.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Runs `plan` and returns when every process of it is gone.
///
/// # Errors
/// [`RunError`] when the machine could not be started. Whatever happens after that is in the trace.
pub fn run(plan: &Plan, site: Site<'_>) -> Result<Ran, RunError> {
    let begin = Instant::now();
    let folder = site.scratch.folder()?;
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| RunError::File { path, source }
    };
    let program = folder.path().join("program");
    let bytes = encode_program(&plan.program).map_err(RunError::Program)?;
    fs::write(&program, bytes).map_err(file(&program))?;
    let console = folder.path().join("console.log");
    let initramfs = kernels::initramfs(plan, site)?;

    // Not with the rest of the run: that may lie in memory.
    let mut stream = Stream::new(begin, &std::env::temp_dir());
    let events = stream.sender();
    let banks = &plan.machine.banks;
    // Nobody but the marks' own commands belongs between those of the guest.
    let admit = Admit::ThisProcess;
    let tpm = Tpm::start(site.swtpm, folder.path(), banks, &plan.marks, begin, &events, admit)?;
    let spec = MachineSpec {
        cpus: plan.machine.cpus.into(),
        memory_mib: plan.machine.memory_mib,
        accel: site.accel,
        tsc_mhz: site.accel.tsc_mhz(),
        kernel: site.kernel.to_owned(),
        initramfs,
        kernel_args: plan.machine.kernel_args.clone(),
        program: Some(program),
    };
    let (tpm, chardev) = tpm;
    // Dropped before the TPM on every way out: its threads must not wait for events to be taken while it waits for them.
    let narrow = stream.narrow();
    let start = Start {
        spec: &spec,
        qemu: site.qemu.to_owned(),
        tpm: Some(chardev),
        console_log: console.clone(),
        patience: START_PATIENCE,
    };
    let (mut machine, agent) =
        Machine::start(start, &events, || stream.drain()).map_err(|source| match tpm.ended() {
            // That it ends by itself, with 0, is because QEMU has ended.
            Some(exit) if exit != Exit::Code(0) => {
                RunError::TpmGone { exit, output: tpm.output(), source: Box::new(source) }
            }
            _ => RunError::Start(source),
        })?;
    let guest = guest::listen(agent, plan.kexecs(), events.clone()).map_err(RunError::Thread)?;
    site.interrupts.tell(&events);

    let pid = machine.pid();
    match follow(&mut stream, plan.boots(), budget(plan, site.accel, pid), &tpm, pid) {
        End::Over => {}
        End::Expired | End::Hung => {
            let (text, emulated) = (machine.processors(), site.accel == Accel::Tcg);
            stream.note(What::Host(Host::Processors { text, emulated }));
            // Before it is sent, so that whatever comes of it comes later.
            stream.drain();
            stream.note(What::Host(Host::NmiSent));
            if machine.interrupt() {
                hear_dump(&mut stream);
            }
        }
    }
    let stopped = machine.stop();
    if let Some(text) = stopped.console_log {
        stream.note(What::Host(Host::Trouble { text: format!("the console's log is incomplete: {text}") }));
    }
    drop(narrow);
    let (ended, forced) = (stopped.exit, stopped.forced);
    last_words(&mut stream, "qemu", (!forced).then_some(ended), &stopped.output);
    last_words(&mut stream, "swtpm", tpm.ended(), &tpm.output());
    // Its channel ended with QEMU; a panic of ours was already printed by its thread.
    let _ = guest.join();
    let commands = vec![tpm.command().to_vec(), machine.command().to_vec()];
    tpm.stop();
    stream.drain();
    // What was observed is worth more than that its copy cannot be read.
    let console = fs::read(&console).unwrap_or_else(|error| {
        let text = format!("the console's log cannot be read: {error}");
        stream.note(What::Host(Host::Trouble { text }));
        Vec::new()
    });
    Ok(Ran { trace: stream.into_trace(), wall: begin.elapsed(), commands, console })
}

/// Keeps what a child said that failed by itself: nothing else tells why.
fn last_words(stream: &mut Stream, child: &str, ended: Option<Exit>, output: &str) {
    if ended.is_some_and(|exit| exit != Exit::Code(0)) && !output.trim().is_empty() {
        let text = child::last_lines(output).join("\n");
        stream.note(What::Host(Host::LastWords { child: child.to_owned(), text }));
    }
}

fn budget(plan: &Plan, accel: Accel, qemu: u32) -> Budget {
    let load = match waiting::longest(qemu) {
        Some(_) => 1.0,
        None => {
            let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
            Slowness::host_load(&load, std::thread::available_parallelism().map_or(1, usize::from))
        }
    };
    let slowness = Slowness { accel, sanitizer: false, load };
    let seconds = |s: u32| Duration::from_secs(s.into());
    Budget { quiet: seconds(plan.budget.silence_s), cap: seconds(plan.budget.total_s) }.scaled(slowness)
}
