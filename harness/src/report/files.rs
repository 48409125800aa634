//! The result files that a call asked for.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::{github, html, json, junit, ktap, print};
use imalab_check::outcome::SuiteResult;
use imalab_files::atomic::FileError;
use imalab_files::output::{Output, Place};

/// Where each form goes; `None`: not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportFiles {
    /// `--json`.
    pub json: Option<PathBuf>,
    /// `--json-lines`.
    pub json_lines: Option<PathBuf>,
    /// `--junit`.
    pub junit: Option<PathBuf>,
    /// `--ktap`.
    pub ktap: Option<PathBuf>,
    /// `--html`.
    pub html: Option<PathBuf>,
    /// `--github`: the file of a job's summary. Annotations go to the terminal.
    pub github: Option<PathBuf>,
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

/// A form that is written when all is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Junit,
    Ktap,
    Html,
    Github,
}

impl Form {
    fn write(self, suite: &SuiteResult, out: &mut dyn Write) -> std::io::Result<()> {
        match self {
            Form::Json => json::document(suite, out),
            Form::Junit => junit::document(suite, out),
            Form::Ktap => ktap::document(suite, out),
            Form::Github => github::summary(suite, out),
            Form::Html => out.write_all(html::page(suite).into_string().as_bytes()),
        }
    }
}

/// Places of result files, each of which can be written.
#[derive(Debug, Default)]
pub struct ClaimedFiles {
    at_end: Vec<(Form, Output)>,
    /// Written as runs end.
    pub(super) json_lines: Option<Output>,
    /// As well, where it is no file that is replaced whole.
    pub(super) live_ktap: Option<Output>,
    /// Whether one of them is the standard output, where then nothing else may go.
    pub(super) on_stdout: bool,
    /// Where the JSON results are going to be as a file.
    pub(super) json_file: Option<PathBuf>,
}

/// What came of writing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// [`Exit::Passed`], or [`Exit::Infra`] when one could not be written.
    pub(super) exit: Exit,
    /// Whether the JSON is there whole.
    pub(super) json: bool,
}

impl ReportFiles {
    /// Claims each place before the first machine is started: an hour's results are not to be lost to a misspelt folder,
    /// or to a FIFO that nobody reads.
    ///
    /// # Errors
    /// For the first that cannot be written.
    pub fn claim(&self) -> Result<ClaimedFiles, FilesError> {
        let mut claimed = ClaimedFiles::default();
        let mut seen: Vec<(PathBuf, PathBuf)> = Vec::new();
        let all = [
            (&self.json, Some(Form::Json)),
            (&self.junit, Some(Form::Junit)),
            (&self.ktap, Some(Form::Ktap)),
            (&self.html, Some(Form::Html)),
            (&self.github, Some(Form::Github)),
            (&self.json_lines, None),
        ];
        for (path, form) in all.into_iter().filter_map(|(path, form)| Some((path.as_deref()?, form))) {
            let output = Output::claim(path)?;
            let identity = output.identity();
            if let Some((_, one)) = seen.iter().find(|(same, _)| *same == identity) {
                return Err(FilesError::Same { one: one.clone(), other: path.to_owned() });
            }
            // Nothing is left in a device that would be mixed up, and `/dev/null` takes all of them.
            if path != Path::new("/dev/null") {
                seen.push((identity, path.to_owned()));
            }
            claimed.add(form, output);
        }
        Ok(claimed)
    }
}

impl ClaimedFiles {
    fn add(&mut self, form: Option<Form>, output: Output) {
        self.on_stdout |= *output.place() == Place::Stdout;
        let is_file = matches!(output.place(), Place::File(_));
        if form == Some(Form::Json) && is_file {
            self.json_file = Some(output.path().to_owned());
        }
        match form {
            None => self.json_lines = Some(output),
            Some(Form::Ktap) if !is_file => self.live_ktap = Some(output),
            Some(form) => self.at_end.push((form, output)),
        }
    }

    /// Writes those that are written at the end, and tells on stderr of each that could not be written.
    pub(super) fn write(&mut self, suite: &SuiteResult) -> Written {
        let mut written = Written { exit: Exit::Passed, json: false };
        for (form, output) in std::mem::take(&mut self.at_end) {
            if form == Form::Github {
                github::annotations(suite).iter().for_each(|command| print::note(command));
            }
            match output.write_with(|out| form.write(suite, out)) {
                Ok(()) => written.json |= form == Form::Json,
                Err(error) => written.exit = written.exit.and(print::fail(Exit::Infra, &error.into())),
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> SuiteResult {
        SuiteResult {
            schema: json::SCHEMA,
            runs: vec![],
            wall_ms: 0,
            interrupted: false,
            not_begun: None,
            shard: None,
        }
    }

    #[test]
    fn writes_what_was_asked_for_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let files =
            ReportFiles { json: path("j"), ktap: path("k"), html: path("h"), ..ReportFiles::default() };
        let mut claimed = files.claim().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a claim leaves nothing");
        assert_eq!(claimed.write(&suite()), Written { exit: Exit::Passed, json: true });
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
            let error = at(path(one), other).claim().unwrap_err();
            assert!(error.to_string().contains("two reports"), "{error}");
        }
        at(place("r"), place("other")).claim().unwrap();
        at("/dev/null".into(), "/dev/null".into()).claim().unwrap();
    }

    #[test]
    fn one_that_cannot_be_written_is_told_and_the_others_are_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        let files = ReportFiles {
            json: Some(folder.path().join("gone/j")),
            html: Some(folder.path().join("h")),
            ..ReportFiles::default()
        };
        let mut claimed = files.claim().unwrap();
        std::fs::remove_dir(folder.path().join("gone")).unwrap();
        assert_eq!(claimed.write(&suite()), Written { exit: Exit::Infra, json: false });
        assert!(folder.path().join("h").exists());
        assert!(files.claim().is_err(), "and known before the first run");
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_found_before_the_first_run() {
        let folder = tempfile::tempdir().unwrap();
        let files = ReportFiles { ktap: Some(folder.path().to_owned()), ..ReportFiles::default() };
        assert!(files.claim().is_err());
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_found_before_the_first_run() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let asked = |path: PathBuf| {
            [
                ReportFiles { json: Some(path.clone()), ..ReportFiles::default() },
                ReportFiles { ktap: Some(path.clone()), ..ReportFiles::default() },
                ReportFiles { json_lines: Some(path), ..ReportFiles::default() },
            ]
        };
        for files in asked(fifo) {
            let error = super::super::chain(&files.claim().unwrap_err());
            assert!(error.contains("nobody reads from it"), "{error}");
        }
    }
}
