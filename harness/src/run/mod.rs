//! Drives plans on machines and collects their traces.

mod follow;
mod interrupt;
mod kernels;
mod offers;
mod one;
mod partition;
mod probe;
mod probed;
mod queue;
mod scratch;
mod shell;
mod store;
mod stream;
mod suite;
mod tpm;

pub use interrupt::{EXIT_INTERRUPTED, Interrupts};
pub use kernels::KernelsError;
pub use one::{Ran, RunError, Site, run};
pub use partition::{NoPartition, Partition};
pub use probe::{AskError, capabilities};
pub use probed::PROBE;
pub use queue::{MAX_RUNS, QueueError};
pub use scratch::{Scratch, ScratchError, place as scratch_place};
pub use shell::{ShellError, shell};
pub use store::Store;
pub use stream::{Quiet, Stream};
pub use suite::{Kernel, LANE, Request, suite, times};
pub use tpm::{Tpm, TpmError};

use imalab_trace::{Trace, What};

/// Lines of the console that a result shows.
const TAIL: usize = 20;

/// The last lines of the console.
pub(crate) fn console_tail(trace: &Trace) -> Vec<String> {
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
