//! The result files that a call asked for.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::{html, json, junit, ktap, say};
use imalab_check::outcome::SuiteResult;
use imalab_files::atomic::FileError;
use imalab_files::output::{self, Place};

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

/// What came of writing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The process's exit: the suite's own, or [`Exit::Infra`] when one could not be written and that is worse.
    pub exit: Exit,
    /// Whether the JSON is there whole.
    pub json: bool,
}

/// Why results cannot go where they are to go.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum FilesError {
    /// One cannot be written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] FileError),
    /// Two reports have one place.
    #[error("two reports would be written to {}{}", one.display(), by_another_name(one, other))]
    #[diagnostic(help("give each a place of its own"))]
    Same {
        /// It.
        one: PathBuf,
        /// Its other name.
        other: PathBuf,
    },
}

fn by_another_name(one: &Path, other: &Path) -> String {
    if one == other { String::new() } else { format!(", which is also {}", other.display()) }
}

type Writer = fn(&Path, &SuiteResult) -> Result<(), FileError>;

impl ReportFiles {
    /// Tells before the first machine is started whether each can be written: an hour's results are not to be lost
    /// to a misspelt folder.
    ///
    /// # Errors
    /// For the first that cannot.
    pub fn check(&self) -> Result<(), FilesError> {
        let mut seen: Vec<(PathBuf, &Path)> = Vec::new();
        for (path, _) in self.asked() {
            let place = output::check(path)?;
            let identity = output::identity(&place);
            if let Some((_, other)) = seen.iter().find(|(same, _)| *same == identity) {
                let (one, other) = (other.to_path_buf(), path.to_owned());
                return Err(FilesError::Same { one, other });
            }
            // Nothing is left in a device that would be mixed up, and `/dev/null` takes all of them.
            if path != Path::new("/dev/null") {
                seen.push((identity, path));
            }
        }
        Ok(())
    }

    /// Whether one of them goes to the standard output, where then nothing else may.
    pub fn on_stdout(&self) -> bool {
        self.asked().any(|(path, _)| matches!(output::place(path), Ok(Place::Stdout)))
    }

    /// Where the JSON results are going to be as a file.
    pub fn json_file(&self) -> Option<&Path> {
        let path = self.json.as_deref()?;
        matches!(output::place(path), Ok(Place::File(_))).then_some(path)
    }

    /// Writes them all, and tells on stderr of each that could not be written.
    pub fn write(&self, suite: &SuiteResult) -> Written {
        let mut written = Written { exit: Exit::of(suite), json: false };
        for (path, write) in self.asked() {
            match write(path, suite) {
                Ok(()) => written.json |= self.json.as_deref() == Some(path),
                Err(error) => written.exit = written.exit.and(say::fail(Exit::Infra, &error.into())),
            }
        }
        written
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
        assert_eq!(files.write(&suite()), Written { exit: Exit::NothingRan, json: true });
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn two_reports_have_two_places() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("r", folder.path().join("link")).unwrap();
        let at = |json: PathBuf, html: PathBuf| ReportFiles {
            json: Some(json),
            html: Some(html),
            ..ReportFiles::default()
        };
        let place = |name: &str| folder.path().join(name);
        for (one, other) in [("r", "r"), ("r", "./r"), ("r", "link"), ("-", "-"), ("-", "/dev/stdout")] {
            let path = |name: &str| if name == "r" || name == "link" { place(name) } else { name.into() };
            let other = if other == "./r" { place(".").join("r") } else { path(other) };
            let error = at(path(one), other).check().unwrap_err();
            assert!(error.to_string().contains("two reports"), "{error}");
        }
        at(place("r"), place("other")).check().unwrap();
        at("/dev/null".into(), "/dev/null".into()).check().unwrap();
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
        assert_eq!(files.write(&suite()), Written { exit: Exit::Infra, json: false });
        assert!(folder.path().join("h").exists());
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_found_before_the_first_run() {
        let folder = tempfile::tempdir().unwrap();
        let files = ReportFiles { ktap: Some(folder.path().to_owned()), ..ReportFiles::default() };
        assert!(files.check().is_err());
    }
}
