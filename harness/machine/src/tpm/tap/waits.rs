//! What a command of the guest can wait for at the tap, and what ends the waiting.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why the waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// What was waited for has come.
    Come,
    /// The guest has cancelled its command.
    Cancelled,
    /// The tap is shut down.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    released: BTreeSet<u64>,
    /// Cancellations so far.
    cancels: u64,
    waiting: bool,
    closed: bool,
}

/// One thread of commands waits; others release, cancel and close.
#[derive(Debug, Default)]
pub(super) struct Waits {
    state: Mutex<State>,
    changed: Condvar,
}

impl Waits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Ends the hold of mark `number`, be it now or when it comes.
    pub(super) fn release(&self, number: u64) {
        self.change(|state| {
            state.released.insert(number);
        });
    }

    /// The guest cancels the command that is under way.
    pub(super) fn cancel(&self) {
        self.change(|state| state.cancels += 1);
    }

    /// Nobody waits any more, now and later.
    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Cancellations so far: what [`Waits::cancelled`] and [`Waits::for_ms`] count from. To be asked before the command
    /// reaches the TPM.
    pub(super) fn cancels(&self) -> u64 {
        self.state().cancels
    }

    /// Waits until mark `number` is released; a cancellation does not end a hold.
    pub(super) fn released(&self, number: u64) -> Ended {
        self.wait(None, |state| state.released.contains(&number).then_some(Ended::Come))
    }

    /// Waits for a cancellation after the first `cancels`.
    pub(super) fn cancelled(&self, cancels: u64) -> Ended {
        self.wait(None, |state| (state.cancels > cancels).then_some(Ended::Cancelled))
    }

    /// Waits so many milliseconds, or for a cancellation after the first `cancels`.
    pub(super) fn for_ms(&self, ms: u32, cancels: u64) -> Ended {
        let end = Instant::now() + Duration::from_millis(ms.into());
        self.wait(Some(end), |state| (state.cancels > cancels).then_some(Ended::Cancelled))
    }

    /// Whether somebody waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.state().waiting
    }

    fn wait(&self, end: Option<Instant>, ended: impl Fn(&State) -> Option<Ended>) -> Ended {
        self.change(|state| state.waiting = true);
        let over = self.wait_until(end, ended);
        self.change(|state| state.waiting = false);
        over
    }

    fn wait_until(&self, end: Option<Instant>, ended: impl Fn(&State) -> Option<Ended>) -> Ended {
        let mut state = self.state();
        loop {
            if state.closed {
                return Ended::Closed;
            }
            if let Some(ended) = ended(&state) {
                return ended;
            }
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Ended::Come,
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_ends_its_own_hold_alone_even_before_it_came() {
        let waits = Waits::default();
        waits.release(2);
        waits.cancel();
        assert_eq!(waits.released(2), Ended::Come);
        std::thread::scope(|scope| {
            let held = scope.spawn(|| waits.released(1));
            waits.release(1);
            assert_eq!(held.join().unwrap(), Ended::Come);
        });
    }

    #[test]
    fn only_a_later_cancellation_counts() {
        let waits = Waits::default();
        waits.cancel();
        let before = waits.cancels();
        assert_eq!(waits.for_ms(1, before), Ended::Come);
        waits.cancel();
        assert_eq!(waits.for_ms(3_600_000, before), Ended::Cancelled);
        assert_eq!(waits.cancelled(before), Ended::Cancelled);
    }

    #[test]
    fn closing_ends_all_waiting() {
        let waits = Waits::default();
        std::thread::scope(|scope| {
            let held = scope.spawn(|| waits.released(1));
            let lost = scope.spawn(|| waits.cancelled(0));
            waits.close();
            assert_eq!([held.join().unwrap(), lost.join().unwrap()], [Ended::Closed; 2]);
        });
        assert_eq!(waits.for_ms(3_600_000, 0), Ended::Closed);
    }
}
