//! How the machine went down, as QEMU told it.

use crate::event::{Trace, What};

/// The guest powered itself off (`ShutdownCause`, QEMU `qapi/run-state.json`).
pub(super) const GUEST_SHUTDOWN: &str = "guest-shutdown";
/// The guest reset itself, which ends a machine that may not reboot.
pub(super) const GUEST_RESET: &str = "guest-reset";
/// The guest told QEMU that it panicked.
pub(super) const GUEST_PANIC: &str = "guest-panic";

/// The first `SHUTDOWN` event: its sequence number and its reason.
pub(super) fn shutdown(trace: &Trace) -> Option<(u64, &str)> {
    trace.notable().find_map(|event| match &event.what {
        What::Qmp(value) if value["event"] == "SHUTDOWN" => {
            Some((event.seq, value["data"]["reason"].as_str().unwrap_or("an unknown cause")))
        }
        _ => None,
    })
}
