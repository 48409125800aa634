//! Ctrl-C: the first ends the work under way cleanly, the second ends everything at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::guard;
use crate::say::say;
use crate::stop::{INTERRUPTED, Stop};

struct State {
    asked: bool,
    /// The guard of the work under way.
    guard: Option<Pid>,
    /// How many want the work to come to an orderly end even where no process is under way. Without any there is nothing
    /// to clean up that the next run would not sweep away, so the first signal ends us too.
    held: usize,
}

static STATE: Mutex<State> = Mutex::new(State { asked: false, guard: None, held: 0 });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens for SIGINT, SIGTERM and SIGHUP for the rest of the process.
pub fn listen() -> Result<()> {
    start().map(drop)
}

/// Listens for them while `work` is done, in a program that does something else about signals afterwards.
///
/// # Errors
/// Those of `work`, and [`Stop::Interrupted`] when a signal came meanwhile.
pub fn during<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (signals, thread) = start()?;
    let done = work();
    signals.close();
    // It ends by itself now, and has nothing to tell.
    let _ = thread.join();
    let done = done?;
    check()?;
    Ok(done)
}

fn start() -> Result<(Handle, JoinHandle<()>)> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
    let handle = signals.handle();
    let thread = std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                let mut state = state();
                if state.asked || (state.guard.is_none() && state.held == 0) {
                    signal_hook::low_level::exit(INTERRUPTED.into());
                }
                state.asked = true;
                say!("stopping and clearing up; once more to stop at once");
                if let Some(guard) = state.guard {
                    guard::ask_to_end(guard);
                }
            }
        })
        .context("cannot start the signal thread")?;
    Ok((handle, thread))
}

/// Marks the process `guard` as the work under way until what comes back is dropped.
pub fn under_way(guard: Pid) -> UnderWay {
    let mut state = state();
    state.guard = Some(guard);
    if state.asked {
        // Between the last check and now.
        guard::ask_to_end(guard);
    }
    UnderWay
}

/// See [`under_way`].
#[must_use]
pub struct UnderWay;

impl Drop for UnderWay {
    fn drop(&mut self) {
        state().guard = None;
    }
}

/// Lets the first signal end nothing but the process under way, until what comes back is dropped.
pub fn hold() -> Held {
    state().held += 1;
    Held
}

/// See [`hold`].
#[must_use]
pub struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        state().held -= 1;
    }
}

/// Fails once the user has asked for the end.
pub fn check() -> Result<(), Stop> {
    if state().asked { Err(Stop::Interrupted) } else { Ok(()) }
}
