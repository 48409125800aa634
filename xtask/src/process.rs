//! Running other programs: short ones whose output we read, and long ones under a guard.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use crate::interrupt;

/// Standard output of a short command that has to succeed.
///
/// # Errors
/// When it cannot be started or fails; its standard error is part of the message.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
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
/// [`Stop::Interrupted`](crate::stop::Stop::Interrupted) when the user asked for the end meanwhile.
pub(crate) fn run_logged(
    command: &mut Command,
    log: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let mut log_file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let writer_too = writer.try_clone().context("cannot make a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(writer_too)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    // Ours are still open in `command`; the end of the output shows only when the last one is closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let under_way = interrupt::under_way(Pid::from_raw(child.id().cast_signed()));
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).context("cannot read a build's output")? == 0 {
            break;
        }
        log_file.write_all(&line).with_context(|| format!("cannot write {}", log.display()))?;
        on_line(String::from_utf8_lossy(&line).trim_end());
    }
    let status = child.wait().context("cannot wait for a build")?;
    drop(under_way);
    interrupt::check()?;
    Ok(status)
}

/// Runs a command of [`crate::guard::command`] to its end with our own standard output and error.
///
/// # Errors
/// [`Stop::Interrupted`](crate::stop::Stop::Interrupted) when the user asked for the end meanwhile.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    let under_way = interrupt::under_way(Pid::from_raw(child.id().cast_signed()));
    let status = child.wait().context("cannot wait for a child")?;
    drop(under_way);
    interrupt::check()?;
    Ok(status)
}
