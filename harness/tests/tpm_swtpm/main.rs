//! The tap, its port, the client and quotes, against a real swtpm.

mod client;
mod figures;
mod port;
mod qemu;
mod rig;
mod tap;
