//! Running other programs: short ones whose output we read, and long ones under a guard.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::guard;
use crate::interrupt::{self, UnderWay};

/// Standard output of a short command that has to succeed.
///
/// # Errors
/// When it cannot be started or fails; its standard error is part of the message.
pub fn stdout_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} wrote something that is not UTF-8"))
}

/// Runs a command of [`crate::guard::command`] to its end and hands each line of its standard output and
/// standard error, in the order written, to `log` and to `on_line`.
///
/// # Errors
/// [`Stop::Interrupted`](crate::stop::Stop::Interrupted) when the user asked for the end meanwhile, and [`Cut`] when
/// it did not end by itself.
pub fn run_logged(command: &mut Command, log: &Path, on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    run_logged_from(command, Stdio::null(), log, on_line)
}

/// The same as [`run_logged`], with a standard input.
pub fn run_logged_from(
    command: &mut Command,
    stdin: Stdio,
    log: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    interrupt::check()?;
    let mut log_file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let writer_too = writer.try_clone().context("cannot make a pipe")?;
    let child = Child::start(command.stdin(stdin).stdout(writer).stderr(writer_too))?;
    // Ours are still open in `command`; the end of the output shows only when the last one is closed.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    let mut left = LOG;
    loop {
        line.clear();
        // Half a line is a line too when it grows too long.
        let read = (&mut lines).take(LONGEST).read_until(b'\n', &mut line);
        if read.context("cannot read a build's output")? == 0 {
            break;
        }
        // Whatever is written on and on, the end is what counts less: the first error stands before it.
        if left > 0 {
            left = left.saturating_sub(line.len() as u64);
            log_file.write_all(&line).with_context(|| format!("cannot write {}", log.display()))?;
        }
        on_line(String::from_utf8_lossy(&line).trim_end());
    }
    child.end()
}

/// Runs a command of [`crate::guard::command`] to its end with our own standard output and error.
///
/// # Errors
/// As [`run_logged`].
pub fn run(command: &mut Command) -> Result<ExitStatus> {
    interrupt::check()?;
    Child::start(command.stdin(Stdio::null()))?.end()
}

/// The most that a command may add to a log, in bytes; a whole build writes less than one.
const LOG: u64 = 64 << 20;
/// The most of a line that is handed on at once, in bytes.
const LONGEST: u64 = 1 << 20;

/// A command was killed, so what it was writing may be half written.
#[derive(Debug, thiserror::Error)]
#[error("{0} was killed")]
pub struct Cut(String);

/// A command of [`crate::guard::command`] that runs.
pub struct Child {
    child: process::Child,
    what: String,
    under_way: UnderWay,
    /// Ends with the guard.
    watch: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> Result<Self> {
        let what = guard::guarded(command);
        let child = command.spawn().with_context(|| format!("cannot run {what}"))?;
        let guard = Pid::from_raw(child.id().cast_signed());
        let under_way = interrupt::under_way(guard);
        let watch = std::thread::Builder::new().name("watch".into()).spawn(move || {
            // It is not reaped here: as long as it is not, its number and that of its group are nobody else's.
            let ended = || waitid(Id::Pid(guard), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            while ended() == Err(Errno::EINTR) {}
            // Somebody may have killed the guard alone, and then nobody else ends what it guarded.
            let _ = killpg(guard, Signal::SIGKILL);
        });
        Ok(Self { child, what, under_way, watch: Some(watch.context("cannot start a thread")?) })
    }

    /// Its standard output, when that is a pipe.
    pub fn stdout(&mut self) -> Option<process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for the end.
    pub fn end(mut self) -> Result<ExitStatus> {
        let watched = self.watch.take().map(JoinHandle::join);
        let status = self.child.wait().with_context(|| format!("cannot wait for {}", self.what))?;
        drop(self.under_way);
        if watched.is_some_and(|joined| joined.is_err()) {
            bail!("cannot watch {}", self.what);
        }
        // The guard hands on what its command ended by; a signal is its own end.
        let cut = status.signal().map(|_| Cut(self.what));
        match (interrupt::check(), cut) {
            (Ok(()), None) => Ok(status),
            (Ok(()), Some(cut)) => Err(cut.into()),
            (Err(stop), None) => Err(stop.into()),
            (Err(stop), Some(cut)) => Err(anyhow::Error::from(stop).context(cut)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_order_and_stand_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut lines = Vec::new();
        let mut command = guard::command("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3", "--", "x"]);
        let status = run_logged(&mut command, &log, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn what_was_killed_is_named() {
        let error = run(guard::command("sh").args(["-c", "kill -9 $$", "--", "x"])).unwrap_err();
        assert!(error.is::<Cut>());
        assert_eq!(error.to_string(), "sh was killed");
    }
}
