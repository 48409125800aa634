//! A guest: a machine with its TPM and its agent. Here and nowhere else one is started and ended.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imalab_wire::Program;
use imalab_wire::frame::{TooLong, encode_program};
use tempfile::TempDir;

use super::context::RunContext;
use super::lane::{self, NoReport, SeededError};
use super::scratch::ScratchError;
use super::tpm::{Tpm, TpmError};
use imalab_language::plan::{Mark, Shape};
use imalab_machine::child::{ChildError, Exit, output_suffix};
use imalab_machine::command::MachineSpec;
use imalab_machine::guest;
use imalab_machine::tpm::tap::Admit;
use imalab_machine::{Console, Machine, Start, StartError, Stopped};
use imalab_schedule::Report;
use imalab_trace::{Narrow, Sender};

/// How a guest comes to the agent's first message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boot {
    /// Its kernel boots from its image.
    #[default]
    Cold,
}

/// What a guest is started for.
#[derive(Debug)]
pub struct GuestSpec<'a> {
    /// The machine.
    pub shape: &'a Shape,
    /// Archive that the machine starts from.
    pub initramfs: PathBuf,
    /// What the agent does.
    pub program: &'a Program,
    /// What the harness does at the program's marks.
    pub marks: &'a [Mark],
    /// Whether the guest may go on in another kernel.
    pub kexecs: bool,
    /// Who may use the TPM from outside of the guest.
    pub admit: Admit,
    /// QEMU's end of the console, where somebody sits at it; else the console goes to a log and to the events.
    pub console: Option<UnixStream>,
    /// How it comes to the agent's first message.
    pub boot: Boot,
}

/// Why there is no guest. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// No folder for it.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// Nothing for the deterministic lane.
    #[error(transparent)]
    Lane(#[from] SeededError),
    /// Its program cannot be encoded.
    #[error("the program cannot be encoded")]
    Program(#[from] TooLong),
    /// Its program could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No TPM.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// No machine, since its TPM went away.
    #[error("swtpm ended ({exit}) while QEMU started{}", output_suffix(.output))]
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

impl GuestError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            GuestError::Start(error) => error.hint(),
            GuestError::Tpm(TpmError::Child(ChildError::Missing { .. })) => {
                Some("`cargo xtask doctor --yes` installs what is missing")
            }
            _ => None,
        }
    }
}

/// How long QEMU may take to answer at its start, on a host as loaded as they get.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A guest that runs. Dropping it kills QEMU and swtpm and waits for their deaths.
pub struct Guest {
    /// Dropped before the TPM: its threads must not wait for events to be taken while it waits for them.
    narrow: Option<Narrow>,
    machine: Machine,
    agent: JoinHandle<()>,
    tpm: Tpm,
    console_log: PathBuf,
    seeded: bool,
    folder: TempDir,
}

/// How a guest ended.
pub struct GuestEnded {
    /// QEMU's end.
    pub qemu: Stopped,
    /// How swtpm ended, if it did before it was told to.
    pub swtpm: Option<Exit>,
    /// The last that swtpm printed.
    pub swtpm_output: String,
    /// Command lines of swtpm and QEMU, a word each.
    pub commands: Vec<Vec<String>>,
    /// Its console's log, which goes with `folder`.
    pub console_log: PathBuf,
    /// In the deterministic lane, its schedule.
    pub schedule: Option<Result<Report, NoReport>>,
    /// Its files; removed when dropped.
    pub folder: TempDir,
}

/// The machine of `shape` in this context: what QEMU's command line is made from, for whatever it is started.
pub fn machine_spec(
    context: RunContext<'_>,
    shape: &Shape,
    initramfs: PathBuf,
    program: Option<PathBuf>,
) -> MachineSpec {
    MachineSpec {
        cpus: shape.cpus.into(),
        memory_mib: shape.memory_mib,
        accel: context.accel,
        tsc_mhz: context.accel.tsc_mhz(),
        kernel: context.kernel.to_owned(),
        initramfs,
        kernel_args: shape.kernel_args.clone(),
        program,
        deterministic: None,
    }
}

/// Writes what the agent does to `folder`, and gives back the file.
///
/// # Errors
/// When it is too long, or cannot be written.
pub fn write_program(folder: &Path, program: &Program) -> Result<PathBuf, GuestError> {
    let path = folder.join("program");
    fs::write(&path, encode_program(program)?)
        .map_err(|source| GuestError::Write { path: path.clone(), source })?;
    Ok(path)
}

impl Guest {
    /// Starts swtpm with the tap before it, then QEMU, and listens to the agent. `events` gets all that is observed, in
    /// times since `epoch`; `narrow` is of their receiver. `spawned` is called when QEMU has begun, as [`Machine::start`]
    /// does.
    ///
    /// # Errors
    /// [`GuestError`]; no process is left then.
    pub fn start(
        spec: GuestSpec<'_>,
        context: RunContext<'_>,
        epoch: Instant,
        events: &Sender,
        narrow: Narrow,
        spawned: impl FnOnce(),
    ) -> Result<Guest, GuestError> {
        let folder = context.scratch.folder()?;
        let program = write_program(folder.path(), spec.program)?;
        let console_log = folder.path().join("console.log");
        let (tpm, chardev) = Tpm::start(
            context.swtpm,
            folder.path(),
            &spec.shape.banks,
            spec.marks,
            epoch,
            events,
            spec.admit,
        )?;
        // Declared after the TPM, so that it is dropped before it when the machine does not start.
        let narrow = narrow;
        let Boot::Cold = spec.boot;
        let seeded = context.seeded.map(|seeded| seeded.prepare(context.kernel, folder.path()));
        let machine = MachineSpec {
            deterministic: seeded.transpose()?,
            ..machine_spec(context, spec.shape, spec.initramfs, Some(program))
        };
        let start = Start {
            spec: &machine,
            qemu: context.qemu.to_owned(),
            tpm: Some(chardev),
            console: spec.console.map_or_else(|| Console::Log(console_log.clone()), Console::Socket),
            patience: START_PATIENCE,
        };
        let (machine, agent) =
            Machine::start(start, events, spawned).map_err(|source| match tpm.ended() {
                // That it ends by itself, with 0, is because QEMU has ended.
                Some(exit) if exit != Exit::Code(0) => {
                    GuestError::TpmGone { exit, output: tpm.output(), source: Box::new(source) }
                }
                _ => GuestError::Start(source),
            })?;
        let agent = guest::listen(agent, spec.kexecs, events.clone()).map_err(GuestError::Thread)?;
        let seeded = context.seeded.is_some();
        Ok(Guest { narrow: Some(narrow), machine, agent, tpm, console_log, seeded, folder })
    }

    /// Its machine.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Its TPM.
    pub fn tpm(&self) -> &Tpm {
        &self.tpm
    }

    /// QEMU's process.
    pub fn pid(&self) -> u32 {
        self.machine.pid()
    }

    /// Ends QEMU and swtpm, and waits for the last of their events.
    pub fn stop(mut self) -> GuestEnded {
        let qemu = self.machine.stop();
        self.narrow = None;
        let (swtpm, swtpm_output) = (self.tpm.ended(), self.tpm.output());
        // The agent's channel ended with QEMU; a panic of ours was already printed by its thread.
        let _ = self.agent.join();
        let commands = vec![self.tpm.command().to_vec(), self.machine.command().to_vec()];
        self.tpm.stop();
        let (console_log, folder) = (self.console_log, self.folder);
        let schedule = self.seeded.then(|| lane::report(folder.path()));
        GuestEnded { qemu, swtpm, swtpm_output, commands, console_log, schedule, folder }
    }
}
