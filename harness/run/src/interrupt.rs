//! The first signal stops cleanly, the second at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code of an interrupted call, as shells give it for SIGINT.
pub const EXIT_INTERRUPTED: i32 = 130;

/// Signals to this process, and whoever must hear of the first.
#[derive(Clone, Default)]
pub struct Interrupts(Arc<Shared>);

#[derive(Default)]
struct Shared {
    seen: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    waiting: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
}

/// As long as it is there, somebody waits for a signal.
#[must_use]
pub struct Listening {
    shared: Arc<Shared>,
    number: Option<u64>,
}

impl Interrupts {
    /// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process.
    ///
    /// The second of them ends the process at once; the machines go with it, since every child has a
    /// parent-death signal.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> std::io::Result<Interrupts> {
        let interrupts = Interrupts::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let received = interrupts.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                if received.raise() {
                    std::process::exit(EXIT_INTERRUPTED);
                }
            }
        })?;
        Ok(interrupts)
    }

    /// Does what a signal does; gives back whether one had come before.
    pub fn raise(&self) -> bool {
        let before = self.0.seen.swap(true, Ordering::SeqCst);
        // None of them waits for anything: a second signal has to be noticed at once.
        for (_, listener) in std::mem::take(&mut self.0.lock().waiting) {
            listener();
        }
        before
    }

    /// Whether a signal has come.
    pub fn seen(&self) -> bool {
        self.0.seen.load(Ordering::SeqCst)
    }

    /// Calls `then` when a signal comes, or now when one has. It must not wait for anything.
    pub fn on_signal(&self, then: impl FnOnce() + Send + 'static) -> Listening {
        let shared = Arc::clone(&self.0);
        let mut listeners = self.0.lock();
        if self.seen() {
            drop(listeners);
            then();
            return Listening { shared, number: None };
        }
        let number = listeners.next;
        listeners.next += 1;
        listeners.waiting.insert(number, Box::new(then));
        Listening { shared, number: Some(number) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.lock().waiting.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn counting(count: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static {
        let count = Arc::clone(count);
        move || {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn whoever_listens_hears_of_the_first_signal_once() {
        let (interrupts, count) = (Interrupts::default(), Arc::default());
        let _listening = interrupts.on_signal(counting(&count));
        drop(interrupts.on_signal(counting(&count)));
        assert!(!interrupts.seen() && !interrupts.raise(), "it was the first");
        assert_eq!(count.load(Ordering::SeqCst), 1, "the other one no longer listened");
        let _late = interrupts.on_signal(counting(&count));
        assert_eq!(count.load(Ordering::SeqCst), 2, "told at once");
        assert!(interrupts.seen() && interrupts.raise());
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}
