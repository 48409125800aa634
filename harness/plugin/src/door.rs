// SPDX-License-Identifier: GPL-2.0-or-later
//! When QEMU's main thread may run.
//!
//! It moves the guest's clock on while all processors are idle (`icount_start_warp_timer`), and it looks whether they are
//! whenever something has woken it, at a time that the host decides. Without a door it may find them idle while the thread
//! that runs them has not got to its sleep yet, or has not run the timers it was woken for. The clock then goes on from the
//! wrong time, and another processor has the next turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the main thread waits until it is let in where nothing is idle as well. It has a monitor to answer. What a
/// guest sees does not depend on it.
const PATIENCE: Duration = Duration::from_millis(20);

/// Lets the main thread have QEMU's big lock only while the processors' thread stands still.
///
/// It is closed by who has the lock, and the main thread looks after it has taken the lock: it never runs behind a closed
/// door.
pub(crate) struct Door {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    open: bool,
    waits: bool,
    overdue: bool,
}

/// QEMU's big lock, as the thread that we are in takes it.
pub(crate) trait Lock {
    fn take(&self);
    fn give_back(&self);
}

impl Door {
    /// An open one: there are no processors yet.
    pub(crate) const fn new() -> Door {
        Door {
            state: Mutex::new(State { open: true, waits: false, overdue: false }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processors' thread stands still from here on.
    pub(crate) fn open(&self) {
        self.state().open = true;
        self.changed.notify_all();
    }

    /// The processors' thread goes on. It has the lock.
    pub(crate) fn close(&self) {
        self.state().open = false;
    }

    /// The main thread takes the lock.
    pub(crate) fn enter(&self, lock: &impl Lock) {
        loop {
            lock.take();
            let mut state = self.state();
            if state.open {
                state.waits = false;
                state.overdue = false;
                drop(state);
                self.changed.notify_all();
                return;
            }
            state.waits = true;
            lock.give_back();
            let shut = |state: &mut State| !state.open;
            let (mut state, waited) = self
                .changed
                .wait_timeout_while(state, PATIENCE, shut)
                .unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                state.overdue = true;
                drop(self.changed.wait_while(state, shut));
            }
        }
    }

    /// Whether the main thread has waited for long.
    pub(crate) fn overdue(&self) -> bool {
        self.state().overdue
    }

    /// The processors' thread, at a place where the main thread changes nothing, waits until it has been in.
    pub(crate) fn let_in(&self) {
        self.open();
        drop(self.changed.wait_while(self.state(), |state| state.waits));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::thread;

    use super::*;

    /// A lock without an owner, as QEMU's is.
    #[derive(Default)]
    struct Big {
        taken: Mutex<bool>,
        free: Condvar,
    }

    impl Lock for Big {
        fn take(&self) {
            let mut taken = self.free.wait_while(self.taken.lock().unwrap(), |taken| *taken).unwrap();
            *taken = true;
        }

        fn give_back(&self) {
            *self.taken.lock().unwrap() = false;
            self.free.notify_one();
        }
    }

    /// A main thread that wants in all the time, until it is told to end.
    fn busy(door: &Door, lock: &Big, over: &AtomicBool, within: impl Fn()) {
        while !over.load(Ordering::SeqCst) {
            door.enter(lock);
            within();
            lock.give_back();
        }
    }

    #[test]
    fn nobody_is_in_while_processors_run() {
        let (door, lock) = (Door::new(), Big::default());
        let (runs, over, passes) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                busy(&door, &lock, &over, || {
                    assert!(!runs.load(Ordering::SeqCst), "it came in while the processors ran");
                    passes.fetch_add(1, Ordering::SeqCst);
                });
            });
            for _ in 0..1000 {
                let before = passes.load(Ordering::SeqCst);
                door.open();
                while passes.load(Ordering::SeqCst) == before {
                    thread::yield_now();
                }
                lock.take();
                door.close();
                runs.store(true, Ordering::SeqCst);
                lock.give_back();
                thread::yield_now();
                runs.store(false, Ordering::SeqCst);
            }
            over.store(true, Ordering::SeqCst);
            door.open();
        });
    }

    #[test]
    fn whoever_waits_for_long_is_let_in() {
        let (door, lock) = (Door::new(), Big::default());
        let (over, passes) = (AtomicBool::new(false), AtomicU32::new(0));
        door.close();
        thread::scope(|scope| {
            scope.spawn(|| {
                busy(&door, &lock, &over, || {
                    passes.fetch_add(1, Ordering::SeqCst);
                });
            });
            while !door.overdue() {
                thread::yield_now();
            }
            assert_eq!(passes.load(Ordering::SeqCst), 0);
            door.let_in();
            lock.take();
            door.close();
            assert_ne!(passes.load(Ordering::SeqCst), 0);
            lock.give_back();
            over.store(true, Ordering::SeqCst);
            door.open();
        });
    }
}
