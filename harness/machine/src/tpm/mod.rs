//! The TPM: swtpm, the tap before it, the harness's own commands, quotes.
//!
//! [`swtpm`] says how to start one, [`link`] is the way to it, [`banks`] fixes its PCR banks, and [`tap`] stands
//! between it and QEMU. [`client`] sends the harness's own commands through the tap's port. What came back is judged
//! without a TPM by [`imalab_formats::tpm::quote`], and what the trace holds is read by [`imalab_formats::tpm::command`].

pub mod banks;
pub mod client;
pub mod link;
pub mod swtpm;
pub mod tap;

mod control;
mod faults;
mod frame;
