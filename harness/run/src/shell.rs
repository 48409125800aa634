//! A console in a guest, with a TPM behind the tap: what `shell` opens.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use imalab_wire::{End, Program, Setup};

use super::context::RunContext;
use super::guest::{Boot, Guest, GuestError, GuestSpec};
use imalab_language::plan::Shape;
use imalab_machine::child::Exit;
use imalab_machine::tpm::tap::Admit;
use imalab_trace::channel;

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// No guest.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// QEMU did not end as a guest that powers off ends it.
    #[error("QEMU ended ({exit}): {}", output.trim())]
    Ended {
        /// How.
        exit: Exit,
        /// The last that it said.
        output: String,
    },
    /// A channel or a thread could not be made.
    #[error("cannot make {what}")]
    Io {
        /// What.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The byte that ends the console from outside: Ctrl-].
const ESCAPE: u8 = 0x1d;

/// How long a machine whose console has ended may take to be gone.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Boots `shape`, calls `ready` with the tap's port, and joins the guest's console with `input` and `output` until
/// the guest powers off, Ctrl-] is typed, `input` ends or a signal comes.
///
/// # Errors
/// [`ShellError`]; no process is left then.
pub fn shell(
    shape: &Shape,
    policy: &str,
    context: RunContext<'_>,
    mut input: impl Read + Send + 'static,
    mut output: impl Write,
    ready: impl FnOnce(u16),
) -> Result<(), ShellError> {
    let io = |what: &'static str| move |source| ShellError::Io { what, source };
    let program = Program {
        token: 1,
        setup: Setup { policy: policy.as_bytes().to_vec(), files: Vec::new() },
        tasks: Vec::new(),
        finally: Vec::new(),
        end: End::Shell,
    };
    let (mut console, console_qemu) = UnixStream::pair().map_err(io("the console's channel"))?;
    let mut typed = console.try_clone().map_err(io("the console's channel"))?;
    let left = Arc::new(AtomicBool::new(false));
    let leave = {
        let (left, console) = (Arc::clone(&left), console.try_clone().map_err(io("the console's channel"))?);
        let console = Arc::new(console);
        move || {
            left.store(true, Ordering::SeqCst);
            // Closed already is what was wanted.
            let _ = console.shutdown(Shutdown::Both);
        }
    };
    let (events, received) = channel();
    let narrow = received.narrow();
    // Nobody judges a shell. Its events are taken all the same, so that nobody who observes has to wait.
    std::thread::spawn(move || received.iter().for_each(drop));
    let spec = GuestSpec {
        shape,
        initramfs: context.initramfs.to_owned(),
        marks: &[],
        holds: &[],
        kexecs: false,
        admit: Admit::ThisUser,
        console: Some(console_qemu),
        boot: Boot::Cold(&program),
    };
    let mut guest = Guest::start(spec, context, Instant::now(), &events, narrow, || ())?;
    ready(guest.tpm().port());
    let _listening = context.interrupts.on_signal(leave.clone());
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
    let by_itself = guest.machine().wait(patience);
    let ended = guest.stop();
    match by_itself {
        Some(exit) if exit != Exit::Code(0) => Err(ShellError::Ended { exit, output: ended.qemu.output }),
        _ => Ok(()),
    }
}
