//! Schedules of the deterministic lane: where a virtual processor may be preempted, who decides it, and what is told of it.
//!
//! Pure, and shared by both sides of QEMU's plugin interface: the harness writes an [`Order`] and reads a [`Report`], the
//! plugin carries the order out with a [`Scheduler`].

mod coverage;
mod exhaustive;
mod mutex;
mod order;
mod pin;
mod pinning;
mod point;
mod random;
mod range;
mod report;
mod scheduler;
mod shrink;
mod strategy;
mod symbols;
mod way;

pub use coverage::Coverage;
pub use exhaustive::Holds;
pub use mutex::MutexHolds;
pub use order::{Choice, Does, Gate, Order, OrderError, SCHEMA, Stop, Strategy, Watch};
pub use pin::{Pin, PinEnd, PinReport, Pins, Spot, TaskReport, Until};
pub use point::Point;
pub use random::draw;
pub use range::Range;
pub use report::{End, MutexHold, Preemption, Report, ReportError};
pub use scheduler::Scheduler;
pub use shrink::{Shrunk, shrink};
pub use symbols::{Symbols, SymbolsError};
pub use way::Way;
