//! Live progress on stderr: one bar for the suite, one line for each machine that is running.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::tally::Tally;
use crate::run_id::RunId;
use imalab_print::printable;

/// Redraws a second; a spinner that stands still looks like a hang.
const TICK: Duration = Duration::from_millis(250);

/// The live part of the screen.
#[derive(Debug)]
pub(super) struct Progress {
    bars: MultiProgress,
    suite: ProgressBar,
    running: BTreeMap<RunId, ProgressBar>,
    tick: Option<Duration>,
}

impl Progress {
    pub(super) fn on_stderr() -> Progress {
        Progress::on(ProgressDrawTarget::stderr(), Some(TICK))
    }

    /// On any target; without a tick it is redrawn only when something happens.
    pub(super) fn on(target: ProgressDrawTarget, tick: Option<Duration>) -> Progress {
        let bars = MultiProgress::with_draw_target(target);
        Progress { bars, suite: ProgressBar::hidden(), running: BTreeMap::new(), tick }
    }

    pub(super) fn probing(&mut self, kernel: &str) {
        self.suite.finish_and_clear();
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} {elapsed:>4} {wide_msg}"));
        self.suite = self.bars.add(bar);
        self.suite.set_message(format!("probing {}: booting it to see what it offers", printable(kernel)));
        self.animate(&self.suite);
    }

    pub(super) fn start(&mut self, total: usize) {
        self.suite.finish_and_clear();
        let bar = ProgressBar::new(total as u64).with_style(style("[{elapsed}] {pos}/{len} {wide_msg}"));
        self.suite = self.bars.add(bar);
        self.suite.set_message(Tally::default().to_string());
        self.animate(&self.suite);
    }

    pub(super) fn run_started(&mut self, id: &RunId) {
        // `wide_msg` cuts a long name to the rest of the line: a line that wraps could not be taken back.
        let bar = ProgressBar::new_spinner().with_style(style("  {spinner} {elapsed:>4} {wide_msg}"));
        let bar = self.bars.insert_before(&self.suite, bar);
        bar.set_message(printable(&id.to_string()).into_owned());
        self.animate(&bar);
        if let Some(old) = self.running.insert(id.clone(), bar) {
            old.finish_and_clear();
        }
    }

    pub(super) fn run_finished(&mut self, id: &RunId, tally: &Tally) {
        if let Some(bar) = self.running.remove(id) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.suite.set_message(tally.to_string());
        self.suite.set_position(tally.total() as u64);
    }

    /// Takes the live part off the screen, lets `print` write lines, and draws it again below them.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    /// Takes it off for good.
    pub(super) fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.running) {
            bar.finish_and_clear();
        }
        self.suite.finish_and_clear();
    }

    fn animate(&self, bar: &ProgressBar) {
        match self.tick {
            Some(tick) => bar.enable_steady_tick(tick),
            None => bar.tick(),
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "the templates are constants of this file, and its test draws each of them"
)]
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template that parses")
}
