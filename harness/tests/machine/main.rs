//! The machine against real QEMU and real processes, and against every way in which they fail.

mod accel;
mod children;
mod dry_run;
mod faults;
mod guest;
