//! Hands runs to workers and tells what comes of them, in one order, from one thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::event::{Listener, Stop, SuiteEvent};
use crate::run_id::RunId;
use imalab_check::outcome::RunResult;
use imalab_run::Interrupts;

/// How runs are handed out.
pub(super) struct Dispatch<'a> {
    /// Runs side by side, at least 1.
    pub(super) workers: usize,
    /// How long a run takes before it is called slow, and again after each further such time.
    pub(super) slow_after: Duration,
    /// After so many failed runs no further one begins.
    pub(super) fail_fast: Option<usize>,
    /// Signals, by which no further run begins.
    pub(super) interrupts: &'a Interrupts,
}

/// A run that a worker has taken.
pub(super) trait Work {
    /// Its name.
    fn id(&self) -> &RunId;
    /// Its place in the whole suite.
    fn place(&self) -> u64;
}

/// What the dispatcher hears.
enum Report {
    Started(u64, RunId),
    /// The worker goes on when the other end of the channel is dropped: its result has then been told.
    Ended(Box<RunResult>, Sender<()>),
    WorkerLeft,
    Signal,
}

/// Says so when a worker is done, however it ended.
struct Leaving(Sender<Report>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // Without a dispatcher nobody waits for it.
        let _ = self.0.send(Report::WorkerLeft);
    }
}

impl Dispatch<'_> {
    /// Has each run that `next` gives carried out by `execute`, and tells `listener` of it. The results, by place.
    ///
    /// A worker takes its next run when the result of its last one has been told: a killed call loses no more than the
    /// results that were on their way, at most one a worker.
    pub(super) fn run<W: Work>(
        &self,
        next: impl Fn() -> Option<W> + Sync,
        execute: impl Fn(W) -> RunResult + Sync,
        listener: &mut dyn Listener,
    ) -> BTreeMap<u64, RunResult> {
        let closed = AtomicBool::new(false);
        // A signal is seen before the dispatcher has heard of it.
        let is_closed = || closed.load(Ordering::SeqCst) || self.interrupts.seen();
        let (reports, received) = channel();
        let signal = reports.clone();
        let _listening = self.interrupts.on_signal(move || drop(signal.send(Report::Signal)));
        thread::scope(|scope| {
            for _ in 0..self.workers {
                let leaving = Leaving(reports.clone());
                let (next, execute, closed) = (&next, &execute, &is_closed);
                scope.spawn(move || {
                    let reports = &leaving.0;
                    while let Some(work) = if closed() { None } else { next() } {
                        let (place, id) = (work.place(), work.id().clone());
                        let (telling, told) = channel();
                        let result = match reports.send(Report::Started(place, id)) {
                            Ok(()) => reports.send(Report::Ended(Box::new(execute(work)), telling)),
                            gone => gone,
                        };
                        if result.is_err() {
                            // A listener panicked, which ends the suite.
                            break;
                        }
                        let _ = told.recv();
                    }
                });
            }
            let mut running = Running { began: BTreeMap::new(), slow_after: self.slow_after };
            // Received by value: should a listener panic, no worker waits for it.
            self.tell(received, &closed, &mut running, listener)
        })
    }

    fn tell(
        &self,
        received: Receiver<Report>,
        closed: &AtomicBool,
        running: &mut Running,
        listener: &mut dyn Listener,
    ) -> BTreeMap<u64, RunResult> {
        let mut results = BTreeMap::new();
        let (mut workers, mut failed) = (self.workers, 0);
        while workers > 0 {
            let report = match running.until_slow(Instant::now()) {
                Some(left) => received.recv_timeout(left),
                None => received.recv().map_err(RecvTimeoutError::from),
            };
            match report {
                Ok(Report::Started(place, id)) => {
                    listener.event(SuiteEvent::RunStarted { id: &id, place });
                    running.start(place, id, Instant::now());
                }
                Ok(Report::Ended(result, telling)) => {
                    running.began.remove(&result.place);
                    listener.event(SuiteEvent::RunEnded(&result));
                    failed += usize::from(result.outcome.is_failure());
                    results.insert(result.place, *result);
                    if self.fail_fast.is_some_and(|most| failed >= most)
                        && !closed.swap(true, Ordering::SeqCst)
                    {
                        let running = running.began.len();
                        listener.event(SuiteEvent::Stopping { why: Stop::FailFast, running });
                    }
                    drop(telling);
                }
                Ok(Report::WorkerLeft) => workers -= 1,
                Ok(Report::Signal) => {
                    closed.store(true, Ordering::SeqCst);
                    let running = running.began.len();
                    listener.event(SuiteEvent::Stopping { why: Stop::Signal, running });
                }
                Err(RecvTimeoutError::Timeout) => running.tell_slow(Instant::now(), listener),
                // Every worker says that it leaves, so there is one that can be heard.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        results
    }
}

/// Runs that have begun and not ended, by place.
struct Running {
    began: BTreeMap<u64, Began>,
    slow_after: Duration,
}

struct Began {
    id: RunId,
    at: Instant,
    /// How long it runs when it is called slow next.
    slow_at: Duration,
}

impl Running {
    fn start(&mut self, place: u64, id: RunId, at: Instant) {
        self.began.insert(place, Began { id, at, slow_at: self.slow_after });
    }

    /// How long until the next of them is slow.
    fn until_slow(&self, now: Instant) -> Option<Duration> {
        let left = |run: &Began| run.slow_at.saturating_sub(now.saturating_duration_since(run.at));
        self.began.values().map(left).min()
    }

    fn tell_slow(&mut self, now: Instant, listener: &mut dyn Listener) {
        for (place, run) in &mut self.began {
            let elapsed = now.saturating_duration_since(run.at);
            if elapsed >= run.slow_at {
                listener.event(SuiteEvent::RunSlow { id: &run.id, place: *place, elapsed });
                run.slow_at = elapsed + self.slow_after;
            }
        }
    }
}

#[cfg(test)]
mod tests;
