//! The `imalab` command from outside, with a real kernel: what it proves, what it says when something is wrong, and what it
//! leaves behind. Judges that are not ours (evmctl, tpm2-tools) look at the same evidence.
//!
//! Needs a kernel and an initramfs, which `cargo xtask check` builds and names in the environment. Without them the
//! tests fail: a check that could not run is none.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod added;
mod bundles;
mod debugger;
mod demands;
mod disk;
mod events;
mod evidence;
mod explore;
mod faults;
mod forks;
mod holds;
mod inputs;
mod kernels;
mod keylime;
mod lab;
mod lanes;
mod machinery;
mod mutation;
mod outside;
mod shell;
mod signals;
