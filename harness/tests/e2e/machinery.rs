//! Processes of a call: found by a word in their environment, which children inherit whoever their parent becomes;
//! and a swtpm that tells what it is asked, so that a test acts in the middle of a run without guessing when that is.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::lab::{Lab, PATIENCE};

/// Environment variable whose value is unique to a test.
pub(crate) const MARK: &str = "IMALAB_TEST_MARK";

/// How long after a call's end its children may take to be gone: the kernel kills them, but they have memory to free.
const DEATH: Duration = Duration::from_secs(20);

/// Commands that swtpm has got when the kernel's driver has begun: more than the harness's own eight, which set the
/// banks, and fewer than the twenty that come before the first record.
pub(crate) const BOOTING: usize = 12;
/// Commands that swtpm has got when records are measured.
pub(crate) const BUSY: usize = 150;

/// A living process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
}

/// Living processes that carry `mark`.
pub(crate) fn processes(mark: &str) -> Vec<Process> {
    let word = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        // Whatever cannot be read is somebody else's, or has just ended; a zombie has no environment any more.
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|&byte| byte == 0).any(|variable| variable == word.as_bytes()) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push(Process { pid, name: name.trim_end().to_owned() });
        }
    }
    found
}

/// Waits until no process carries `mark`; gives back those that stay.
pub(crate) fn wait_until_gone(mark: &str) -> Vec<Process> {
    let begin = Instant::now();
    loop {
        let left = processes(mark);
        if left.is_empty() || begin.elapsed() > DEATH {
            return left;
        }
        thread::yield_now();
    }
}

/// What `work` gives, or nothing when it takes longer than `patience`.
pub(crate) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, waits) = channel();
    thread::spawn(move || drop(done.send(work())));
    waits.recv_timeout(patience).ok()
}

pub(crate) fn send(pid: u32, what: Signal) {
    signal::kill(Pid::from_raw(pid.try_into().unwrap()), what).unwrap();
}

pub(crate) fn kill(pid: u32) {
    // It may just have ended by itself.
    let _ = signal::kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL);
}

/// A swtpm that tells every command it gets.
pub(crate) struct TellingSwtpm {
    /// The program to give to `--swtpm`.
    pub(crate) program: PathBuf,
    commands: Receiver<()>,
}

impl TellingSwtpm {
    /// Makes it. It is good for one machine.
    pub(crate) fn new(lab: &Lab) -> TellingSwtpm {
        let (program, pipe) = (lab.path("telling-swtpm"), lab.path("swtpm-log"));
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let script = format!("#!/bin/sh\nexec swtpm \"$@\" --log 'file={},level=5'\n", pipe.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let (heard, commands) = channel();
        thread::spawn(move || {
            // Read to its end whoever listens: swtpm must not block on its log.
            let mut lines = BufReader::new(fs::File::open(pipe).unwrap()).split(b'\n');
            while let Some(Ok(line)) = lines.next() {
                // swtpm 0.7 to 0.10 print it before the bytes of each command.
                if line.trim_ascii().starts_with(b"SWTPM_IO_Read") {
                    let _ = heard.send(());
                }
            }
        });
        TellingSwtpm { program, commands }
    }

    /// Waits until swtpm has got `count` more commands.
    #[track_caller]
    pub(crate) fn wait_for_commands(&self, count: usize) {
        for got in 0..count {
            let heard = self.commands.recv_timeout(PATIENCE);
            heard.unwrap_or_else(|error| panic!("swtpm got {got} of {count} commands: {error}"));
        }
    }
}
