//! The tap, its port, the client and quotes, against a real swtpm.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

mod client;
mod faults;
mod keeper;
mod port;
mod qemu;
mod rig;
mod strangers;
mod tap;
mod trial;
mod view;
