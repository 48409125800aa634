//! The keeper's program in the background, and what others find of its files.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::KEEPER;
use crate::guest::{Result, say};

/// `logkeeper COMMAND`, which has said that it is ready.
pub(crate) struct Program {
    child: Child,
    said: BufReader<ChildStderr>,
    manager: UnixDatagram,
}

impl Program {
    pub(crate) fn start(command: &str) -> Result<Program> {
        let socket = format!("/tmp/{command}.notify");
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket)?;
        let mut child = Command::new(KEEPER)
            .arg(command)
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = child.stderr.take().ok_or("no pipe")?;
        manager.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
        let mut program = Program { child, said: BufReader::new(said), manager };
        let mut state = [0; 256];
        loop {
            match program.manager.recv(&mut state) {
                Ok(length) if state[..length].starts_with(b"READY=1") => return Ok(program),
                Ok(_) => {}
                Err(error) => {
                    let _ = program.signal(Signal::SIGKILL);
                    let mut rest = String::new();
                    program.said.read_to_string(&mut rest)?;
                    return Err(format!("{command} was never ready: {error}: {rest}").into());
                }
            }
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid(), signal)?)
    }

    /// Waits until it says a line with `word` in it.
    pub(crate) fn says(&mut self, word: &str) -> Result<String> {
        loop {
            let mut line = String::new();
            if self.said.read_line(&mut line)? == 0 {
                return Err(format!("it ended and never said `{word}`").into());
            }
            say(line.trim_end());
            if line.contains(word) {
                return Ok(line);
            }
        }
    }

    /// Waits until it has looked at the kernel twice from now on.
    pub(crate) fn looks(&mut self) -> Result<()> {
        // What it has said before is not of now.
        self.manager.set_nonblocking(true)?;
        while self.manager.recv(&mut [0; 256]).is_ok() {}
        self.manager.set_nonblocking(false)?;
        let mut state = [0; 256];
        let mut looks = 0;
        while looks < 2 {
            let length = self.manager.recv(&mut state)?;
            looks += u32::from(state[..length].starts_with(b"WATCHDOG=1"));
        }
        Ok(())
    }

    /// Has records taken out of the kernel.
    pub(crate) fn keep(&mut self) -> Result<()> {
        self.signal(Signal::SIGUSR1)?;
        self.says("kept ").map(|_| ())
    }

    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) fn end(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Its one child.
    pub(crate) fn child(&self) -> Result<Pid> {
        let ours = self.pid().to_string();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Ok(pid) = name.parse() else { continue };
            let Ok(about) = fs::read_to_string(format!("/proc/{name}/stat")) else { continue };
            // Behind the name, which may have anything in it: state, then the parent.
            let parent = about.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            if parent == Some(&ours) {
                return Ok(Pid::from_raw(pid));
            }
        }
        Err("no process answers for the view".into())
    }
}

/// Tries to read a file and prints what comes of it: this is another program, of another user.
pub(crate) fn open(path: &str) {
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut Vec::new()));
    let said = match read {
        Ok(count) => format!("read {count} bytes"),
        Err(error) => errno(&error),
    };
    let _ = write!(std::io::stdout(), "{said}");
}

pub(crate) fn errno(error: &std::io::Error) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// What a user without rights is told of a file.
pub(crate) fn as_nobody(path: &str) -> Result<String> {
    let output = Command::new("/proc/self/exe").args(["open", path]).uid(1000).gid(1000).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
