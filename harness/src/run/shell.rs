//! A console in a guest, with a TPM behind the tap: what `shell` opens.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use imalab_wire::frame::{TooLong, encode_program};
use imalab_wire::{End, Program, Setup};

use super::one::Site;
use super::scratch::ScratchError;
use super::tpm::{Tpm, TpmError};
use imalab_language::plan::Shape;
use imalab_machine::child::{self, ChildError, Exit};
use imalab_machine::command::{Endpoint, Endpoints, MachineSpec, argv};
use imalab_machine::guest;
use imalab_machine::tpm::tap::Admit;
use imalab_trace::{Host, What, channel};

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// No folder for it.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The program cannot be handed over.
    #[error("the shell's program cannot be encoded")]
    Program(#[from] TooLong),
    /// No TPM.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// QEMU could not be started.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// QEMU did not end as a guest that powers off ends it.
    #[error("QEMU ended ({exit}): {}", output.trim())]
    Ended {
        /// How.
        exit: Exit,
        /// The last that it said.
        output: String,
    },
    /// A channel or a file could not be made.
    #[error("cannot make {}", what.display())]
    Io {
        /// What.
        what: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The byte that ends the console from outside: Ctrl-].
const ESCAPE: u8 = 0x1d;

/// How long a machine whose console has ended may take to be gone.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Boots `shape`, tells `ready` the tap's port, and joins the guest's console with `input` and `output` until
/// the guest powers off, Ctrl-] is typed, `input` ends or a signal comes.
///
/// # Errors
/// [`ShellError`]; no process is left then.
pub fn shell(
    shape: &Shape,
    policy: &str,
    site: Site<'_>,
    mut input: impl Read + Send + 'static,
    mut output: impl Write,
    ready: impl FnOnce(u16),
) -> Result<(), ShellError> {
    let folder = site.scratch.folder()?;
    let io = |what: &str| {
        let what = PathBuf::from(what);
        move |source| ShellError::Io { what, source }
    };
    let file = folder.path().join("program");
    let program = Program {
        token: 1,
        setup: Setup { policy: policy.as_bytes().to_vec() },
        tasks: Vec::new(),
        finally: Vec::new(),
        end: End::Shell,
    };
    fs::write(&file, encode_program(&program)?).map_err(io("the guest's program"))?;
    let (events, heard) = channel();
    let now = Instant::now();
    let (tpm, chardev) =
        Tpm::start(site.swtpm, folder.path(), &shape.banks, &[], now, &events, Admit::ThisUser)?;
    ready(tpm.port());

    let pair = || UnixStream::pair().map_err(io("a channel"));
    let ((mut console, console_qemu), (agent, agent_qemu), (_monitor, monitor_qemu)) =
        (pair()?, pair()?, pair()?);
    let endpoints = Endpoints {
        qmp: Endpoint::Fd(monitor_qemu.as_raw_fd()),
        agent: Endpoint::Fd(agent_qemu.as_raw_fd()),
        console: Endpoint::Fd(console_qemu.as_raw_fd()),
        tpm: Some(Endpoint::Fd(chardev.as_raw_fd())),
    };
    let spec = MachineSpec {
        cpus: shape.cpus.into(),
        memory_mib: shape.memory_mib,
        accel: site.accel,
        tsc_mhz: site.accel.tsc_mhz(),
        kernel: site.kernel.to_owned(),
        initramfs: site.initramfs.to_owned(),
        kernel_args: shape.kernel_args.clone(),
        program: Some(file),
    };
    let mut command = Command::new(site.qemu);
    command.args(argv(&spec, &endpoints));
    let keep = vec![console_qemu.into(), agent_qemu.into(), monitor_qemu.into(), chardev];
    let qemu = child::spawn(command, keep)?;
    let guest = guest::listen(agent, false, events.clone()).map_err(io("a thread"))?;

    let mut typed = console.try_clone().map_err(io("a channel"))?;
    let left = Arc::new(AtomicBool::new(false));
    let leave = {
        let (left, console) = (Arc::clone(&left), Arc::new(console.try_clone().map_err(io("a channel"))?));
        move || {
            left.store(true, Ordering::SeqCst);
            // Closed already is what was wanted.
            let _ = console.shutdown(Shutdown::Both);
        }
    };
    let interrupted = leave.clone();
    // Nobody judges a shell: of its events, a signal alone matters.
    std::thread::spawn(move || {
        if heard.iter().any(|what| matches!(what, What::Host(Host::Interrupted))) {
            interrupted();
        }
    });
    site.interrupts.tell(&events);
    // Ends with the process: a terminal's read cannot be interrupted.
    std::thread::spawn(move || {
        let mut byte = [0];
        while let Ok(1) = input.read(&mut byte) {
            if byte[0] == ESCAPE || typed.write_all(&byte).is_err() {
                break;
            }
        }
        leave();
    });
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = console.read(&mut buffer) {
        if output.write_all(&buffer[..count]).and_then(|()| output.flush()).is_err() {
            break;
        }
    }
    let patience = if left.load(Ordering::SeqCst) { Duration::ZERO } else { END_PATIENCE };
    let ended = qemu.wait(patience);
    if ended.is_none() {
        qemu.kill();
    }
    let _ = guest.join();
    tpm.stop();
    match ended {
        Some(exit) if exit != Exit::Code(0) => Err(ShellError::Ended { exit, output: qemu.output() }),
        _ => Ok(()),
    }
}
