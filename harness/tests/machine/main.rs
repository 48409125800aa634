//! The machine against real QEMU and real processes, and against every way in which they fail.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod accel;
mod children;
mod dry_run;
mod faults;
mod flood;
mod forks;
mod guest;
