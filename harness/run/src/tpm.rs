//! A run's TPM: swtpm with the tap before it, and what the harness does at a mark.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imalab_formats::ima::Bank;
use imalab_language::plan::{Mark, MarkAction};
use imalab_machine::child::{self, Child, ChildError, Exit, output_suffix};
use imalab_machine::tpm::banks::BanksError;
use imalab_machine::tpm::client::Client;
use imalab_machine::tpm::link::{Link, LinkError};
use imalab_machine::tpm::swtpm::{self, LaunchError};
use imalab_machine::tpm::tap::{Admit, AfterMark, OnMark, Sink, Tap, TapError};
use imalab_trace::{Host, Sender, What};

/// Why there is no TPM. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// Its state folder cannot be made.
    #[error("cannot make {}", path.display())]
    State {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// swtpm could not be prepared.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// swtpm could not be started.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// swtpm ended before it was of use.
    #[error("swtpm ended at its start ({exit}){}", output_suffix(.output))]
    Ended {
        /// How.
        exit: Exit,
        /// The last that it said.
        output: String,
    },
    /// swtpm does not talk.
    #[error("swtpm does not answer")]
    Link(#[from] LinkError),
    /// swtpm does not have the banks.
    #[error("swtpm does not set the TPM's banks")]
    Banks(#[from] BanksError),
    /// No tap.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// It does not take what makes its random numbers its own.
    #[error("the restored TPM takes no random bytes: TPM2_StirRandom answered {0:#x}")]
    Stir(u32),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// How long swtpm may take for an answer at its start, on a host as loaded as they get; some 10 ms on an idle one.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long a swtpm that closed its channel may take to be gone, on a host as loaded as they get: its channel ends before it is a
/// zombie, and what it said is known when it is one.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// swtpm with the tap before it.
pub struct Tpm {
    child: Child,
    watcher: JoinHandle<()>,
    tap: Tap,
    command: Vec<String>,
}

impl Tpm {
    /// Starts both below `folder` and returns with them QEMU's end of the control channel. `events` gets every
    /// exchange, what is read at each of `marks`, and swtpm's end. `banks` are made the active ones; without any, QEMU
    /// gives it the state of another TPM. `admit` says who may use the tap's port.
    ///
    /// # Errors
    /// [`TpmError`]; swtpm is dead and reaped then.
    pub fn start(
        program: &Path,
        folder: &Path,
        banks: Option<&[Bank]>,
        marks: &[Mark],
        epoch: Instant,
        events: &Sender,
        admit: Admit,
    ) -> Result<(Tpm, OwnedFd), TpmError> {
        let state = folder.join("tpm");
        fs::create_dir(&state).map_err(|source| TpmError::State { path: state.clone(), source })?;
        let launch = swtpm::prepare(program, &state)?;
        let command = words(&launch.command);
        let child = child::spawn(launch.command, launch.inherit)?;
        // Nobody listens any more only when the run has ended.
        let _ = events.send(What::Host(Host::Spawned { child: "swtpm".into(), pid: child.pid() }));
        let last = events.clone();
        let watcher = child
            .on_exit(move |exit| {
                let _ = last.send(What::Host(Host::Exited { child: "swtpm".into(), status: exit.status() }));
            })
            .map_err(TpmError::Thread)?;
        let ready = || -> Result<Link, TpmError> {
            let link = Link::open(launch.control, START_PATIENCE)?;
            banks.map_or(Ok(()), |banks| link.set_banks(banks))?;
            Ok(link)
        };
        let link = ready().map_err(|error| match child.wait(LAST_PATIENCE) {
            // Why it ended says more than that it no longer answers.
            Some(exit) => TpmError::Ended { exit, output: child.output() },
            None => error,
        })?;

        let port = Arc::new(OnceLock::new());
        let on_mark = on_mark(marks.to_vec(), Arc::clone(&port), events.clone());
        let sink = events.clone();
        let sink: Sink = Arc::new(move |what| drop(sink.send(what)));
        let (tap, chardev) = Tap::start(link, epoch, sink, on_mark, admit)?;
        // Set once, here, before there is a guest that could send a mark.
        let _ = port.set(tap.port());
        Ok((Tpm { child, watcher, tap, command }, chardev))
    }

    /// swtpm's command line, a word each.
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// How swtpm ended, if it has.
    pub fn ended(&self) -> Option<Exit> {
        self.child.ended()
    }

    /// The last that swtpm printed.
    pub fn output(&self) -> String {
        self.child.output()
    }

    /// As [`Tap::port`].
    pub fn port(&self) -> u16 {
        self.tap.port()
    }

    /// swtpm's process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// As [`Tap::thread`].
    pub fn tap_thread(&self) -> Option<u32> {
        self.tap.thread()
    }

    /// As [`Tap::is_held`].
    pub fn is_held(&self) -> bool {
        self.tap.is_held()
    }

    /// As [`Tap::owed`].
    pub fn owed(&self) -> Option<Duration> {
        self.tap.owed()
    }

    /// Lets go of a mark that holds the TPM.
    pub fn release(&self, mark: u64) {
        self.tap.release(mark);
    }

    /// As [`Tap::stir`].
    ///
    /// # Errors
    /// [`TpmError::Stir`].
    pub fn stir(&self, bytes: &[u8; 32]) -> Result<(), TpmError> {
        self.tap.stir(bytes).map_err(TpmError::Stir)
    }

    /// Ends both, and waits for the last of their events.
    pub fn stop(self) {
        self.tap.shutdown();
        self.child.kill();
        // A panic of ours was already printed by its thread.
        let _ = self.watcher.join();
    }
}

/// Does what the plan says while the guest waits for the mark's answer.
fn on_mark(marks: Vec<Mark>, port: Arc<OnceLock<u16>>, events: Sender) -> OnMark {
    let mut client = None;
    Box::new(move |number| {
        let mark = marks
            .iter()
            .find(|mark| mark.number == number)
            .ok_or_else(|| format!("the guest sent mark {number}, which the plan does not have"))?;
        let port = *port.get().ok_or("the tap has no port yet")?;
        let client = client.get_or_insert_with(|| Client::new(port));
        match mark.does {
            MarkAction::Hold => return Ok(AfterMark::Hold),
            MarkAction::Arm(fault) => return Ok(AfterMark::Arm(fault)),
            MarkAction::Read | MarkAction::Quote => {}
        }
        let _ = events.send(What::Pcrs(client.read(number)?));
        if mark.does == MarkAction::Quote {
            let _ = events.send(What::Quote(Box::new(client.quote(number)?)));
        }
        Ok(AfterMark::Answer)
    })
}

fn words(command: &std::process::Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}
