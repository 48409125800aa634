//! Ctrl-C: the first ends the work under way cleanly, the second ends everything at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::stop::{INTERRUPTED, Stop};

struct State {
    asked: bool,
    /// The process group under way. Without one there is nothing to clean up that the next run would
    /// not sweep away, so the first signal ends us too.
    group: Option<Pid>,
}

static STATE: Mutex<State> = Mutex::new(State { asked: false, group: None });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to listen for SIGINT, SIGTERM and SIGHUP.
pub(crate) fn listen() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                let mut state = state();
                match state.group {
                    Some(group) if !state.asked => {
                        state.asked = true;
                        eprintln!("stopping and clearing up; once more to stop at once");
                        // The group may have ended by itself a moment ago, and then there is nothing to stop.
                        let _ = killpg(group, Signal::SIGTERM);
                    }
                    _ => signal_hook::low_level::exit(INTERRUPTED.into()),
                }
            }
        })
        .context("cannot start the signal thread")?;
    Ok(())
}

/// Marks the process group `group` as the work under way until the guard is dropped.
pub(crate) fn under_way(group: Pid) -> UnderWay {
    state().group = Some(group);
    UnderWay
}

/// See [`under_way`].
#[must_use]
pub(crate) struct UnderWay;

impl Drop for UnderWay {
    fn drop(&mut self) {
        state().group = None;
    }
}

/// Fails once the user has asked for the end.
pub(crate) fn check() -> Result<(), Stop> {
    if state().asked { Err(Stop::Interrupted) } else { Ok(()) }
}
