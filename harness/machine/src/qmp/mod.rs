//! A small client of QEMU's monitor: commands with a deadline, events to the run's stream.
//!
//! What it does not know it passes over, so that it works with any QEMU; what is no QMP at all is an error.

mod message;

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use serde_json::{Value, json};

use crate::send::send;
use imalab_trace::What;
pub use message::{Incoming, parse};

/// Longest line that is taken from QEMU, in bytes. `query-qmp-schema`, its longest answer, is about 0.2 MB.
const MAX_LINE: u64 = 4 * 1024 * 1024;

/// Answers that wait to be taken; a command has one, and those beyond are to none.
const ANSWERS: usize = 64;

/// The event by which QEMU tells how far it has got with moving a machine's state; only where that was asked for.
const MOVING: &str = "MIGRATION";

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    /// No answer in time: QEMU is stopped, stuck, or the host is overloaded.
    #[error("QEMU's monitor did not answer `{command}` within {patience:?}")]
    Silent {
        /// What was asked (`greeting` at the start).
        command: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The connection ended, as it does when QEMU ends.
    #[error("QEMU's monitor closed the connection")]
    Closed,
    /// QEMU refused.
    #[error("QEMU refused `{command}`: {description} ({class})")]
    Refused {
        /// What was asked.
        command: String,
        /// QEMU's class of the error.
        class: String,
        /// QEMU's words.
        description: String,
    },
    /// A machine's state was not moved.
    #[error("QEMU could not move the machine's state: {0}")]
    NotMoved(String),
    /// What came is no QMP.
    #[error("QEMU's monitor sent something that is no QMP: {0}")]
    Malformed(String),
    /// A line of more than 4 MiB.
    #[error("QEMU's monitor sent a line longer than {MAX_LINE} bytes")]
    Oversized,
    /// The socket failed.
    #[error("QEMU's monitor cannot be reached: {0}")]
    Socket(String),
}

impl From<io::Error> for QmpError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Socket(error.to_string()),
        }
    }
}

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
            _ => return Err(QmpError::Malformed("the first message is no greeting".into())),
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

/// Reads until the stream ends or breaks, which is the last thing that is told.
fn read(
    mut input: impl BufRead,
    events: &imalab_trace::Sender,
    found: &SyncSender<Result<Incoming, QmpError>>,
) {
    loop {
        let message = match read_line(&mut input) {
            Ok(line) => parse(&line).map_err(QmpError::Malformed),
            Err(reason) => Err(reason),
        };
        let over = message.is_err();
        // Nobody listens any more: then neither is the rest of interest, but QEMU must not block on us.
        match message {
            // Asked for, and nothing that the guest does.
            Ok(Incoming::Event(event)) if event["event"] == MOVING => {
                drop(found.try_send(Ok(Incoming::Event(event))))
            }
            Ok(Incoming::Event(event)) => drop(events.send(What::Qmp(event))),
            Ok(Incoming::Unknown) => {}
            other => drop(found.try_send(other)),
        }
        if over {
            return;
        }
    }
}

fn read_line(input: &mut impl BufRead) -> Result<Vec<u8>, QmpError> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    match line.last() {
        Some(b'\n') => Ok(line),
        Some(_) if line.len() as u64 == MAX_LINE => Err(QmpError::Oversized),
        Some(_) | None => Err(QmpError::Closed),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use imalab_trace::channel;
    use rstest::rstest;

    const PATIENCE: Duration = Duration::from_secs(60);
    const HASTE: Duration = Duration::from_millis(20);
    const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}}}"#;

    /// A monitor that answers each line that it gets with the next of `answers`, then waits for the end.
    fn monitor(greeting: &str, answers: &[&str]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let greeting = greeting.to_owned();
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        thread::spawn(move || {
            let mut output = theirs.try_clone().unwrap();
            let mut input = BufReader::new(theirs);
            let mut line = String::new();
            output.write_all(greeting.as_bytes()).unwrap();
            for answer in answers {
                input.read_line(&mut line).unwrap();
                if output.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            let _ = input.read_line(&mut line);
        });
        ours
    }

    #[test]
    fn runs_commands_and_passes_events_on() {
        let greeting = format!("{GREETING}\n");
        let stream = monitor(
            &greeting,
            &[
                "{\"return\": {}, \"id\": 1}\n",
                "{\"event\": \"STOP\"}\n{\"news\": 1}\n{\"return\": {}, \"id\": 2}\n",
                "{\"return\": {\"status\": \"paused\"}, \"id\": 3}\n",
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 4}\n",
            ],
        );
        let (events, seen) = channel();
        let mut qmp = Qmp::connect(stream, events, PATIENCE).unwrap();
        assert_eq!(qmp.version(), "7.2.0");
        qmp.stop(PATIENCE).unwrap();
        assert_eq!(seen.recv().unwrap(), What::Qmp(json!({"event": "STOP"})));
        assert_eq!(qmp.status(PATIENCE).unwrap(), "paused");
        assert_eq!(qmp.cont(PATIENCE).unwrap_err().to_string(), "QEMU refused `cont`: no (GenericError)");
    }

    #[rstest]
    // The event may come before the command's answer.
    #[case::done_at_once(["", "completed"], Ok(()))]
    #[case::done_later(["active", "completed"], Ok(()))]
    #[case::failed(["setup", "failed"], Err(QmpError::NotMoved("failed".into())))]
    #[case::no_end(["setup", "active"], Err(QmpError::Silent { command: "migrate".into(), patience: HASTE }))]
    fn the_end_of_moving_a_state_is_waited_for(
        #[case] statuses: [&str; 2],
        #[case] expected: Result<(), QmpError>,
    ) {
        let greeting = format!("{GREETING}\n");
        let event =
            |status| format!("{{\"event\": \"MIGRATION\", \"data\": {{\"status\": \"{status}\"}}}}\n");
        let [before, after] = statuses;
        let (before, after) = match after {
            "completed" if before.is_empty() => (event(after), String::new()),
            _ => (event(before), event(after)),
        };
        let moving = format!("{before}{{\"return\": {{}}, \"id\": 5}}\n{after}");
        let done = |id| format!("{{\"return\": {{}}, \"id\": {id}}}\n");
        let answers = [done(1), done(2), done(3), done(4), moving];
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let (events, seen) = channel();
        let mut qmp = Qmp::connect(monitor(&greeting, &answers), events, PATIENCE).unwrap();
        let patience = if expected.is_ok() { PATIENCE } else { HASTE };
        let channel = UnixStream::pair().unwrap().0.into();
        assert_eq!(qmp.move_state("migrate", channel, patience), expected);
        drop(qmp);
        assert!(seen.iter().next().is_none(), "the run does not hear of it");
    }

    #[test]
    fn a_late_answer_is_not_taken_for_the_next_command() {
        let greeting = format!("{GREETING}\n");
        let stream = monitor(
            &greeting,
            &[
                "{\"return\": {}, \"id\": 1}\n",
                "",
                "{\"return\": {\"status\": \"late\"}, \"id\": 2}\n{\"return\": {\"status\": \"own\"}, \"id\": 3}\n",
            ],
        );
        let mut qmp = Qmp::connect(stream, channel().0, PATIENCE).unwrap();
        assert!(matches!(qmp.status(HASTE), Err(QmpError::Silent { .. })));
        assert_eq!(qmp.status(PATIENCE).unwrap(), "own");
    }

    #[rstest]
    #[case::silent("", HASTE, QmpError::Silent { command: "greeting".into(), patience: HASTE })]
    #[case::half_a_line("{\"QMP\"", HASTE, QmpError::Silent { command: "greeting".into(), patience: HASTE })]
    #[case::no_greeting("{\"return\": {}}\n", PATIENCE, QmpError::Malformed("the first message is no greeting".into()))]
    fn refuses_what_is_no_monitor(
        #[case] greeting: &str,
        #[case] patience: Duration,
        #[case] expected: QmpError,
    ) {
        let error = Qmp::connect(monitor(greeting, &[]), channel().0, patience).err().unwrap();
        assert_eq!(error, expected);
    }

    #[test]
    fn refuses_another_protocol() {
        let error = Qmp::connect(monitor("220 ready\r\n", &[]), channel().0, PATIENCE).err().unwrap();
        assert!(matches!(error, QmpError::Malformed(_)), "{error}");
    }

    #[test]
    fn notices_the_end_and_stays_closed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(Qmp::connect(ours, channel().0, PATIENCE).err(), Some(QmpError::Closed));

        let (ours, mut theirs) = UnixStream::pair().unwrap();
        writeln!(theirs, "{GREETING}\n{{\"return\": {{}}, \"id\": 1}}").unwrap();
        let mut qmp = Qmp::connect(ours, channel().0, PATIENCE).unwrap();
        drop(theirs);
        assert_eq!(qmp.status(PATIENCE), Err(QmpError::Closed));
        assert_eq!(qmp.status(PATIENCE), Err(QmpError::Closed));
        assert_eq!(qmp.quit(PATIENCE), Ok(()));
    }

    #[test]
    fn refuses_an_endless_line() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let writer = thread::spawn(move || {
            let block = vec![b'x'; 1 << 16];
            while theirs.write_all(&block).is_ok() {}
        });
        assert_eq!(Qmp::connect(ours, channel().0, PATIENCE).err(), Some(QmpError::Oversized));
        writer.join().unwrap();
    }
}
