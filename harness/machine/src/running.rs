//! A machine that runs: QEMU with its channels attached, watched until its end.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::child::{self, Child, ChildError, Exit, output_suffix};
use super::command::{Deterministic, Endpoint, Endpoints, MachineSpec, argv};
use super::console;
use super::follow::follow;
use super::processors;
use super::qmp::{Qmp, QmpError};
use imalab_trace::{Host, What};

/// How long QEMU may take to end after it was asked to, before it is killed. On an idle host it takes some
/// milliseconds.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);
/// How long after QEMU's death its channels may take to be read to their ends.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// What a machine is started from.
#[derive(Debug)]
pub struct Start<'a> {
    /// The machine.
    pub spec: &'a MachineSpec,
    /// QEMU's program, looked up in `PATH` when it is a bare name.
    pub qemu: PathBuf,
    /// QEMU's end of the TPM's control channel; none for a machine without a TPM.
    pub tpm: Option<OwnedFd>,
    /// Where the console's bytes go.
    pub console: Console,
    /// Where its state comes from.
    pub state: State,
    /// How long QEMU may take to answer at its start. On an idle host it takes 0.1 s.
    pub patience: Duration,
}

/// Where a machine's state comes from.
#[derive(Debug)]
pub enum State {
    /// It is new, and its guest begins to run at once.
    New,
    /// It is that of a saved machine, and its guest goes on with [`Qmp::cont`].
    Restored {
        /// What [`Machine::save`] wrote.
        from: OwnedFd,
        /// Bytes of the saved machine's console, with which its log begins.
        console: Vec<u8>,
    },
}

/// Where the bytes of a machine's serial console go.
#[derive(Debug)]
pub enum Console {
    /// Into this file, and line by line to the events.
    Log(PathBuf),
    /// Through this end of a socket pair, both ways: somebody sits at it.
    Socket(UnixStream),
}

/// Why a machine did not start. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// QEMU could not be started at all.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// QEMU ended before its monitor answered.
    #[error("QEMU ended at its start ({exit}){}", output_suffix(.output))]
    Ended {
        /// How.
        exit: Exit,
        /// The last that it said.
        output: String,
    },
    /// QEMU lives, but its monitor does not work.
    #[error("{reason}{}", output_suffix(.output))]
    Monitor {
        /// What is wrong with it.
        reason: QmpError,
        /// The last that it said.
        output: String,
    },
    /// A channel or its log could not be made.
    #[error("could not make the machine's {what}")]
    Channel {
        /// Which.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// What the user may do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Child(ChildError::Missing { .. }) => Some(crate::child::MISSING),
            Self::Ended { exit: Exit::Signal(_), .. } => {
                Some("somebody or the host's OOM killer killed it: `dmesg` may tell")
            }
            // It asks two questions and waits a second for each answer (`tpm_util_request`, QEMU's `backends/tpm/tpm_util.c`).
            Self::Ended { output, .. } if output.contains("is not emulating TPM device") => Some(
                "QEMU waits no more than a second for either of its TPM's first two answers: try fewer `--jobs`",
            ),
            Self::Ended { .. } => Some(
                "`--dry-run` prints the whole command to try by hand; an option may be newer than this QEMU",
            ),
            Self::Monitor { .. } => Some("the host may be overloaded: try fewer `--jobs`"),
            Self::Child(_) | Self::Channel { .. } => None,
        }
    }
}

/// A running machine. Dropping it kills QEMU and waits for its death.
pub struct Machine {
    /// Declared before `child`: its drop closes the monitor first.
    qmp: Qmp,
    child: Child,
    /// What came of the console's log; ends after QEMU's last event was sent.
    drained: Receiver<io::Result<()>>,
    stopped: Option<Stopped>,
    command: Vec<String>,
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// QEMU's end.
    pub exit: Exit,
    /// QEMU did not end by itself or when asked to, and was killed.
    pub forced: bool,
    /// Why the console's log is incomplete, if it is (a full disk).
    pub console_log: Option<String>,
    /// The last that QEMU said.
    pub output: String,
}

impl Machine {
    /// Starts QEMU, which begins to run a new guest at once, and waits until its monitor answers and until the state
    /// of a restored one is there.
    ///
    /// Returns the machine and the host's end of the agent's channel. `events` gets `Host::Spawned` first,
    /// then console lines and QMP events as they come, then `Host::Exited` as the last, however QEMU ends.
    /// `spawned` is called once `Host::Spawned` has been sent, before the monitor is waited for: the time to
    /// take that event at, since what comes after is part of the boot.
    ///
    /// # Errors
    /// [`StartError`]; QEMU is dead and reaped then.
    pub fn start(
        start: Start<'_>,
        events: &imalab_trace::Sender,
        spawned: impl FnOnce(),
    ) -> Result<(Self, UnixStream), StartError> {
        let failed =
            |what: &'static str| move |source: io::Error| StartError::Channel { what: what.into(), source };
        let (qmp_host, qmp) = UnixStream::pair().map_err(failed("monitor's channel"))?;
        let (state, begun) = match start.state {
            State::New => (None, Vec::new()),
            State::Restored { from, console } => (Some(from), console),
        };
        let mut keep: Vec<OwnedFd> = vec![qmp.into()];
        let lane = start.spec.deterministic.as_ref();
        // QEMU alone keeps the other end, so that whoever follows one of its files sees its death.
        let alive = lane.map(|_| io::pipe()).transpose().map_err(failed("machine's life line"))?;
        let (alive, ours) = alive.unzip();
        keep.extend(ours.map(OwnedFd::from));
        let mut attach = |file: Option<PathBuf>| -> io::Result<(UnixStream, Endpoint)> {
            match (file, &alive) {
                (Some(path), Some(alive)) => {
                    Ok((follow(&path, alive.try_clone()?.into())?, Endpoint::File(path)))
                }
                _ => {
                    let (host, guests) = UnixStream::pair()?;
                    let endpoint = Endpoint::Fd(guests.as_raw_fd());
                    keep.push(guests.into());
                    Ok((host, endpoint))
                }
            }
        };
        let (agent_host, agent) =
            attach(lane.map(Deterministic::agent)).map_err(failed("agent's channel"))?;
        let (log, console) = match start.console {
            Console::Socket(console) => {
                let endpoint = Endpoint::Fd(console.as_raw_fd());
                keep.push(console.into());
                (None, endpoint)
            }
            Console::Log(path) => {
                let (host, console) =
                    attach(lane.map(Deterministic::console)).map_err(failed("console's channel"))?;
                // Before QEMU is there, so that nothing but its own start can fail after.
                let log =
                    console::capture(host, &path, begun, events.clone()).map_err(failed("console log"))?;
                (Some(log), console)
            }
        };
        let endpoints = Endpoints {
            qmp: Endpoint::Fd(keep[0].as_raw_fd()),
            agent,
            console,
            tpm: start.tpm.as_ref().map(|fd| Endpoint::Fd(fd.as_raw_fd())),
        };
        keep.extend(start.tpm);
        let mut arguments = argv(start.spec, &endpoints);
        if state.is_some() {
            arguments.extend(["-incoming", "defer"].map(String::from));
        }
        let mut command = Command::new(&start.qemu);
        command.args(&arguments);
        let mut line = vec![start.qemu.to_string_lossy().into_owned()];
        line.extend(arguments);

        let child = child::spawn(command, keep)?;
        drop(events.send(What::Host(Host::Spawned { child: "qemu".into(), pid: child.pid() })));
        spawned();

        let connected = Qmp::connect(qmp_host, events.clone(), start.patience);
        let (mut qmp, failure) = match (connected, state) {
            (Ok(mut qmp), Some(state)) => {
                let failure = qmp.move_state("migrate-incoming", state, start.patience).err();
                (Some(qmp), failure)
            }
            (Ok(qmp), None) => (Some(qmp), None),
            (Err(reason), _) => (None, Some(reason)),
        };
        let reader = qmp.as_mut().and_then(Qmp::take_reader);
        let (done, drained) = channel();
        let last = events.clone();
        let watcher = child.on_exit(move |exit| {
            // QEMU's ends of the channels are closed, so both threads come to their ends.
            let log = log.map_or(Ok(()), |log| {
                log.join().unwrap_or_else(|_| Err(io::Error::other("the console's thread died")))
            });
            if let Some(reader) = reader {
                let _ = reader.join();
            }
            drop(last.send(What::Host(Host::Exited { child: "qemu".into(), status: exit.status() })));
            drop(done.send(log));
        });
        if let Err(source) = watcher {
            child.kill();
            return Err(failed("watcher")(source));
        }
        match (qmp, failure) {
            (Some(qmp), None) => {
                let machine = Self { qmp, child, drained, stopped: None, command: line };
                Ok((machine, agent_host))
            }
            (_, failure) => {
                let reason = failure.unwrap_or(QmpError::Closed);
                let patience = match reason {
                    // QEMU is on its way out: what it has to say comes with its end.
                    QmpError::Closed => start.patience,
                    // So it is where it was started for that state alone.
                    QmpError::NotMoved(_) => QUIT_PATIENCE,
                    _ => Duration::ZERO,
                };
                let ended = child.wait(patience);
                child.kill();
                let _ = drained.recv_timeout(DRAIN_PATIENCE);
                let output = child.output();
                Err(match ended {
                    Some(exit) => StartError::Ended { exit, output },
                    None => StartError::Monitor { reason, output },
                })
            }
        }
    }

    /// The whole command line, for the bundle.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// QEMU's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// QEMU's monitor.
    pub fn qmp(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    /// Stops the guest and writes the machine's state to `channel`; returns when all of it is written. Nothing can be done
    /// with the machine then but to end it.
    ///
    /// # Errors
    /// [`QmpError`]; where the channel takes no more, that is [`QmpError::NotMoved`].
    pub fn save(&mut self, channel: OwnedFd, patience: Duration) -> Result<(), QmpError> {
        self.qmp.stop(patience)?;
        // A machine that something else stopped would be stopped by it when it is restored.
        match self.qmp.status(patience)?.as_str() {
            "paused" => self.qmp.move_state("migrate", channel, patience),
            other => Err(QmpError::NotMoved(format!("it is `{other}`, not paused"))),
        }
    }

    /// What its processors do: registers and interrupt controllers, or why QEMU does not tell.
    pub fn processors(&mut self) -> String {
        processors::describe(&mut self.qmp, QUIT_PATIENCE)
    }

    /// Sends the guest an NMI, by which a kernel with [`super::command::KERNEL_ARGS`] panics and tells what its tasks wait for;
    /// whether QEMU did so.
    pub fn interrupt(&mut self) -> bool {
        self.qmp.execute("inject-nmi", serde_json::json!({}), QUIT_PATIENCE).is_ok()
    }

    /// How QEMU ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<Exit> {
        self.child.ended()
    }

    /// Waits for QEMU to end by itself, at most `patience`.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Option<Exit> {
        self.child.wait(patience)
    }

    /// Ends QEMU: asks it, waits, kills it; then waits for the last of its events. May be called again and
    /// then tells the same.
    pub fn stop(&mut self) -> Stopped {
        if let Some(stopped) = &self.stopped {
            return stopped.clone();
        }
        let mut forced = false;
        let exit = match self.child.ended() {
            Some(exit) => exit,
            None => {
                // Stopped or stuck, it does not answer; the kill below takes it all the same.
                let asked = self.qmp.quit(QUIT_PATIENCE);
                let ended = asked.ok().and_then(|()| self.child.wait(QUIT_PATIENCE));
                ended.unwrap_or_else(|| {
                    forced = true;
                    self.child.kill()
                })
            }
        };
        let console_log = match self.drained.recv_timeout(DRAIN_PATIENCE) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(RecvTimeoutError::Timeout) => Some("the console was still held open".into()),
            Err(RecvTimeoutError::Disconnected) => Some("the console's watcher died".into()),
        };
        let stopped = Stopped { exit, forced, console_log, output: self.child.output() };
        self.stopped = Some(stopped.clone());
        stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tpm_that_was_late_at_the_start_is_told_from_an_option_that_is_unknown() {
        let ended = |output: &str| StartError::Ended { exit: Exit::Code(1), output: output.into() };
        let late = "qemu-system-x86_64: -tpmdev emulator,id=tpm0,chardev=tpm: 'tpm' is not emulating TPM device. Error: Success";
        assert!(ended(late).hint().unwrap().contains("try fewer `--jobs`"));
        let unknown = "qemu-system-x86_64: -device tpm-tis: 'tpm-tis' is not a valid device model name";
        assert!(ended(unknown).hint().unwrap().contains("newer than this QEMU"));
    }
}
