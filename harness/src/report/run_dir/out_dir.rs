//! `--out`: the folder that holds the runs' folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::quotes::QUOTE_FILES;
use super::{RunDir, is_evidence, name};
use crate::report::merge;
use crate::run_id::RunId;
use imalab_files::atomic::FileError;

/// Folders of the same name that are tried before it is an error.
const SAME_NAME_LIMIT: u32 = 10_000;

/// The folder that holds the runs' folders.
#[derive(Clone, Debug)]
pub struct OutDir {
    path: PathBuf,
}

impl OutDir {
    /// Makes the folder, and those above it, when they are missing.
    ///
    /// # Errors
    /// When it cannot be made, or its path is not UTF-8: results name it in JSON.
    pub fn create(path: &Path) -> Result<OutDir, FileError> {
        let error = |error| FileError::new("create the folder", path, error);
        fs::create_dir_all(path).map_err(error)?;
        let path = path.canonicalize().map_err(error)?;
        if path.to_str().is_none() {
            return Err(error(io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8")));
        }
        Ok(OutDir { path })
    }

    /// Removes what killed calls left half-written in the folders of runs, and nothing else.
    pub fn remove_abandoned(&self) {
        imalab_files::partial::remove_abandoned(&self.path, |name| name == merge::RESULTS);
        let folders = |at: &Path| {
            let entries = fs::read_dir(at).into_iter().flatten().flatten();
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
        };
        for run in folders(&self.path) {
            imalab_files::partial::remove_abandoned(&run, is_evidence);
            for mark in folders(&run.join("quote")) {
                imalab_files::partial::remove_abandoned(&mark, |name| {
                    QUOTE_FILES.contains(&name) || name.starts_with("pcr10-")
                });
            }
        }
    }

    /// The folder, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new folder for a run. Its name comes from the plan alone; nothing that a guest says is part of any path.
    /// A folder that is there already is evidence of an earlier run and is left alone: the new one gets a number.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn run(&self, id: &RunId) -> Result<RunDir, FileError> {
        let name = name::of(id);
        for number in 1..=SAME_NAME_LIMIT {
            let path = self.path.join(if number == 1 { name.clone() } else { format!("{name}.{number}") });
            match fs::create_dir(&path) {
                Ok(()) => return Ok(RunDir { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FileError::new("create the folder", &path, error)),
            }
        }
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "too many runs of this name are there");
        Err(FileError::new("create the folder", &self.path.join(name), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is trouble with evidence, which [`crate::run::Store`] notes beside what was found.
    #[test]
    fn a_name_of_which_there_are_too_many_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let place = OutDir::create(folder.path()).unwrap();
        let id = RunId {
            scenario: "a/b".to_owned(),
            parameters: Default::default(),
            kernel: "mainline".to_owned(),
            repeat: 1,
        };
        let first = place.run(&id).unwrap();
        for number in 2..=SAME_NAME_LIMIT {
            fs::create_dir(format!("{}.{number}", first.path().display())).unwrap();
        }
        let error = place.run(&id).unwrap_err();
        assert!(crate::report::chain(&error).contains("too many runs of this name are there"), "{error}");
    }
}
