//! All who listen to a suite, and what came of it.

use std::io;
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::files::{ClaimedFiles, FilesError, ReportFiles};
use super::journal::Journal;
use super::json_lines::JsonLines;
use super::ktap::LiveKtap;
use super::live::LiveForm;
use super::print;
use super::terminal::Terminal;
use crate::event::{Listener, SuiteEvent};
use imalab_files::atomic::FileError;
use imalab_files::output::Output;

/// Takes a suite's events to the terminal and to every file that was asked for.
pub struct Listeners {
    journal: Journal,
    live: Vec<LiveFile>,
    files: ClaimedFiles,
    /// The results below `--out`, where there are any.
    kept: Option<ClaimedFiles>,
    terminal: Terminal,
    exit: Exit,
}

/// A file in such a form.
struct LiveFile {
    path: PathBuf,
    form: Box<dyn LiveForm + Send>,
    trouble: Option<FileError>,
}

impl LiveFile {
    fn open<F: LiveForm + Send + 'static>(
        output: Output,
        form: impl FnOnce(Box<dyn io::Write + Send>) -> F,
    ) -> Result<LiveFile, FileError> {
        let path = output.path().to_owned();
        Ok(LiveFile { path, form: Box::new(form(output.stream()?)), trouble: None })
    }

    /// After the first trouble nothing is written: what is there ends with a whole piece.
    fn event(&mut self, event: SuiteEvent<'_>) {
        if self.trouble.is_none()
            && let Err(error) = self.form.event(event)
        {
            self.trouble = Some(FileError::new("write", &self.path, error));
        }
    }
}

impl Listeners {
    /// Those of a call that asked for these files, and keeps its results as `results` where that is given.
    ///
    /// # Errors
    /// When a place cannot be written to.
    pub fn of(files: &ReportFiles, results: Option<&Path>) -> Result<Listeners, FilesError> {
        let kept = results.map(|path| ReportFiles { json: Some(path.to_owned()), ..ReportFiles::default() });
        let kept = kept.map(|kept| kept.claim()).transpose()?;
        let mut files = files.claim()?;
        let journal = Journal::of(results.or(files.json_file.as_deref()));
        let mut live = Vec::new();
        if let Some(output) = files.json_lines.take() {
            live.push(LiveFile::open(output, JsonLines::new)?);
        }
        if let Some(output) = files.live_ktap.take() {
            live.push(LiveFile::open(output, LiveKtap::new)?);
        }
        let terminal = Terminal::beside(files.on_stdout);
        Ok(Listeners { journal, live, files, kept, terminal, exit: Exit::Passed })
    }

    /// The terminal alone.
    pub fn terminal() -> Listeners {
        let (files, live) = (ClaimedFiles::default(), Vec::new());
        let terminal = Terminal::beside(false);
        Listeners { journal: Journal::default(), live, files, kept: None, terminal, exit: Exit::Passed }
    }

    /// What came of telling all of it: [`Exit::Passed`], or [`Exit::Infra`] when not everybody got it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes the results, and tells what could not be written.
    fn finish(&mut self, event: SuiteEvent<'_>) {
        let SuiteEvent::Finished(suite) = event else { return };
        let written = self.files.write(suite);
        let kept = self.kept.as_mut().map(|kept| kept.write(suite));
        self.exit = self.exit.and(written.exit).and(kept.map_or(Exit::Passed, |kept| kept.exit));
        let mut troubles: Vec<FileError> =
            self.live.iter_mut().filter_map(|file| file.trouble.take()).collect();
        match self.journal.end(kept.unwrap_or(written).json) {
            Ok(None) => {}
            Ok(Some(left)) => print::note(&format!("what had ended before is in {}", left.display())),
            Err(error) => troubles.push(error),
        }
        for error in troubles {
            self.exit = self.exit.and(print::fail(Exit::Infra, &error.into()));
        }
    }
}

impl Listener for Listeners {
    fn event(&mut self, event: SuiteEvent<'_>) {
        // First, whatever becomes of the others: a reader who does not read holds up whoever writes.
        self.journal.event(event);
        self.live.iter_mut().for_each(|file| file.event(event));
        // A terminal that went away must not cost the files.
        self.finish(event);
        self.terminal.event(event);
        if let (SuiteEvent::Finished(_), Some(error)) = (event, self.terminal.trouble()) {
            let report = miette::Report::msg(format!("cannot write the results: {error}"));
            self.exit = self.exit.and(print::fail(Exit::Infra, &report));
        }
    }
}
