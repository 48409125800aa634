//! What a person or a CI log sees while a suite runs and when it is done.

mod lines;
mod look;
mod progress;
mod table;

use std::io::{self, Write};

use indicatif::ProgressDrawTarget;

pub use lines::outcome_line;
pub(crate) use lines::{machine, not_stored, seconds, verdict};
pub use look::Look;
pub(crate) use look::word;
use progress::Progress;

use super::tally::Tally;
use crate::event::{Listener, SuiteEvent};
use crate::run_id::RunId;

/// Tells a suite's progress and results on the terminal.
///
/// Results go to stdout, live progress to stderr when that is a terminal. When stdout goes away (`| head`), the suite runs
/// on and [`Terminal::trouble`] says so.
pub struct Terminal {
    look: Look,
    out: Box<dyn Write + Send>,
    trouble: Option<io::Error>,
    progress: Option<Progress>,
    tally: Tally,
}

impl Terminal {
    /// On this process's stdout, or on stderr where a report takes stdout for itself; live progress on stderr.
    pub fn beside(stdout_is_taken: bool) -> Terminal {
        let look = Look::detect();
        let progress = look.progress.then(Progress::on_stderr);
        if stdout_is_taken {
            let look = Look { colour: look.colour_on_stderr, width: None, ..look };
            return Terminal::with(Box::new(io::stderr()), look, progress);
        }
        Terminal::with(Box::new(io::stdout()), look, progress)
    }

    /// On any writer, without live progress.
    pub fn plain(out: Box<dyn Write + Send>) -> Terminal {
        Terminal::with(out, Look::PLAIN, None)
    }

    /// On any writer and any target for live progress, which is redrawn only when something happens.
    pub fn on(out: Box<dyn Write + Send>, look: Look, target: ProgressDrawTarget) -> Terminal {
        Terminal::with(out, look, look.progress.then(|| Progress::on(target, None)))
    }

    fn with(out: Box<dyn Write + Send>, look: Look, progress: Option<Progress>) -> Terminal {
        Terminal { look, out, trouble: None, progress, tally: Tally::default() }
    }

    /// The first error of writing to stdout, told once.
    pub fn trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    fn on_progress(&mut self, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = &mut self.progress {
            change(progress);
        }
    }

    fn print(&mut self, text: &str) {
        let Terminal { out, trouble, progress, .. } = self;
        let mut write = || out.write_all(text.as_bytes()).and_then(|()| out.flush());
        let result = match progress {
            Some(progress) => progress.aside(write),
            None => write(),
        };
        if let Err(error) = result {
            trouble.get_or_insert(error);
        }
    }
}

impl Listener for Terminal {
    fn event(&mut self, event: SuiteEvent<'_>) {
        match event {
            SuiteEvent::ProbeStarted { kernel } => match &mut self.progress {
                Some(progress) => progress.probing(kernel),
                None => self.print(&lines::probing_line(kernel)),
            },
            SuiteEvent::Planned(suite) => {
                let planned = suite.runs.len();
                self.print(&(lines::header(planned, &suite.context, self.look) + "\n"));
                self.on_progress(|progress| progress.start(planned));
            }
            SuiteEvent::RunStarted { id, .. } => self.on_progress(|progress| progress.run_started(id)),
            SuiteEvent::RunSlow { id, elapsed, .. } => {
                self.print(&lines::slow_line(id, elapsed, self.look));
            }
            SuiteEvent::RunEnded(run) => {
                self.tally.add(run.outcome);
                let tally = self.tally;
                self.on_progress(|progress| progress.run_finished(&RunId::of(run), &tally));
                self.print(&lines::run_line(run, self.look));
            }
            SuiteEvent::Stopping { why, running } => self.print(&lines::stopping_line(why, running)),
            SuiteEvent::Finished(suite) => {
                self.on_progress(Progress::clear);
                self.print(&lines::footer(suite, self.look));
            }
            SuiteEvent::Probed { .. } => {}
        }
    }
}
