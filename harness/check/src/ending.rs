//! How the machine went down, as QEMU told it.

use imalab_trace::{Event, Host, Trace, What};

/// The guest powered itself off (`ShutdownCause`, QEMU `qapi/run-state.json`).
pub(super) const GUEST_SHUTDOWN: &str = "guest-shutdown";
/// The guest reset itself, which ends a machine that may not reboot.
pub(super) const GUEST_RESET: &str = "guest-reset";
/// The guest told QEMU that it panicked.
pub(super) const GUEST_PANIC: &str = "guest-panic";

/// A signal ended QEMU, which it takes for a wish.
pub(super) const HOST_SIGNAL: &str = "host-signal";

/// What was observed before the kernel was made to panic by an NMI; what came after that is an answer to it.
pub(super) fn own_words(trace: &Trace) -> impl Iterator<Item = &Event> {
    trace.notable().take_while(|event| event.what != What::Host(Host::NmiSent))
}

/// The first `SHUTDOWN` event: its sequence number and its reason.
pub(super) fn shutdown(trace: &Trace) -> Option<(u64, &str)> {
    own_words(trace).find_map(|event| match &event.what {
        What::Qmp(value) if value["event"] == "SHUTDOWN" => {
            Some((event.seq, value["data"]["reason"].as_str().unwrap_or("an unknown cause")))
        }
        _ => None,
    })
}
