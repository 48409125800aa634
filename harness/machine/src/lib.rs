//! The machine: QEMU's command line, QMP, console, accelerator choice, children that die with us.

pub mod accel;
pub mod child;
pub mod command;
pub mod console;
pub mod deadline;
mod follow;
pub mod guest;
pub mod host_delay;
pub mod initramfs;
pub mod lane;
pub mod processors;
pub mod qmp;
mod running;
mod send;
pub mod tpm;
mod tsc;

pub use running::{Console, Machine, Start, StartError, State, Stopped};
