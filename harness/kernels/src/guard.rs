//! A small process between us and a build: however we die, the whole build dies with us.
//!
//! A parent-death signal reaches only the direct child, and `make` has grandchildren. So the direct
//! child is this guard, the leader of a process group of its own, and it takes the group with it.
//!
//! The guard may be the one that is killed. So there are two, one the parent of the other, and each ends the group when the
//! other is gone; so do we ([`crate::process::Child`]). For the case that all three are killed at once, the command itself
//! has a parent-death signal.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp, getppid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The hidden subcommand under which the guard runs.
pub const NAME: &str = "guard";
/// The flag of the second one.
const INNER: &str = "--inner";
/// The flag of the process that becomes the command.
const BECOME: &str = "--become";

/// How long a command may take to clear up after SIGTERM. make(1) removes the files that it was making; a guest's disk and
/// TPM are gone in less.
const GRACE: Duration = Duration::from_secs(20);

/// Arguments of the guard.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Be the second one, which has the command for a child
    #[arg(long)]
    inner: bool,
    /// Become the command, to end with the second one
    #[arg(long, conflicts_with = "inner")]
    r#become: bool,
    /// Process that the command must not outlive
    parent: i32,
    /// Command to run
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Whether this program has the subcommand [`NAME`].
static ENABLED: AtomicBool = AtomicBool::new(false);

/// Says that this program hands the subcommand [`NAME`] to [`run`]. In a program that does not, such as a test, commands
/// run without a guard: started again, it would do what it does, and so start itself again and again.
pub fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// A command that runs `program` in a process group of its own and ends with this process.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = if ENABLED.load(Ordering::Relaxed) {
        let mut command = ourselves();
        command.arg(std::process::id().to_string()).arg("--").arg(program);
        command
    } else {
        Command::new(program)
    };
    command.process_group(0);
    command
}

/// The name of the program in a command of [`command`].
pub(crate) fn guarded(command: &Command) -> String {
    let with_guard = command.get_program() == OURSELVES;
    let program = command.get_args().skip_while(|argument| *argument != "--").nth(1);
    program.filter(|_| with_guard).unwrap_or_else(|| command.get_program()).to_string_lossy().into_owned()
}

/// Not the path: cargo may replace the file of a running program.
const OURSELVES: &str = "/proc/self/exe";

fn ourselves() -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg0("imalab-guard").arg(NAME);
    command
}

/// Asks the guard `guard` to end its command, which may clear up first; asked again, it does not wait.
pub fn ask_to_end(guard: Pid) {
    // It may have ended by itself a moment ago, and then there is nothing to end.
    let _ = nix::sys::signal::kill(guard, Signal::SIGINT);
}

/// Runs the command of `args` and gives its exit code; 128 + signal when one ended it.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.r#become {
        return become_command(args);
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("cannot listen for signals")?;
    let inner = args.inner;
    std::thread::spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            match signal {
                // That is for the outer one, which sends it to the whole group.
                SIGTERM | SIGINT if inner => {}
                // Our own echo.
                SIGTERM if asked => {}
                SIGTERM | SIGINT if !asked => {
                    asked = true;
                    let _ = killpg(getpgrp(), Signal::SIGTERM);
                    std::thread::spawn(|| {
                        let (_never, end) = mpsc::channel::<()>();
                        let _ = end.recv_timeout(GRACE);
                        kill_all();
                    });
                }
                // Asked twice, or nobody is left who waits.
                _ => kill_all(),
            }
        }
    });
    set_pdeathsig(Signal::SIGHUP).context("cannot ask for a parent-death signal")?;
    // The parent may have died before the line above took effect.
    if getppid() != Pid::from_raw(args.parent) {
        return Ok(ExitCode::from(crate::stop::INTERRUPTED));
    }
    let mut next = ourselves();
    next.arg(if args.inner { BECOME } else { INNER }).arg(std::process::id().to_string()).arg("--");
    let status = next.args(&args.command).status().context("cannot run this program again")?;
    if status.signal().is_some() && !args.inner {
        // The second one was killed, and whatever it guarded is still there.
        kill_all();
    }
    Ok(ExitCode::from(exit_code(status)))
}

/// Becomes the command. Returns only when that failed.
fn become_command(args: &Args) -> Result<ExitCode> {
    // SIGTERM: make(1) hands it on to what it has started. It stays through execve(2) (prctl(2), PR_SET_PDEATHSIG).
    set_pdeathsig(Signal::SIGTERM).context("cannot ask for a parent-death signal")?;
    if getppid() != Pid::from_raw(args.parent) {
        return Ok(ExitCode::from(crate::stop::INTERRUPTED));
    }
    let (program, rest) = args.command.split_first().context("no command to guard")?;
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot run {}", program.to_string_lossy()))
}

fn kill_all() {
    // Includes ourselves, so there is no answer to wait for.
    let _ = killpg(getpgrp(), Signal::SIGKILL);
}

/// What a shell would report for `status`.
pub fn exit_code(status: std::process::ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(code).unwrap_or(255)
}
