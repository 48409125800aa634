//! Runs a program up to one of its system calls.

use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::guest::Result;

/// The call by which the keeper becomes the keeper; what is before it makes folders, and changes nothing else.
const FLOCK: i64 = libc::SYS_flock;

/// The call in which it waits for the time of its next look, which it does when there is nothing left to do.
const POLL: i64 = libc::SYS_poll;

/// Changes something when it makes a file.
const OPENAT: i64 = libc::SYS_openat;

const O_CREAT: u64 = libc::O_CREAT as u64;

/// Other calls that change something. What is true after one of them is true until the next one.
const CHANGES: [i64; 12] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
];

/// Where it may be killed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stops {
    /// At the end of each call that changes something.
    Changes,
    /// At the beginning and the end of each call.
    All,
}

/// How it ended.
pub(crate) enum End {
    /// It was killed at that stop.
    Killed,
    /// It had nothing left to do before that, and was killed then.
    AtRest {
        /// Stops that it came by.
        stops: u64,
    },
    /// By itself.
    Ended(ExitStatus),
}

/// Runs `command` until the stop of that number, counted from its first `flock(2)` on, and kills it there.
pub(crate) fn run_until(command: &mut Command, stop: u64, where_to: Stops) -> Result<End> {
    let pid = spawn(command)?;
    let mut stops = 0;
    let (mut armed, mut inside) = (false, false);
    let mut signal = None;
    // The first one comes with the new program.
    wait(pid)?;
    ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL)?;
    loop {
        ptrace::syscall(pid, signal)?;
        signal = None;
        match wait(pid)? {
            WaitStatus::PtraceSyscall(_) => {
                let registers = ptrace::getregs(pid)?;
                let call = registers.orig_rax.cast_signed();
                // Flags are the third argument, which the kernel leaves in its register.
                let makes = call == OPENAT && registers.rdx & O_CREAT != 0;
                // Each call stops when it begins and when it ends.
                inside = !inside;
                armed |= call == FLOCK;
                let counts = where_to == Stops::All || !inside && (makes || CHANGES.contains(&call));
                stops += u64::from(armed && counts);
                if armed && counts && stops == stop {
                    return kill(pid).map(|()| End::Killed);
                }
                if armed && call == POLL {
                    return kill(pid).map(|()| End::AtRest { stops });
                }
            }
            WaitStatus::Stopped(_, with) => signal = Some(with),
            WaitStatus::Exited(_, code) => return Ok(End::Ended(ExitStatus::from_raw(code << 8))),
            WaitStatus::Signaled(_, signal, _) => return Ok(End::Ended(ExitStatus::from_raw(signal as i32))),
            _ => {}
        }
    }
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "the kernel's numbers of processes are positive 32-bit integers"
)]
fn spawn(command: &mut Command) -> Result<Pid> {
    let traceme = || ptrace::traceme().map_err(std::io::Error::from);
    // SAFETY: between fork and exec the child makes one system call, and allocates nothing.
    #[expect(unsafe_code, reason = "a child that asks to be traced has to do so itself")]
    unsafe {
        command.pre_exec(traceme);
    }
    let child = command.spawn()?;
    Ok(Pid::from_raw(child.id() as i32))
}

fn wait(pid: Pid) -> Result<WaitStatus> {
    Ok(waitpid(pid, None)?)
}

fn kill(pid: Pid) -> Result<()> {
    nix::sys::signal::kill(pid, Signal::SIGKILL)?;
    loop {
        if let WaitStatus::Signaled(..) | WaitStatus::Exited(..) = waitpid(pid, None)? {
            return Ok(());
        }
    }
}
