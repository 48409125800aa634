//! The process that holds the file system: while it lives, one that answers may be killed and another goes on, and readers notice
//! nothing. It does as little as it can.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use super::files::Shown;
use super::mount;
use super::serve::{ViewError, shown, system};
use crate::config::Config;
use crate::machine::Machine;
use crate::signals::Signals;

/// The exit code of one that answers and has nothing more to answer for.
pub const DISCONNECTED: u8 = 4;

/// So many deaths of those that answer within [`WITHIN`] are too many: something that is asked kills each of them.
const DEATHS: usize = 5;
const WITHIN: Duration = Duration::from_secs(60);

/// Shows the whole log in place of the kernel's files until a signal asks for the end; tells `ready` when it is there. However this
/// ends, the kernel's own files are there again.
///
/// # Errors
///
/// [`ViewError`].
pub fn hold(
    path: &Path,
    config: &Config,
    signals: &mut Signals,
    mut ready: impl FnMut(),
) -> Result<(), ViewError> {
    let lock = mount::alone().map_err(system("make the folder of the view"))?;
    let Some(_lock) = lock else { return Err(ViewError::Another) };
    let mut deaths = Deaths::default();
    loop {
        // Those of one that was killed.
        let_go(None)?;
        let mut view = View::mount(path, config)?;
        view.start()?;
        while view.goes_on(signals, &mut deaths, &mut ready)? {
            if signals.end() {
                return Ok(());
            }
        }
    }
}

/// Takes views away: all of them, or that of one device.
///
/// # Errors
///
/// [`ViewError::System`].
pub fn let_go(of: Option<&str>) -> Result<(), ViewError> {
    // One may lie over another.
    while mount::unbind(of).map_err(system("unmount the view"))? > 0 {}
    Ok(())
}

#[derive(Default)]
struct Deaths(VecDeque<Instant>);

impl Deaths {
    fn another(&mut self, now: Instant) -> Result<(), ViewError> {
        self.0.push_back(now);
        if self.0.len() < DEATHS {
            return Ok(());
        }
        match self.0.pop_front() {
            Some(first) if now.duration_since(first) < WITHIN => Err(ViewError::KeepsEnding(DEATHS)),
            _ => Ok(()),
        }
    }
}

/// A file system and who answers for it.
struct View<'a> {
    config: &'a Path,
    lists: PathBuf,
    files: Vec<Shown>,
    requests: OwnedFd,
    device: String,
    worker: Option<(Child, ChildStdout)>,
    /// Whether it was ever answered for.
    begun: bool,
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // Whoever opens a file from now on opens the kernel's.
        let _ = let_go(Some(&self.device));
        if let Some((mut worker, _)) = self.worker.take() {
            let _ = worker.kill().and_then(|()| worker.wait());
        }
    }
}

impl<'a> View<'a> {
    fn mount(path: &'a Path, config: &Config) -> Result<View<'a>, ViewError> {
        let machine = Machine::open(config)?;
        if !machine.lists().own {
            return Err(ViewError::NotAlone(config.lists.clone()));
        }
        let files = shown(&machine)?;
        let requests = mount::mount_view().map_err(system("mount a FUSE file system"))?;
        let device = mount::device().map_err(system("find the view among the mounts"))?;
        let lists = config.lists.clone();
        Ok(View { config: path, lists, files, requests, device, worker: None, begun: false })
    }

    /// Starts one that answers.
    fn start(&mut self) -> Result<(), ViewError> {
        let requests = self.requests.try_clone().map_err(system("pass the view on"))?;
        // Also when the program's file has become another one meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg("--config").arg(self.config).args(["view", "--serve", &self.device]);
        if self.begun {
            command.arg("--resume");
        }
        command.stdin(Stdio::from(requests)).stdout(Stdio::piped());
        let mut worker = command.spawn().map_err(system("start the process that answers"))?;
        self.worker = worker.stdout.take().map(|said| (worker, said));
        Ok(())
    }

    /// Waits until something happens to the one that answers, and does what follows; `false`: it takes another file system.
    fn goes_on(
        &mut self,
        signals: &mut Signals,
        deaths: &mut Deaths,
        ready: &mut impl FnMut(),
    ) -> Result<bool, ViewError> {
        let Some((worker, said)) = &mut self.worker else { return Ok(false) };
        if !signals.wait(Some(said.as_fd()), PollTimeout::NONE) {
            return Ok(true);
        }
        if said.read(&mut [0; 64]).map_err(system("listen to the process that answers"))? > 0 {
            // All that is ever said is that it is ready.
            if !self.begun {
                self.begun = true;
                let names = self.files.iter().map(|file| file.name.as_str());
                mount::bind(&self.lists, names)
                    .map_err(system("bind the view over the measurement lists"))?;
                ready();
            }
            return Ok(true);
        }
        let status = worker.wait().map_err(system("wait for the process that answers"))?;
        self.worker = None;
        // What it says of itself by its exit code is final; 101 is that of a panic.
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        if let Some(code @ 1..=3) = code {
            return Err(ViewError::Ended(code));
        }
        deaths.another(Instant::now())?;
        if !self.begun || code == Some(DISCONNECTED) {
            return Ok(false);
        }
        self.start()?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_that_come_one_after_the_other_are_too_many() {
        let start = Instant::now();
        let mut deaths = Deaths::default();
        for second in 0..30 {
            deaths.another(start + Duration::from_secs(16 * second)).unwrap();
        }
        let mut deaths = Deaths::default();
        for second in 0..4 {
            deaths.another(start + Duration::from_secs(second)).unwrap();
        }
        assert!(matches!(deaths.another(start + Duration::from_secs(59)), Err(ViewError::KeepsEnding(5))));
    }
}
