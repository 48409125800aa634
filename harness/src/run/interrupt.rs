//! The first signal stops cleanly, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use imalab_trace::{Host, Sender, What};

/// Exit code of an interrupted call, as shells give it for SIGINT.
pub const EXIT_INTERRUPTED: i32 = 130;

/// Whoever must hear of a signal.
#[derive(Clone, Default)]
pub struct Interrupts {
    seen: Arc<AtomicBool>,
    listeners: Arc<Mutex<Vec<Sender>>>,
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
        let heard = interrupts.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                if heard.seen.swap(true, Ordering::SeqCst) {
                    std::process::exit(EXIT_INTERRUPTED);
                }
                for listener in heard.listeners.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                    // A run that has ended no longer listens, which is fine.
                    let _ = listener.send(What::Host(Host::Interrupted));
                }
            }
        })?;
        Ok(interrupts)
    }

    /// Whether a signal has come.
    pub fn seen(&self) -> bool {
        self.seen.load(Ordering::SeqCst)
    }

    /// Sends [`Host::Interrupted`] to this stream when a signal comes, or now when one has.
    pub fn tell(&self, listener: &Sender) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if self.seen() {
            let _ = listener.send(What::Host(Host::Interrupted));
        } else {
            listeners.push(listener.clone());
        }
    }
}
