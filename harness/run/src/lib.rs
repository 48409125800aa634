//! Drives one plan on one machine and collects its trace.

mod context;
mod fork;
mod guest;
mod interrupt;
mod kernels;
mod lane;
mod lines;
mod own_checks;
mod run;
mod scratch;
mod shell;
mod stream;
mod supervise;
mod tpm;

pub use context::RunContext;
pub use fork::{Forks, SaveError, Saved, WORTHWHILE};
pub use guest::{Boot, Guest, GuestEnded, GuestError, GuestSpec, machine_spec, write_program};
pub use interrupt::{EXIT_INTERRUPTED, Interrupts, Listening};
pub use kernels::{Kernel, KernelsError, others};
pub use lane::{NoReport, Seeded, SeededError, Unfit, has_symbols, known_places, symbols, unfit};
pub use lines::{Lines, NoLines};
pub use run::{Booted, Ran, RunError, run};
pub use scratch::{Scratch, ScratchError, place as scratch_place};
pub use shell::{ShellError, shell};
pub use stream::{Quiet, Stream};
pub use tpm::{Tpm, TpmError};

use imalab_trace::{Trace, What};

/// Lines of the console that a result shows.
const TAIL: usize = 20;

/// The last lines of the console.
pub fn console_tail(trace: &Trace) -> Vec<String> {
    let mut lines: Vec<String> = trace
        .notable()
        .rev()
        .filter_map(|event| match &event.what {
            What::Console(line) => Some(line.clone()),
            _ => None,
        })
        .take(TAIL)
        .collect();
    lines.reverse();
    lines
}
