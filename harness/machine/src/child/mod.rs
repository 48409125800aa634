//! Children (QEMU, swtpm) that never outlive imalab.
//!
//! Each leads a process group of its own, so that a terminal's Ctrl-C reaches imalab alone, and gets SIGKILL
//! from the kernel when imalab dies in any way (`PR_SET_PDEATHSIG`). That signal is sent when the *thread*
//! that forked dies (prctl(2)), so one thread that lives as long as the process does all the forking.

mod syscall;
mod tail;

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use tail::Tail;

/// How long to wait for the end of a dead child's output. Only a process that has left the child's group
/// could still hold it; otherwise it takes as long as a busy host keeps the thread that reads it.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(10);

/// What to do about a program that is not there.
pub const MISSING: &str = "Debian has it in qemu-system-x86, swtpm or libtss2-dev; in a checkout, `cargo xtask doctor --yes` \
                           installs what is missing";

/// Why a child could not be started or watched.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program is not there.
    #[error("`{program}` was not found")]
    Missing {
        /// As given to the command.
        program: String,
    },
    /// It is there but cannot be started.
    #[error("could not start `{program}`")]
    Spawn {
        /// As given to the command.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// No pidfd or no thread: the system is out of something, or older than Linux 5.3.
    #[error("could not watch `{program}`")]
    Watch {
        /// As given to the command.
        program: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// The shell's convention: the code, or 128 + the signal.
    #[must_use]
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// Lines of a child's output that are shown.
const LAST_LINES: usize = 10;

/// The last lines of a child's output that are not blank.
#[must_use]
pub fn last_lines(output: &str) -> Vec<&str> {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].to_vec()
}

/// The same as an error's message goes on.
pub fn output_suffix(output: &str) -> String {
    match last_lines(output).as_slice() {
        [] => ", without any output".into(),
        last => format!(":\n{}", last.join("\n")),
    }
}

/// A running or ended child. Dropping it kills its whole group and reaps it.
pub struct Child {
    process: Arc<Process>,
    output: Tail,
}

/// Starts `command`, with `keep` as the only descriptors that it inherits (under the numbers they have now)
/// beside its standard streams: nothing to read, and output that is kept for [`Child::output`].
///
/// This process's copies of `keep` are closed, whatever the result, so that the other ends see the child's
/// death as an end of file.
///
/// # Errors
/// [`ChildError`]; no process is left behind then.
pub fn spawn(mut command: Command, keep: Vec<OwnedFd>) -> Result<Child, ChildError> {
    use std::os::unix::process::CommandExt;

    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source: io::Error| ChildError::Spawn { program: program.clone(), source };
    let (reader, writer) = io::pipe().map_err(failed)?;
    let second = writer.try_clone().map_err(failed)?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second).process_group(0);
    syscall::die_with_us(&mut command, syscall::numbers(&keep));

    // The forking thread takes the command along, and with it our copies of the pipe's and `keep`'s ends.
    let spawned = on_forking_thread(move || {
        let spawned = command.spawn();
        drop(keep);
        spawned
    });
    let child = match spawned {
        Ok(child) => child,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(ChildError::Missing { program });
        }
        Err(source) => return Err(failed(source)),
    };
    let pid = child.id();
    let watch = |source| ChildError::Watch { program: program.clone(), source };
    let pidfd = syscall::pidfd_open(pid).map_err(|source| {
        let mut child = child;
        // Without a pidfd nobody would reap it.
        let _ = child.kill().and_then(|()| child.wait());
        watch(source)
    })?;
    let process = Arc::new(Process { pid, pidfd, ended: Mutex::new(None) });
    match Tail::drain(reader) {
        Ok(output) => Ok(Child { process, output }),
        Err(source) => {
            process.kill_and_reap();
            Err(watch(source))
        }
    }
}

impl Child {
    /// Its process, which is also its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<Exit> {
        self.process.reap_if_ended()
    }

    /// Waits for its end, at most `patience`.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Option<Exit> {
        self.process.wait(Some(patience))
    }

    /// Kills the whole group at once, even a stopped one, and waits for the child's end.
    pub fn kill(&self) -> Exit {
        self.process.kill_and_reap()
    }

    /// The last 16 KiB that it wrote to its standard output and error stream. Waits for their end
    /// when the child has ended.
    #[must_use]
    pub fn output(&self) -> String {
        let patience = if self.ended().is_some() { OUTPUT_PATIENCE } else { Duration::ZERO };
        self.output.text(patience)
    }

    /// Calls `then` once with how the child ended, from a thread of its own. The call comes even when the
    /// child was killed through this handle or dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn on_exit(&self, then: impl FnOnce(Exit) + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
        let process = Arc::clone(&self.process);
        thread::Builder::new().name(format!("watch-{}", self.pid())).spawn(move || {
            if let Some(exit) = process.wait(None) {
                then(exit);
            }
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.process.kill_and_reap();
    }
}

/// What the handle and the watchers share. `ended` is set by whoever reaps; nobody signals after that, since
/// the number may then be another process's.
struct Process {
    pid: u32,
    pidfd: OwnedFd,
    ended: Mutex<Option<Exit>>,
}

impl Process {
    fn reap_if_ended(&self) -> Option<Exit> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_none() {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
            let seen = waitid(Id::PIDFd(self.pidfd.as_fd()), flags | WaitPidFlag::WNOWAIT);
            if matches!(seen, Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))) {
                // What it left behind in its group goes first: a zombie still keeps the group's number.
                self.kill_group();
                *ended = match waitid(Id::PIDFd(self.pidfd.as_fd()), flags) {
                    Ok(WaitStatus::Exited(_, code)) => Some(Exit::Code(code)),
                    Ok(WaitStatus::Signaled(_, signal, _)) => Some(Exit::Signal(signal as i32)),
                    _ => None,
                };
            } else if let Err(Errno::ECHILD) = seen {
                // Somebody ignores SIGCHLD, so that the kernel reaped it: how it ended is lost.
                *ended = Some(Exit::Signal(0));
            }
        }
        *ended
    }

    fn wait(&self, patience: Option<Duration>) -> Option<Exit> {
        let until = patience.map(|patience| Instant::now() + patience);
        loop {
            if let Some(exit) = self.reap_if_ended() {
                return Some(exit);
            }
            let timeout = match until {
                None => PollTimeout::NONE,
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    // A rounded-down millisecond would spin at the very end.
                    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
            };
            match poll(&mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }

    fn kill_and_reap(&self) -> Exit {
        {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(exit) = *ended {
                return exit;
            }
            self.kill_group();
        }
        self.wait(None).unwrap_or(Exit::Signal(Signal::SIGKILL as i32))
    }

    /// Only while the child is not reaped.
    fn kill_group(&self) {
        if let Ok(pid) = i32::try_from(self.pid) {
            // Nobody there any more is what was wanted.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs `spawn` on the one thread that forks.
fn on_forking_thread<T: Send + 'static>(
    spawn: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    static FORKING: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts children has ended");

    let forking = match FORKING.get() {
        Some(forking) => forking,
        None => {
            let (jobs, todo) = channel::<Job>();
            thread::Builder::new()
                .name("forking".into())
                .spawn(move || todo.into_iter().for_each(|job| job()))?;
            // When two start at once, the loser's thread ends with its channel, before it forked anything.
            FORKING.get_or_init(|| Mutex::new(jobs))
        }
    };
    let (answer, result) = channel();
    let job: Job = Box::new(move || drop(answer.send(spawn())));
    forking.lock().unwrap_or_else(PoisonError::into_inner).send(job).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}
