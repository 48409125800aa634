//! One program under ptrace(2): how it is started, how it goes on, and what is in its memory.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use imalab_wire::Run;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::ptrace;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, pipe2};
use nix::unistd::{read, setgroups, setresgid, setresuid, setsid, write};

use super::calls::Memory;
use crate::raw;
use crate::sockets::retry;

/// Most pieces of memory that a call may name (`UIO_MAXIOV`, `include/uapi/linux/uio.h`).
const VECTORS: u64 = 1024;

/// A program that is about to begin: it is stopped, and its first stop is that of a new program.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) output: OwnedFd,
    pub(super) errors: OwnedFd,
}

/// Starts it, up to where it is about to be executed.
///
/// # Errors
/// Why it could not be executed.
pub(super) fn start(run: &Run) -> Result<Started, Errno> {
    let text = |text: &String| CString::new(text.as_str()).map_err(|_| Errno::EINVAL);
    let path = text(&run.path)?;
    let arguments = [&run.path].into_iter().chain(&run.arguments).map(text).collect::<Result<Vec<_>, _>>()?;
    let environment = run.environment.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let nothing = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let (output, out) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let (errors, err) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    for end in [&out, &err] {
        // Of the program's end a full pipe is nothing special.
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFL(OFlag::empty()))?;
    }
    let (trouble, into) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = match raw::fork()? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let begun = || -> Result<(), Errno> {
                set_pdeathsig(Signal::SIGKILL)?;
                SigSet::all().thread_unblock()?;
                dup2_stdin(&nothing)?;
                dup2_stdout(&out)?;
                dup2_stderr(&err)?;
                raw::keep_only(&[into.as_fd()])?;
                chdir("/")?;
                setsid()?;
                if let Some(user) = run.user {
                    setgroups(&[])?;
                    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
                    setresgid(gid, gid, gid)?;
                    setresuid(uid, uid, uid)?;
                }
                ptrace::traceme()?;
                raise(Signal::SIGSTOP)
            };
            let errno = match begun() {
                Ok(()) => {
                    let Err(errno) = execve(&path, &arguments, &environment);
                    errno
                }
                Err(errno) => errno,
            };
            let _ = write(&into, &(errno as i32).to_le_bytes());
            raw::quit(1)
        }
    };
    drop((into, out, err));
    let gone = |trouble: &OwnedFd| {
        let mut errno = [0; 4];
        match retry(|| read(trouble, &mut errno)) {
            Ok(4) => Errno::from_raw(i32::from_le_bytes(errno)),
            _ => Errno::ECHILD,
        }
    };
    let stopped = retry(|| waitpid(pid, Some(WaitPidFlag::__WALL)))?;
    if !matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)) {
        return Err(gone(&trouble));
    }
    ptrace::setoptions(
        pid,
        ptrace::Options::PTRACE_O_TRACESYSGOOD
            | ptrace::Options::PTRACE_O_TRACEFORK
            | ptrace::Options::PTRACE_O_TRACEVFORK
            | ptrace::Options::PTRACE_O_TRACECLONE
            | ptrace::Options::PTRACE_O_TRACEEXEC
            | ptrace::Options::PTRACE_O_EXITKILL,
    )?;
    // Nothing of what the agent does until then is the program's.
    ptrace::cont(pid, None)?;
    match retry(|| waitpid(pid, Some(WaitPidFlag::__WALL)))? {
        WaitStatus::PtraceEvent(..) => Ok(Started { pid, output, errors }),
        _ => Err(gone(&trouble)),
    }
}

/// The bytes of a program's memory, at most `most`.
///
/// # Errors
/// `EFAULT` where there is no memory, `E2BIG` for more than that.
pub(super) fn memory(pid: Pid, what: Memory, length: Option<u64>, most: usize) -> Result<Vec<u8>, Errno> {
    let file = File::open(format!("/proc/{pid}/mem")).map_err(errno)?;
    let mut pieces = Vec::new();
    match what {
        Memory::Plain(address, bytes) => pieces.push((address, bytes)),
        Memory::Vector(address, count) => {
            for number in 0..count.min(VECTORS) {
                let mut piece = [0; 16];
                file.read_exact_at(&mut piece, address.wrapping_add(number * 16)).map_err(errno)?;
                let word = |from: usize| {
                    piece[from..].first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_le_bytes(*bytes))
                };
                pieces.push((word(0), word(8)));
            }
        }
    }
    let mut left = length.unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    for (address, count) in pieces {
        let count = usize::try_from(count.min(left)).map_err(|_| Errno::E2BIG)?;
        if bytes.len() + count > most {
            return Err(Errno::E2BIG);
        }
        let from = bytes.len();
        bytes.resize(from + count, 0);
        file.read_exact_at(&mut bytes[from..], address).map_err(errno)?;
        left -= count as u64;
    }
    Ok(bytes)
}

/// The text that ends with a zero at an address.
pub(super) fn text(pid: Pid, address: u64) -> Result<Vec<u8>, Errno> {
    let file = File::open(format!("/proc/{pid}/mem")).map_err(errno)?;
    let mut text = Vec::new();
    // `PATH_MAX` (`include/uapi/linux/limits.h`); not over the end of a page, behind which there may be nothing.
    while text.len() < 4096 {
        let at = address.wrapping_add(text.len() as u64);
        let mut page = vec![0; 4096 - usize::try_from(at % 4096).unwrap_or(0)];
        let count = file.read_at(&mut page, at).map_err(errno)?;
        if count == 0 {
            return Err(Errno::EFAULT);
        }
        match page[..count].iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(&page[..end]);
                return Ok(text);
            }
            None => text.extend_from_slice(&page[..count]),
        }
    }
    Err(Errno::ENAMETOOLONG)
}

/// A number of 64 bits at an address.
pub(super) fn word(pid: Pid, address: u64) -> Option<u64> {
    let bytes = memory(pid, Memory::Plain(address, 8), None, 8).ok()?;
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EFAULT, Errno::from_raw)
}
