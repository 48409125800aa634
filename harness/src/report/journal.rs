//! Results as they come: a file that is there while a suite runs, and stays where its results could not be written.
//!
//! JSON lines: a header, then a run's result a line. A call that is killed leaves what had ended before; `merge` reads it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::input;
use super::json::{ReadError, SCHEMA};
use crate::suite::SuiteEvent;
use imalab_check::outcome::{RunResult, Shard, SuiteResult};
use imalab_files::atomic::FileError;

/// What it is called beside the results that it stands in for.
pub(super) const SUFFIX: &str = ".unfinished";

/// What the first line begins with.
const KIND: &str = "imalab results";

#[derive(Serialize, Deserialize)]
struct Header {
    kind: String,
    schema: u32,
    shard: Option<Shard>,
}

/// The file on its way, or none.
#[derive(Debug, Default)]
pub struct Journal {
    path: Option<PathBuf>,
    file: Option<File>,
    trouble: Option<FileError>,
}

/// The journal of the results that are to be at `results`.
pub fn beside(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

impl Journal {
    /// One for results that are to be at `results`; without a place there is none.
    pub fn of(results: Option<&Path>) -> Journal {
        Journal { path: results.map(beside), ..Journal::default() }
    }

    /// Keeps what it is there for.
    pub fn event(&mut self, event: SuiteEvent<'_>) {
        match event {
            SuiteEvent::Planned(suite) => self.begin(suite.shard.as_ref()),
            SuiteEvent::RunEnded(run) => self.append(run),
            _ => {}
        }
    }

    /// Starts it.
    pub fn begin(&mut self, shard: Option<&Shard>) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => self.file = Some(file),
            Err(error) => return self.fail(error),
        }
        self.line(&Header { kind: KIND.to_owned(), schema: SCHEMA, shard: shard.cloned() });
    }

    /// Adds a run's result. After the first trouble it adds no more: what is there stays whole.
    pub fn append(&mut self, run: &RunResult) {
        self.line(run);
    }

    /// Ends it. It is removed when the results are `written`, and else its place is given back.
    ///
    /// # Errors
    /// What kept it from being whole, where it is needed.
    pub fn end(mut self, written: bool) -> Result<Option<PathBuf>, FileError> {
        let there = self.file.take().is_some() || self.trouble.is_some();
        let Some(path) = self.path.take() else { return Ok(None) };
        if written {
            if there && self.trouble.as_ref().is_none_or(|error| !is_anothers(error)) {
                // One that stays is read by nobody: the results are beside it.
                let _ = fs::remove_file(&path);
            }
            return Ok(None);
        }
        self.trouble.map_or(Ok(there.then_some(path)), Err)
    }

    fn line(&mut self, value: &impl Serialize) {
        let (Some(file), Some(path)) = (&mut self.file, &self.path) else { return };
        let text = serde_json::to_vec(value).map_err(io::Error::from);
        let written = text.and_then(|mut text| {
            text.push(b'\n');
            file.write_all(&text)
        });
        if let Err(error) = written {
            let error = FileError::new("write", path, error);
            self.fail(error);
        }
    }

    fn fail(&mut self, error: FileError) {
        self.file = None;
        self.trouble.get_or_insert(error);
    }
}

/// Whether there is something in its place that is none of ours.
fn is_anothers(error: &FileError) -> bool {
    error.source.kind() == io::ErrorKind::AlreadyExists
}

/// Opens it, if there is nothing or an older one.
fn open(path: &Path) -> Result<File, FileError> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let fail = |error| FileError::new("write", path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags)
        .open(path)
        .map_err(fail)?;
    let mut head = Vec::new();
    let ours = format!("{{\"kind\":\"{KIND}\"");
    if file.metadata().map_err(fail)?.is_file() {
        Read::by_ref(&mut file).take(ours.len() as u64).read_to_end(&mut head).map_err(fail)?;
        if head.is_empty() || head == ours.as_bytes() {
            file.set_len(0).map_err(fail)?;
            io::Seek::rewind(&mut file).map_err(fail)?;
            return Ok(file);
        }
    }
    Err(fail(io::Error::new(io::ErrorKind::AlreadyExists, "something else is there")))
}

/// Reads what a call left that did not come to its end.
///
/// # Errors
/// When it cannot be read or is no such file. A last line that was cut off is left out.
pub fn read(path: &Path) -> Result<SuiteResult, ReadError> {
    let input = input::open(path, input::RESULTS)?;
    let mut lines = io::BufReader::new(input).split(b'\n');
    let malformed = |source| ReadError::Malformed { path: path.to_owned(), source };
    let mut next = || -> Result<Option<Vec<u8>>, ReadError> {
        Ok(lines.next().transpose().map_err(|error| FileError::new("read", path, error))?)
    };
    let header: Header = serde_json::from_slice(&next()?.unwrap_or_default()).map_err(malformed)?;
    if (header.kind.as_str(), header.schema) != (KIND, SCHEMA) {
        return Err(ReadError::Schema { path: path.to_owned(), found: header.schema });
    }
    let mut runs: Vec<RunResult> = Vec::new();
    while let Some(line) = next()? {
        match serde_json::from_slice(&line) {
            Ok(run) => runs.push(run),
            // Nothing comes after what was being written when the call was killed.
            Err(error) if error.is_eof() && next()?.is_none() => break,
            Err(error) => return Err(malformed(error)),
        }
    }
    runs.sort_by_key(|run| run.place);
    let wall_ms = runs.iter().fold(0, |sum: u64, run| sum.saturating_add(run.wall_ms));
    Ok(SuiteResult { schema: SCHEMA, runs, wall_ms, interrupted: true, shard: header.shard })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(place: u64) -> RunResult {
        serde_json::from_value(serde_json::json!({
            "scenario": "stage/once", "parameters": {}, "kernel": "k", "release": null, "interface": null,
            "lane": "free", "accelerator": null, "seed": 1, "repeat": 1, "place": place, "outcome": "failed",
            "reason": "a record is lost", "checks": [], "console_tail": [], "wall_ms": 1, "boot_ms": null,
            "guest_ms": null, "dir": null, "bundle": null, "repro": null
        }))
        .unwrap()
    }

    fn begun(folder: &Path) -> Journal {
        let mut journal = Journal::of(Some(&folder.join("r.json")));
        journal.begin(None);
        journal.append(&run(1));
        journal.append(&run(0));
        journal
    }

    #[test]
    fn a_killed_call_leaves_what_had_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json.unfinished");
        drop(begun(folder.path()));
        let suite = read(&path).unwrap();
        assert_eq!(suite.runs.iter().map(|run| run.place).collect::<Vec<_>>(), [0, 1]);
        assert!(suite.interrupted);
        // Killed in the middle of a line.
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        assert_eq!(read(&path).unwrap().runs.len(), 1);
        fs::write(&path, [&text[..text.len() / 2], b"\n", &text[..]].concat()).unwrap();
        assert!(read(&path).is_err(), "that is not where a call was killed");
    }

    #[test]
    fn it_goes_when_the_results_are_there_and_is_named_when_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json.unfinished");
        assert_eq!(begun(folder.path()).end(true).unwrap(), None);
        assert!(!path.exists());
        assert_eq!(begun(folder.path()).end(false).unwrap(), Some(path.clone()));
        // The next call begins it anew.
        drop(begun(folder.path()));
        assert_eq!(read(&path).unwrap().runs.len(), 2);
        assert_eq!(Journal::of(None).end(false).unwrap(), None);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json.unfinished");
        fs::write(&path, "somebody's").unwrap();
        assert_eq!(begun(folder.path()).end(true).unwrap(), None);
        assert!(begun(folder.path()).end(false).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(begun(folder.path()).end(false).is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }
}
