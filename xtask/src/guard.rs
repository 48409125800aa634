//! A small process between us and a build: however we die, the whole build dies with us.
//!
//! A parent-death signal reaches only the direct child, and `make` has grandchildren. So the direct
//! child is this guard, the leader of a process group of its own, and it takes the group with it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp, getppid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The hidden subcommand under which the guard runs.
pub(crate) const NAME: &str = "guard";

/// Arguments of the guard.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Process that the command must not outlive
    parent: i32,
    /// Command to run
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// A command that runs `program` in a process group of its own and ends with this process.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    // Not the path: cargo may replace the file of a running xtask.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("xtask").arg(NAME).arg(std::process::id().to_string()).arg("--").arg(program);
    command.process_group(0);
    command
}

/// Runs the command of `args` and gives its exit code; 128 + signal when one ended it.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("cannot listen for signals")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // Includes ourselves, so there is no answer to wait for.
            let _ = killpg(getpgrp(), Signal::SIGKILL);
        }
    });
    set_pdeathsig(Signal::SIGTERM).context("cannot ask for a parent-death signal")?;
    // The parent may have died before the line above took effect.
    if getppid() != Pid::from_raw(args.parent) {
        return Ok(ExitCode::from(crate::stop::INTERRUPTED));
    }
    let (program, rest) = args.command.split_first().context("no command to guard")?;
    let status = Command::new(program)
        .args(rest)
        .status()
        .with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
    Ok(ExitCode::from(exit_code(status)))
}

/// What a shell would report for `status`.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(code).unwrap_or(255)
}
