//! A run's event stream as JSON lines: a header line, then one event a line.
//!
//! It is written while the run goes on, and read back years later by a better check.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::input;
use imalab_files::atomic::{FileError, PendingFile};
use imalab_trace::{Event, Recording, Trace, Unreadable, What};

/// Longest line that is read, in bytes: an event holds at most a frame's payload or a TPM command, far below it.
const LINE_LIMIT: u64 = 16 * 1024 * 1024;

/// Most bytes of all events that stay in memory, which the many and large ones do not.
const KEPT_LIMIT: u64 = 256 * 1024 * 1024;

/// Most bytes of all reports of QEMU's monitor, which are few and short, and whose form anybody may choose.
const MONITOR_LIMIT: u64 = 4 * 1024 * 1024;

/// Version of a trace's form.
pub const SCHEMA: u32 = 1;

/// What the first line says.
const KIND: &str = "imalab trace";

#[derive(Serialize, Deserialize)]
struct Header {
    kind: String,
    schema: u32,
}

/// Writes a stream as it comes in.
#[derive(Debug)]
pub struct TraceWriter {
    file: PendingFile,
    next: u64,
}

impl TraceWriter {
    /// Starts the file that is to be at `path`.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn create(path: &Path) -> Result<TraceWriter, FileError> {
        let mut writer = TraceWriter { file: PendingFile::create(path)?, next: 0 };
        writer.line(&Header { kind: KIND.to_owned(), schema: SCHEMA })?;
        Ok(writer)
    }

    /// Adds the next event.
    ///
    /// # Errors
    /// When its `seq` is not the next one, or the disk is full.
    pub fn append(&mut self, event: &Event) -> Result<(), FileError> {
        if event.seq != self.next {
            let text = format!("expected event {}, found event {}", self.next, event.seq);
            return Err(self.error(io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        self.line(event)?;
        self.next += 1;
        Ok(())
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// When the last bytes do not fit on the disk.
    pub fn finish(self) -> Result<(), FileError> {
        self.file.finish()
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), FileError> {
        let result = serde_json::to_writer(&mut self.file, value).map_err(io::Error::from);
        result.and_then(|()| self.file.write_all(b"\n")).map_err(|error| self.error(error))
    }

    fn error(&self, source: io::Error) -> FileError {
        FileError::new("write", self.file.path(), source)
    }
}

/// Writes a whole trace.
///
/// # Errors
/// When an event is out of order, or the file cannot be written whole.
pub fn write(path: &Path, trace: &Trace) -> Result<(), FileError> {
    let mut writer = TraceWriter::create(path)?;
    for seen in trace.iter() {
        let seen = seen.map_err(|error: Unreadable| writer.error(io::Error::other(error)))?;
        writer.append(seen.event())?;
    }
    writer.finish()
}

/// Reads a whole trace. What is much of it goes into a file without a name in the system's folder for such.
///
/// # Errors
/// When the file cannot be read or any line is not the event that was to come.
pub fn read(path: &Path) -> Result<Trace, TraceError> {
    let mut recording = Recording::within(&std::env::temp_dir());
    for event in TraceReader::open(path)? {
        recording.push(event?);
    }
    Ok(recording.finish())
}

/// Why a stored trace cannot be read. Lines count from 1, the header's.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TraceError {
    /// The file itself.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] FileError),
    /// The first line is not a trace's.
    #[error("{} is not a trace of imalab: line 1 is not its header", path.display())]
    NoTrace {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version of imalab.
    #[error("{}, line 1: schema {found}, and this imalab reads schema {SCHEMA}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Not an event.
    #[error("{}, line {line}: not an event", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What was expected.
        #[source]
        source: serde_json::Error,
    },
    /// An event is missing, doubled or out of place.
    #[error("{}, line {line}: expected event {expected}, found event {found}", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The `seq` that was to come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// The last line has no end: the file was cut off.
    #[error("{}, line {line}: the file ends within this line", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
    },
    /// More than any run leaves.
    #[error("{}, line {line}: there are more events than any run has", path.display())]
    TooMuch {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
    },
    /// A line longer than any event.
    #[error("{}, line {line}: longer than {LINE_LIMIT} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
    },
}

/// Reads a stream event by event, in memory for one event. After the first error there is no more.
#[derive(Debug)]
pub struct TraceReader<R> {
    input: R,
    path: PathBuf,
    line: u64,
    next: u64,
    kept: u64,
    monitor: u64,
    buffer: Vec<u8>,
    over: bool,
}

impl TraceReader<BufReader<File>> {
    /// Opens a stored trace.
    ///
    /// # Errors
    /// When it cannot be opened, or its header is not a trace's of this schema.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = input::open(path, input::TRACE)?;
        TraceReader::new(BufReader::new(file), path)
    }
}

impl<R: BufRead> TraceReader<R> {
    /// Reads from any input; `path` names it in errors.
    ///
    /// # Errors
    /// As [`TraceReader::open`].
    pub fn new(input: R, path: &Path) -> Result<Self, TraceError> {
        let (path_of, buffer) = (path.to_owned(), Vec::new());
        let mut reader =
            TraceReader { input, path: path_of, line: 0, next: 0, kept: 0, monitor: 0, buffer, over: false };
        let no_trace = || TraceError::NoTrace { path: path.to_owned() };
        if !reader.fill()? {
            return Err(no_trace());
        }
        let header: Header = serde_json::from_slice(&reader.buffer).map_err(|_| no_trace())?;
        match (header.kind.as_str(), header.schema) {
            (KIND, SCHEMA) => Ok(reader),
            (KIND, found) => Err(TraceError::Schema { path: reader.path, found }),
            _ => Err(no_trace()),
        }
    }

    /// Reads the next line, without its end, into the buffer; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool, TraceError> {
        self.buffer.clear();
        self.line += 1;
        let read = (&mut self.input).take(LINE_LIMIT).read_until(b'\n', &mut self.buffer);
        read.map_err(|error| FileError::new("read", &self.path, error))?;
        match self.buffer.pop() {
            None => Ok(false),
            Some(b'\n') => Ok(true),
            Some(_) if self.buffer.len() as u64 + 1 == LINE_LIMIT => {
                Err(TraceError::TooLong { path: self.path.clone(), line: self.line })
            }
            Some(_) => Err(TraceError::CutOff { path: self.path.clone(), line: self.line }),
        }
    }

    fn event(&mut self) -> Result<Option<Event>, TraceError> {
        if !self.fill()? {
            return Ok(None);
        }
        let event: Event = serde_json::from_slice(&self.buffer).map_err(|source| TraceError::Malformed {
            path: self.path.clone(),
            line: self.line,
            source,
        })?;
        if event.seq != self.next {
            let (expected, found) = (self.next, event.seq);
            return Err(TraceError::Gap { path: self.path.clone(), line: self.line, expected, found });
        }
        let length = self.buffer.len() as u64;
        self.kept += if event.what.is_bulk() { 0 } else { length };
        self.monitor += if matches!(event.what, What::Qmp(_)) { length } else { 0 };
        if self.kept > KEPT_LIMIT || self.monitor > MONITOR_LIMIT {
            return Err(TraceError::TooMuch { path: self.path.clone(), line: self.line });
        }
        self.next += 1;
        Ok(Some(event))
    }
}

impl<R: BufRead> Iterator for TraceReader<R> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = self.event().transpose();
        self.over = !matches!(item, Some(Ok(_)));
        item
    }
}
