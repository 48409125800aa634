//! Results as they come: a file that is there while a suite runs, and stays where its results could not be written.
//!
//! JSON lines (`json_lines`): the plan, then a run's result a line. A call that is killed leaves what had ended before;
//! `merge` reads it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::json_lines;
use crate::event::SuiteEvent;
use imalab_files::atomic::FileError;

/// What it is called beside the results that it stands in for.
pub(super) const SUFFIX: &str = ".unfinished";

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

    /// Begins with the plan, and keeps each run's result. After the first trouble it keeps no more: what is there stays whole.
    pub fn event(&mut self, event: SuiteEvent<'_>) {
        match event {
            SuiteEvent::Planned(_) => {
                let Some(path) = &self.path else { return };
                match open(path) {
                    Ok(file) => self.file = Some(file),
                    Err(error) => return self.fail(error),
                }
            }
            SuiteEvent::RunEnded(_) => {}
            _ => return,
        }
        let (Some(file), Some(path)) = (&mut self.file, &self.path) else { return };
        let written = json_lines::line(event).and_then(|line| file.write_all(&line));
        if let Err(error) = written {
            let error = FileError::new("write", path, error);
            self.fail(error);
        }
    }

    /// Ends it. It is removed when the results are `written`, and else its place is given back.
    ///
    /// # Errors
    /// What kept it from being whole, where it is needed.
    pub fn end(&mut self, written: bool) -> Result<Option<PathBuf>, FileError> {
        let there = self.file.take().is_some() || self.trouble.is_some();
        let Some(path) = self.path.take() else { return Ok(None) };
        if written {
            if there && self.trouble.as_ref().is_none_or(|error| !is_anothers(error)) {
                // One that stays is read by nobody: the results are beside it.
                let _ = fs::remove_file(&path);
            }
            return Ok(None);
        }
        self.trouble.take().map_or(Ok(there.then_some(path)), Err)
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
    if file.metadata().map_err(fail)?.is_file() {
        Read::by_ref(&mut file).take(json_lines::HEAD.len() as u64).read_to_end(&mut head).map_err(fail)?;
        if head.is_empty() || head == json_lines::HEAD {
            file.set_len(0).map_err(fail)?;
            io::Seek::rewind(&mut file).map_err(fail)?;
            return Ok(file);
        }
    }
    Err(fail(io::Error::new(io::ErrorKind::AlreadyExists, "something else is there")))
}

#[cfg(test)]
mod tests {
    use super::super::json_lines::read;
    use super::super::json_lines::tests::{planned, run};
    use super::*;

    fn begun(folder: &Path) -> Journal {
        let mut journal = Journal::of(Some(&folder.join("r.json")));
        journal.event(SuiteEvent::Planned(&planned(&[0, 1])));
        journal.event(SuiteEvent::RunEnded(&run(1)));
        journal.event(SuiteEvent::RunEnded(&run(0)));
        journal
    }

    #[test]
    fn a_killed_call_leaves_what_had_ended() {
        let folder = tempfile::tempdir().unwrap();
        drop(begun(folder.path()));
        let suite = read(&folder.path().join("r.json.unfinished")).unwrap();
        assert_eq!(suite.runs.iter().map(|run| run.place).collect::<Vec<_>>(), [0, 1]);
        assert!(suite.interrupted);
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
