//! A small client of QEMU's monitor: commands with a deadline, events to the run's stream.
//!
//! What it does not know it passes over, so that it works with any QEMU; what is no QMP at all is an error.

mod error;
mod message;
mod reader;
#[cfg(test)]
mod tests;

use std::io::{BufReader, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::send::send;
pub use error::QmpError;
pub use message::{Incoming, parse};
use reader::read;

/// Answers that wait to be taken; a command has one, and those beyond are to none.
const ANSWERS: usize = 64;

/// A connection to a monitor in command mode.
///
/// After [`QmpError::Silent`] it may be used on: a late answer is recognised by its number and dropped.
pub struct Qmp {
    stream: UnixStream,
    incoming: Receiver<Result<Incoming, QmpError>>,
    /// The reading thread; it has ended when QEMU has.
    reader: Option<thread::JoinHandle<()>>,
    version: String,
    last_id: u64,
    /// What came of moving the machine's state, once that is over.
    moved: Option<Result<(), QmpError>>,
    /// The stream broke for this reason and will not mend.
    broken: Option<QmpError>,
}

impl Qmp {
    /// Takes the greeting and enters command mode, within `patience` for each. From then on every event goes
    /// to `events`.
    ///
    /// # Errors
    /// [`QmpError`].
    pub fn connect(
        stream: UnixStream,
        events: imalab_trace::Sender,
        patience: Duration,
    ) -> Result<Self, QmpError> {
        // A stopped QEMU reads nothing; commands are far smaller than the socket's buffer, yet may add up.
        stream.set_write_timeout(Some(patience))?;
        let input = stream.try_clone()?;
        let (found, incoming) = sync_channel(ANSWERS);
        let reader = thread::Builder::new()
            .name("qmp".into())
            .spawn(move || read(BufReader::new(input), &events, &found))?;
        let mut qmp = Self {
            stream,
            incoming,
            reader: Some(reader),
            version: String::new(),
            last_id: 0,
            moved: None,
            broken: None,
        };
        match qmp.next("greeting", patience, Instant::now() + patience)? {
            Incoming::Greeting { version } => qmp.version = version,
            _ => return Err(QmpError::Malformed("the first message is not a greeting".into())),
        }
        qmp.execute("qmp_capabilities", json!({}), patience)?;
        Ok(qmp)
    }

    /// QEMU's version, `major.minor.micro`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs `command` and gives its `return` value.
    ///
    /// # Errors
    /// [`QmpError`].
    pub fn execute(
        &mut self,
        command: &str,
        arguments: Value,
        patience: Duration,
    ) -> Result<Value, QmpError> {
        self.execute_with(command, arguments, None, patience)
    }

    /// The same with a descriptor, which travels with the command's bytes (`SCM_RIGHTS`, unix(7)).
    fn execute_with(
        &mut self,
        command: &str,
        arguments: Value,
        descriptor: Option<RawFd>,
        patience: Duration,
    ) -> Result<Value, QmpError> {
        if let Some(reason) = &self.broken {
            return Err(reason.clone());
        }
        self.last_id += 1;
        let until = Instant::now() + patience;
        let mut line = json!({"execute": command, "arguments": arguments, "id": self.last_id}).to_string();
        line.push('\n');
        let written = send(&self.stream, line.as_bytes(), descriptor);
        if let Err(error) = written {
            // A half-written command cannot be taken back.
            let error = match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    QmpError::Silent { command: command.into(), patience }
                }
                _ => error.into(),
            };
            self.broken = Some(error.clone());
            return Err(error);
        }
        loop {
            match self.next(command, patience, until)? {
                Incoming::Answer { id: Some(id), result } if id == self.last_id => {
                    return result.map_err(|(class, description)| QmpError::Refused {
                        command: command.into(),
                        class,
                        description,
                    });
                }
                Incoming::Event(event) => self.note_moving(&event),
                // To an earlier command that was given up, or nothing that we know.
                _ => {}
            }
        }
    }

    /// Has QEMU move the machine's state by `command`, `migrate` or `migrate-incoming`, through a copy of `channel`, and
    /// waits until that is done.
    ///
    /// # Errors
    /// [`QmpError`]. A QEMU that cannot take a state ends, which is [`QmpError::Closed`].
    pub(super) fn move_state(
        &mut self,
        command: &str,
        channel: OwnedFd,
        patience: Duration,
    ) -> Result<(), QmpError> {
        let until = Instant::now() + patience;
        let events = json!({"capabilities": [{"capability": "events", "state": true}]});
        self.execute("migrate-set-capabilities", events, patience)?;
        // A restored machine would tell its network where it is, by timers of the host's time, and has none. In the deterministic
        // lane a processor's turn is no longer than until the next such timer (`icount_get_limit`).
        self.execute("migrate-set-parameters", json!({"announce-rounds": 0}), patience)?;
        self.execute_with("getfd", json!({"fdname": "state"}), Some(channel.as_raw_fd()), patience)?;
        // QEMU has the only one now, so that either end sees the other's.
        drop(channel);
        self.moved = None;
        self.execute(command, json!({"uri": "fd:state"}), patience)?;
        loop {
            if let Some(moved) = self.moved.take() {
                return moved;
            }
            if let Incoming::Event(event) = self.next(command, patience, until)? {
                self.note_moving(&event);
            }
        }
    }

    fn note_moving(&mut self, event: &Value) {
        match event["data"]["status"].as_str() {
            Some("completed") => self.moved = Some(Ok(())),
            Some(over @ ("failed" | "cancelled")) => {
                self.moved = Some(Err(QmpError::NotMoved(over.to_owned())));
            }
            _ => {}
        }
    }

    /// Whether the guest runs, as QEMU's `RunState` (`running`, `paused`, `shutdown`...).
    ///
    /// # Errors
    /// [`QmpError`].
    pub fn status(&mut self, patience: Duration) -> Result<String, QmpError> {
        let status = self.execute("query-status", json!({}), patience)?;
        status["status"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| QmpError::Malformed(format!("query-status returned {status}")))
    }

    /// Stops all vCPUs.
    ///
    /// # Errors
    /// [`QmpError`].
    pub fn stop(&mut self, patience: Duration) -> Result<(), QmpError> {
        self.execute("stop", json!({}), patience).map(drop)
    }

    /// Lets the vCPUs run on.
    ///
    /// # Errors
    /// [`QmpError`].
    pub fn cont(&mut self, patience: Duration) -> Result<(), QmpError> {
        self.execute("cont", json!({}), patience).map(drop)
    }

    /// Ends QEMU. It answers before it ends, or ends before it answers: both are success.
    ///
    /// # Errors
    /// [`QmpError`], except [`QmpError::Closed`].
    pub fn quit(&mut self, patience: Duration) -> Result<(), QmpError> {
        match self.execute("quit", json!({}), patience) {
            Ok(_) | Err(QmpError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The reading thread, which ends with QEMU, for whoever wants to wait until all events are told.
    pub(super) fn take_reader(&mut self) -> Option<thread::JoinHandle<()>> {
        self.reader.take()
    }

    fn next(&mut self, command: &str, patience: Duration, until: Instant) -> Result<Incoming, QmpError> {
        match self.incoming.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(incoming)) => Ok(incoming),
            Ok(Err(reason)) => {
                self.broken = Some(reason.clone());
                Err(reason)
            }
            Err(RecvTimeoutError::Timeout) => Err(QmpError::Silent { command: command.into(), patience }),
            Err(RecvTimeoutError::Disconnected) => Err(QmpError::Closed),
        }
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        // Wakes the reading thread even when QEMU lives on.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
