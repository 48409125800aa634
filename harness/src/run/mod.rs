//! Drives one plan on a machine and collects its trace.

mod interrupt;
mod scratch;
mod stream;

pub use interrupt::{EXIT_INTERRUPTED, Interrupts};
pub use scratch::{Scratch, ScratchError};
pub use stream::{Quiet, Stream};
