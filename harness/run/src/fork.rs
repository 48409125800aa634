//! A machine that has booted once: its state, and what was observed until then. Others go on from there.

mod forks;
mod key;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use imalab_schedule::{End, Report};
use imalab_wire::Message;
use sha2::{Digest, Sha256};

use super::context::RunContext;
use super::guest::{Boot, Guest, GuestError, GuestSpec};
use super::lane::{NoReport, Seeded};
use super::stream::Stream;
pub use forks::{Forks, WORTHWHILE};
pub(super) use forks::{Found, one_line};
use imalab_language::plan::Shape;
use imalab_machine::State;
use imalab_machine::deadline::{Budget, Deadline, Progress};
use imalab_machine::qmp::QmpError;
use imalab_machine::tpm::tap::Admit;
use imalab_trace::{Event, Host, Unreadable, What};

/// How long writing a state may take, on a host as loaded as they get; 0.1 s on an idle one.
const SAVE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a boot may take; some 0.7 s on an idle host.
const BOOT: Budget = Budget { quiet: Duration::from_secs(60), cap: Duration::from_secs(120) };

/// Bytes that are moved at once.
const PORTION: usize = 1 << 20;

/// A saved machine.
#[derive(Debug)]
pub struct Saved {
    /// QEMU's stream, with guest memory, devices and TPM. The file has no name: it goes with this process.
    state: Arc<File>,
    /// Bytes of it.
    bytes: u64,
    /// What the guest did, as it was observed, in order: TPM commands and console lines.
    events: Vec<Event>,
    /// All bytes of its console.
    console: Vec<u8>,
    /// From the beginning of its first process to where it was saved.
    age: Duration,
    /// In the deterministic lane, what names it: machines of one name go on in the same way.
    name: String,
}

/// Why a machine was not saved. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// No guest.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// Its agent did not come to wait for a program.
    #[error("its agent did not reach the point where it waits for a program: {0}")]
    NotReady(String),
    /// Its state was not written by QEMU.
    #[error(transparent)]
    Save(QmpError),
    /// What was observed cannot be read back.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Its state or its console could not be kept.
    #[error("cannot keep its state")]
    Keep(#[source] io::Error),
    /// In the deterministic lane, nobody knows how it came to where it was saved.
    #[error("the schedule of its boot is not known: {0}")]
    NoSchedule(String),
}

impl Saved {
    /// Boots `shape` from `initramfs` to where its agent waits for a program, and saves it in a file that has no name. It is
    /// refused when it takes more than `most` bytes. In the deterministic lane it is saved at the same instruction every time,
    /// whatever the seed in `context` is.
    ///
    /// # Errors
    /// [`SaveError`].
    pub fn make(
        shape: &Shape,
        initramfs: PathBuf,
        context: RunContext<'_>,
        most: u64,
    ) -> Result<Saved, SaveError> {
        let begin = Instant::now();
        let context = RunContext { seeded: context.seeded.map(Seeded::booting), ..context };
        let folder = std::env::temp_dir();
        let mut stream = Stream::new(begin, &folder);
        let events = stream.sender();
        let (state, to) = UnixStream::pair().map_err(SaveError::Keep)?;
        let file = tempfile::tempfile_in(&folder).map_err(SaveError::Keep)?;
        let keeper = thread::Builder::new().name("state".into());
        let keeper = keeper.spawn(move || keep(state, file, most)).map_err(SaveError::Keep)?;
        let spec = GuestSpec {
            shape,
            initramfs,
            marks: &[],
            holds: &[],
            kexecs: false,
            admit: Admit::ThisProcess,
            console: None,
            boot: Boot::ToSave,
        };
        let narrow = stream.narrow();
        let mut guest = Guest::start(spec, context, begin, &events, narrow, || stream.drain())?;
        let interrupted = events.clone();
        let _listening =
            context.interrupts.on_signal(move || drop(interrupted.send(What::Host(Host::Interrupted))));
        until_ready(&mut stream)?;
        let saved = guest.machine().save(to.into(), SAVE_PATIENCE);
        let age = begin.elapsed();
        let ended = guest.stop();
        stream.drain();
        let console = std::fs::read(&ended.console_log).map_err(SaveError::Keep)?;
        // Why nothing more was taken says more than that QEMU could write no more.
        let kept = keeper.join().unwrap_or_else(|_| Err(io::Error::other("the thread that keeps it died")));
        let (state, bytes) = kept.map_err(SaveError::Keep)?;
        let state = Arc::new(state);
        saved.map_err(SaveError::Save)?;
        let events = prefix(stream, console.ends_with(b"\n"))?;
        let name = match ended.schedule {
            None => String::new(),
            Some(schedule) => name(&booted(schedule)?, &console, &events),
        };
        Ok(Saved { state, bytes, events, console, age, name })
    }

    /// What the schedule of a run in the deterministic lane that goes on from here begins with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What was observed before it was saved.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// When the machine of a run that goes on from here at `now` would have been started, had it booted itself.
    pub(super) fn epoch(&self, now: Instant) -> Instant {
        now.checked_sub(self.age).unwrap_or(now)
    }

    /// Bytes of its state.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same as a machine starts from, read by a thread that ends with QEMU's interest in it.
    pub(super) fn restored(&self) -> io::Result<State> {
        let (mut into, from) = UnixStream::pair()?;
        let state = Arc::clone(&self.state);
        let mut feed = move || -> io::Result<()> {
            let (mut at, mut portion) = (0, vec![0; PORTION]);
            loop {
                let count = state.read_at(&mut portion, at)?;
                if count == 0 {
                    return Ok(());
                }
                into.write_all(&portion[..count])?;
                at += count as u64;
            }
        };
        // What is missing QEMU misses, and says so.
        thread::Builder::new().name("state".into()).spawn(move || drop(feed()))?;
        Ok(State::Restored { from: from.into(), console: self.console.clone() })
    }
}

/// Writes what comes to `file`, up to `most` bytes, and counts them.
fn keep(mut state: UnixStream, mut file: File, most: u64) -> io::Result<(File, u64)> {
    let (mut left, mut portion) = (most, vec![0; PORTION]);
    loop {
        let count = match state.read(&mut portion) {
            Ok(0) => return Ok((file, most - left)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        left = left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(format!("more than {} MiB of states of machines", most / (1024 * 1024)))
        })?;
        file.write_all(&portion[..count])?;
    }
}

/// The schedule of a boot, if it came to where the machine is saved.
fn booted(schedule: Result<Report, NoReport>) -> Result<Report, SaveError> {
    match schedule {
        Ok(report) if report.end == End::Reached => Ok(report),
        Ok(_) => Err(SaveError::NoSchedule("the guest was stopped somewhere else".to_owned())),
        Err(error) => Err(SaveError::NoSchedule(error.to_string())),
    }
}

/// SHA-256 of all that was seen of a boot and does not depend on the host: its schedule, console, and what the guest and its
/// TPM told each other. QEMU's stream is not the same twice: it has times of the host, and the TPM's secrets.
fn name(report: &Report, console: &[u8], events: &[Event]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(report.hash.as_bytes());
    part(console);
    for event in events {
        if let What::Tpm(exchange) = &event.what {
            part(&exchange.command);
            part(&exchange.answer);
        }
    }
    hex::encode(hash.finalize())
}

/// Takes events until the agent waits for a program.
fn until_ready(stream: &mut Stream) -> Result<(), SaveError> {
    let mut deadline = Deadline::new(BOOT, Instant::now());
    let mut progress = Progress::default();
    loop {
        let now = Instant::now();
        if let Some(expired) = deadline.expired(now) {
            return Err(SaveError::NotReady(expired.to_string()));
        }
        let next = stream.next(deadline.left(now), |what| {
            let over = match what {
                What::Guest(Message::Waiting) => Some(Ok(())),
                What::Guest(_) => Some(Err("its image has another version".to_owned())),
                What::Host(Host::Exited { child, status }) => Some(Err(format!("{child} ended ({status})"))),
                What::Host(Host::Interrupted) => Some(Err("interrupted".to_owned())),
                What::Host(Host::BadFrame { text } | Host::Flooded { text, .. }) => Some(Err(text.clone())),
                _ => None,
            };
            (over, progress.is_made_by(what))
        });
        match next {
            Ok((Some(over), _)) => return over.map_err(SaveError::NotReady),
            Ok((None, true)) => deadline.progress(Instant::now()),
            Ok((None, false)) | Err(_) => {}
        }
    }
}

/// What a run that goes on from here has in its trace, as if it had seen it itself: what the guest did. Its processes are
/// gone, and what they did is of no use to it.
fn prefix(stream: Stream, whole_lines: bool) -> Result<Vec<Event>, Unreadable> {
    let trace = stream.into_trace();
    let mut events = Vec::new();
    for seen in trace.iter() {
        let seen = seen?;
        if matches!(seen.event().what, What::Tpm(_) | What::Console(_)) {
            events.push(seen.event().clone());
        }
    }
    // The rest of an unfinished line is said, and told with it, by each machine that goes on.
    if !whole_lines && let Some(at) = events.iter().rposition(|event| matches!(event.what, What::Console(_)))
    {
        events.remove(at);
    }
    Ok(events)
}
