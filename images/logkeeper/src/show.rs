//! The view as processes: one that holds the file system, and one that answers for it.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use clap::Args;
use imalab_logkeeper::{Config, End, Signals, ViewError, hold, let_go, notify, serve};

use crate::Failure;

/// What is done about the view.
#[derive(Args)]
pub(crate) struct View {
    /// Take away a view whose processes were killed, and end.
    #[arg(long)]
    unbind: bool,
    /// Answer what comes by standard input for the file system on this device.
    #[arg(long, hide = true, value_name = "DEVICE")]
    serve: Option<String>,
    /// Go on where another has ended.
    #[arg(long, hide = true)]
    resume: bool,
}

impl View {
    pub(crate) fn run(&self, path: &Path, config: &Config) -> Result<(), Failure> {
        if self.unbind {
            return Ok(let_go(None)?);
        }
        if let Some(device) = &self.serve {
            return self.answer(config, device);
        }
        let mut signals = Signals::listen().map_err(Failure::Signals)?;
        hold(path, config, &mut signals, || {
            eprintln!("logkeeper: view: the whole log is shown");
            // A manager that does not listen is no reason to stop.
            let _ = notify("READY=1\n");
        })?;
        Ok(())
    }

    fn answer(&self, config: &Config, device: &str) -> Result<(), Failure> {
        // Its path, which names a process otherwise, is `/proc/self/exe`.
        let _ = nix::sys::prctl::set_name(c"logkeeper-view");
        let own = |stream: std::os::fd::BorrowedFd<'_>| stream.try_clone_to_owned().map(File::from);
        let streams = own(std::io::stdin().as_fd())
            .and_then(|requests| Ok((requests, own(std::io::stdout().as_fd())?)));
        let (requests, alive) =
            streams.map_err(|error| ViewError::System("open its own descriptors", error))?;
        match serve(config, &requests, &alive, self.resume)? {
            // Nobody else is there to bring the kernel's own files back.
            End::Orphaned => Ok(let_go(Some(device))?),
            End::Disconnected => Err(Failure::Disconnected),
        }
    }
}
