//! The result files that a call asked for.

use std::path::{Path, PathBuf};

use super::atomic::{FileError, PendingFile};
use super::exit::Exit;
use super::{html, json, junit, ktap, say};
use crate::outcome::SuiteResult;

/// Where each form goes; `None`: not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportFiles {
    /// `--json`.
    pub json: Option<PathBuf>,
    /// `--junit`.
    pub junit: Option<PathBuf>,
    /// `--ktap`.
    pub ktap: Option<PathBuf>,
    /// `--html`.
    pub html: Option<PathBuf>,
}

type Writer = fn(&Path, &SuiteResult) -> Result<(), FileError>;

impl ReportFiles {
    /// Tells before the first machine is started whether each can be written: an hour's results are not to be lost
    /// to a misspelt folder.
    ///
    /// # Errors
    /// For the first that cannot.
    pub fn check(&self) -> Result<(), FileError> {
        self.asked().try_for_each(|(path, _)| match path.is_dir() {
            true => Err(FileError::new("write", path, std::io::ErrorKind::IsADirectory.into())),
            false => PendingFile::create(path).map(drop),
        })
    }

    /// Writes them all, tells on stderr of each that could not be written, and gives back the process's exit: the suite's own,
    /// or [`Exit::Infra`] when that is worse.
    pub fn write(&self, suite: &SuiteResult) -> Exit {
        self.asked().fold(Exit::of(suite), |exit, (path, write)| match write(path, suite) {
            Ok(()) => exit,
            Err(error) => exit.and(say::fail(Exit::Infra, &error.into())),
        })
    }

    fn asked(&self) -> impl Iterator<Item = (&Path, Writer)> {
        let all: [(&Option<PathBuf>, Writer); 4] = [
            (&self.json, json::write),
            (&self.junit, junit::write),
            (&self.ktap, ktap::write),
            (&self.html, html::write),
        ];
        all.into_iter().filter_map(|(path, write)| path.as_deref().map(|path| (path, write)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> SuiteResult {
        SuiteResult { schema: json::SCHEMA, runs: vec![], wall_ms: 0, interrupted: false, shard: None }
    }

    #[test]
    fn writes_what_was_asked_for_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let files = ReportFiles { json: path("j"), junit: None, ktap: path("k"), html: path("h") };
        files.check().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the check leaves nothing");
        assert_eq!(files.write(&suite()), Exit::NothingRan);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn one_that_cannot_be_written_is_told_and_the_others_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let files = ReportFiles {
            json: Some(folder.path().join("none/j")),
            html: Some(folder.path().join("h")),
            ..ReportFiles::default()
        };
        assert!(files.check().is_err());
        assert_eq!(files.write(&suite()), Exit::Infra);
        assert!(folder.path().join("h").exists());
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_found_before_the_first_run() {
        let folder = tempfile::tempdir().unwrap();
        let files = ReportFiles { ktap: Some(folder.path().to_owned()), ..ReportFiles::default() };
        assert!(files.check().is_err());
    }
}
