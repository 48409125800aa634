//! What a person or a CI log sees while a suite runs and when it is done.

mod lines;
mod look;
mod progress;
mod table;

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::ProgressDrawTarget;

pub(crate) use lines::{counts_as_failed, machine, not_stored, seconds, verdict};
pub use look::Look;
pub(crate) use look::word;
use progress::Progress;

use super::files::ReportFiles;
use super::run_id::RunId;
use super::tally::Tally;
use crate::suite::{Stop, SuiteContext, SuiteEvent};
use imalab_check::outcome::{RunResult, SuiteResult};

/// Tells a suite's progress and results on the terminal.
///
/// Results go to stdout, live progress to stderr when that is a terminal. Every method may be called from any
/// thread; what it prints stays in one piece. When stdout goes away (`| head`), the suite runs on and
/// [`Reporter::suite_finished`] says so.
pub struct Reporter {
    look: Look,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    trouble: Option<io::Error>,
    progress: Option<Progress>,
    tally: Tally,
    planned: usize,
}

impl Reporter {
    /// On this process's stdout and stderr.
    pub fn on_terminal() -> Reporter {
        let look = Look::detect();
        Reporter::with(Box::new(io::stdout()), look, look.progress.then(Progress::on_stderr))
    }

    /// On this process's stdout, or on stderr where one of `files` takes stdout for itself.
    pub fn beside(files: &ReportFiles) -> Reporter {
        if !files.on_stdout() {
            return Reporter::on_terminal();
        }
        let look = Look { colour: Look::detect().colour_on_stderr, width: None, ..Look::detect() };
        Reporter::with(Box::new(io::stderr()), look, look.progress.then(Progress::on_stderr))
    }

    /// On any writer, without live progress.
    pub fn plain(out: Box<dyn Write + Send>) -> Reporter {
        Reporter::with(out, Look::PLAIN, None)
    }

    /// On any writer and any target for live progress, which is redrawn only when something happens.
    pub fn on(out: Box<dyn Write + Send>, look: Look, target: ProgressDrawTarget) -> Reporter {
        Reporter::with(out, look, look.progress.then(|| Progress::on(target, None)))
    }

    fn with(out: Box<dyn Write + Send>, look: Look, progress: Option<Progress>) -> Reporter {
        let state = State { out, trouble: None, progress, tally: Tally::default(), planned: 0 };
        Reporter { look, state: Mutex::new(state) }
    }

    /// Tells what happens in a suite; its end is for [`Reporter::suite_finished`].
    pub fn event(&self, event: SuiteEvent<'_>) {
        match event {
            SuiteEvent::ProbeStarted { kernel } => self.kernel_asked(kernel),
            SuiteEvent::Planned(suite) => self.suite_started(suite.runs.len(), &suite.context),
            SuiteEvent::RunStarted { id, .. } => self.run_started(id),
            SuiteEvent::RunSlow { id, elapsed, .. } => self.run_slow(id, elapsed),
            SuiteEvent::RunEnded(run) => self.run_finished(run),
            SuiteEvent::Stopping { why, running } => self.stopping(why, running),
            SuiteEvent::Probed { .. } | SuiteEvent::Finished(_) => {}
        }
    }

    /// A kernel is booted to see what it can do, or that is looked up.
    pub fn kernel_asked(&self, kernel: &str) {
        if let Some(progress) = &mut self.lock().progress {
            progress.kernel_asked(kernel);
        }
    }

    /// Names what is going to run, and on what; `total` is the number of runs, skipped ones included.
    pub fn suite_started(&self, total: usize, context: &SuiteContext) {
        let mut state = self.lock();
        state.planned = total;
        state.print(&(lines::header(total, context, self.look) + "\n"));
        if let Some(progress) = &mut state.progress {
            progress.start(total);
        }
    }

    /// A machine is being started for this run.
    pub fn run_started(&self, id: &RunId) {
        if let Some(progress) = &mut self.lock().progress {
            progress.run_started(id);
        }
    }

    /// A run takes long.
    pub fn run_slow(&self, id: &RunId, elapsed: Duration) {
        self.lock().print(&lines::slow_line(id, elapsed, self.look));
    }

    /// No further run begins.
    pub fn stopping(&self, why: Stop, running: usize) {
        self.lock().print(&lines::stopping_line(why, running));
    }

    /// A run is over; one that was skipped need not have been started.
    pub fn run_finished(&self, run: &RunResult) {
        let mut state = self.lock();
        state.tally.add(run.outcome);
        let tally = state.tally;
        if let Some(progress) = &mut state.progress {
            progress.run_finished(&RunId::of(run), &tally);
        }
        state.print(&lines::run_line(run, self.look));
    }

    /// Prints every failure in full, then the summary alone on the last line.
    ///
    /// # Errors
    /// The first error of writing to stdout, from here or from any call before.
    pub fn suite_finished(&self, suite: &SuiteResult) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(progress) = &mut state.progress {
            progress.clear();
        }
        let planned = state.planned.max(suite.runs.len());
        state.print(&lines::footer(suite, planned, self.look));
        state.trouble.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked in here left at worst a missing line; the others' results still count.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn print(&mut self, text: &str) {
        let State { out, trouble, progress, .. } = self;
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
