//! A guest: a machine with its TPM and its agent. Here and nowhere else one is started and ended.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imalab_wire::frame::{TooLong, encode_program, waiting};
use imalab_wire::{Program, SEED};
use tempfile::TempDir;

use super::context::RunContext;
use super::fork::Saved;
use super::lane::{self, NoReport, Part, SeededError};
use super::scratch::ScratchError;
use super::tpm::{Tpm, TpmError};
use imalab_language::plan::{Hold, Mark, Shape};
use imalab_machine::child::{ChildError, Exit, output_suffix};
use imalab_machine::command::MachineSpec;
use imalab_machine::guest;
use imalab_machine::qmp::QmpError;
use imalab_machine::tpm::tap::Admit;
use imalab_machine::{Console, Machine, Start, StartError, State, Stopped};
use imalab_schedule::Report;
use imalab_trace::{Narrow, Sender};

/// How a guest comes to the agent's first message, and what its agent does.
#[derive(Debug)]
pub enum Boot<'a> {
    /// Its kernel boots from its image.
    Cold(&'a Program),
    /// The same, up to where the agent waits for a program.
    ToSave,
    /// It goes on where a saved one was.
    Fork(&'a Saved, &'a Program),
}

/// What a guest is started for.
#[derive(Debug)]
pub struct GuestSpec<'a> {
    /// The machine.
    pub shape: &'a Shape,
    /// Archive that the machine starts from.
    pub initramfs: PathBuf,
    /// What the harness does at the program's marks.
    pub marks: &'a [Mark],
    /// Tasks of the program that are held at places of the kernel's code, in the deterministic lane.
    pub holds: &'a [Hold],
    /// Whether the guest may go on in another kernel.
    pub kexecs: bool,
    /// Who may use the TPM from outside of the guest.
    pub admit: Admit,
    /// QEMU's end of the console, where somebody sits at it; else the console goes to a log and to the events.
    pub console: Option<UnixStream>,
    /// How it comes to the agent's first message, and what the agent does.
    pub boot: Boot<'a>,
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
    /// A restored machine does not go on.
    #[error("the restored machine does not resume")]
    GoOn(#[source] QmpError),
    /// No random bytes for a restored machine, or no channel to restore it through.
    #[error("cannot make a restored machine's {what}")]
    Own {
        /// Which.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
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
                Some(imalab_machine::child::MISSING)
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
        debugger: context.debugger,
    }
}

/// Writes what the agent does to `folder`, and gives back the file.
///
/// # Errors
/// When it is too long, or cannot be written.
pub fn write_program(folder: &Path, program: &Program) -> Result<PathBuf, GuestError> {
    write_item(folder, &encode_program(program)?)
}

fn write_item(folder: &Path, bytes: &[u8]) -> Result<PathBuf, GuestError> {
    let path = folder.join("program");
    fs::write(&path, bytes).map_err(|source| GuestError::Write { path: path.clone(), source })?;
    Ok(path)
}

/// Bytes from the host that no other machine has.
fn host_bytes() -> Result<[u8; SEED], GuestError> {
    let mut bytes = [0; SEED];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|source| GuestError::Own { what: "random bytes", source })?;
    Ok(bytes)
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
        let banks = Some(spec.shape.banks.as_slice());
        let own = || context.seeded.map_or_else(host_bytes, |seeded| Ok(seeded.own_bytes()));
        let (item, state, banks, part) = match spec.boot {
            Boot::Cold(program) => (encode_program(program)?, State::New, banks, Part::Whole),
            Boot::ToSave => (waiting(), State::New, banks, Part::ToSave),
            Boot::Fork(saved, program) => {
                let item = [encode_program(program)?, own()?.to_vec()].concat();
                let restored = |source| GuestError::Own { what: "channel for its state", source };
                (item, saved.restored().map_err(restored)?, None, Part::From(saved.name()))
            }
        };
        let restored = banks.is_none();
        let program = write_item(folder.path(), &item)?;
        let console_log = folder.path().join("console.log");
        let (tpm, chardev) =
            Tpm::start(context.swtpm, folder.path(), banks, spec.marks, epoch, events, spec.admit)?;
        // Declared after the TPM, so that it is dropped before it when the machine does not start.
        let narrow = narrow;
        let prepare =
            |seeded: lane::Seeded<'_>| seeded.prepare(context.kernel, folder.path(), part, spec.holds);
        let seeded = context.seeded.map(prepare);
        let machine = MachineSpec {
            deterministic: seeded.transpose()?,
            ..machine_spec(context, spec.shape, spec.initramfs, Some(program))
        };
        let start = Start {
            spec: &machine,
            qemu: context.qemu.to_owned(),
            tpm: Some(chardev),
            console: spec.console.map_or_else(|| Console::Log(console_log.clone()), Console::Socket),
            state,
            patience: START_PATIENCE,
        };
        let (mut machine, agent) =
            Machine::start(start, events, spawned).map_err(|source| match tpm.ended() {
                // That it ends by itself, with 0, is because QEMU has ended.
                Some(exit) if exit != Exit::Code(0) => {
                    GuestError::TpmGone { exit, output: tpm.output(), source: Box::new(source) }
                }
                _ => GuestError::Start(source),
            })?;
        let agent = guest::listen(agent, spec.kexecs, events.clone()).map_err(GuestError::Thread)?;
        if restored {
            tpm.stir(&own()?)?;
            machine.qmp().cont(START_PATIENCE).map_err(GuestError::GoOn)?;
        }
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
