//! Words that stand for numbers, and names that others give.

use crate::verdict::Check;
use imalab_formats::Interface;
use imalab_formats::ima::Bank;

/// Capabilities (`include/uapi/linux/capability.h`).
pub(in crate::scenario) const CAPABILITIES: &[(&str, u8)] = &[
    ("chown", 0),
    ("dac-override", 1),
    ("dac-read-search", 2),
    ("fowner", 3),
    ("fsetid", 4),
    ("kill", 5),
    ("setgid", 6),
    ("setuid", 7),
    ("setpcap", 8),
    ("linux-immutable", 9),
    ("net-bind-service", 10),
    ("net-broadcast", 11),
    ("net-admin", 12),
    ("net-raw", 13),
    ("ipc-lock", 14),
    ("ipc-owner", 15),
    ("sys-module", 16),
    ("sys-rawio", 17),
    ("sys-chroot", 18),
    ("sys-ptrace", 19),
    ("sys-pacct", 20),
    ("sys-admin", 21),
    ("sys-boot", 22),
    ("sys-nice", 23),
    ("sys-resource", 24),
    ("sys-time", 25),
    ("sys-tty-config", 26),
    ("mknod", 27),
    ("lease", 28),
    ("audit-write", 29),
    ("audit-control", 30),
    ("setfcap", 31),
    ("mac-override", 32),
    ("mac-admin", 33),
    ("syslog", 34),
    ("wake-alarm", 35),
    ("block-suspend", 36),
    ("audit-read", 37),
    ("perfmon", 38),
    ("bpf", 39),
    ("checkpoint-restore", 40),
];

/// Resource limits that calls on files meet (`include/uapi/asm-generic/resource.h`).
pub(in crate::scenario) const LIMITS: &[(&str, u8)] =
    &[("fsize", 1), ("data", 2), ("nofile", 7), ("memlock", 8), ("as", 9)];

/// Signals that end a process which does not handle them (`arch/x86/include/uapi/asm/signal.h`).
pub(in crate::scenario) const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("TERM", 15),
];

/// Response codes (TPM 2.0 Library Part 2, 6.6.3).
pub(in crate::scenario) const RESPONSES: &[(&str, u32)] =
    &[("retry", 0x922), ("failure", 0x101), ("yielded", 0x908), ("locality", 0x907)];

/// Command codes (TPM 2.0 Library Part 2, 6.5.2).
pub(in crate::scenario) const COMMANDS: &[(&str, u32)] =
    &[("extend", 0x182), ("pcr-read", 0x17e), ("get-random", 0x17b), ("get-capability", 0x17a)];

/// Events of `poll(2)` (`include/uapi/asm-generic/poll.h`).
pub(in crate::scenario) const EVENTS: &[(&str, i16)] = &[("in", 1), ("pri", 2), ("out", 4)];

pub(super) const CAPABILITY_NAMES: &[&str] = &names::<_, { CAPABILITIES.len() }>(CAPABILITIES);
pub(super) const LIMIT_NAMES: &[&str] = &names::<_, { LIMITS.len() }>(LIMITS);
pub(super) const SIGNAL_NAMES: &[&str] = &names::<_, { SIGNALS.len() }>(SIGNALS);
pub(super) const RESPONSE_NAMES: &[&str] = &names::<_, { RESPONSES.len() }>(RESPONSES);
pub(super) const COMMAND_NAMES: &[&str] = &names::<_, { COMMANDS.len() }>(COMMANDS);
pub(super) const EVENT_NAMES: &[&str] = &names::<_, { EVENTS.len() }>(EVENTS);

/// The words of such a table.
const fn names<T: Copy, const N: usize>(table: &[(&'static str, T)]) -> [&'static str; N] {
    let mut out = [""; N];
    let mut at = 0;
    while at < N {
        out[at] = table[at].0;
        at += 1;
    }
    out
}

/// The number of a word.
pub(in crate::scenario) fn number<T: Copy>(
    table: &[(&'static str, T)],
    name: &str,
) -> Option<(&'static str, T)> {
    table.iter().find(|(known, _)| *known == name).copied()
}

/// Banks, as measurement files have them.
pub(super) const BANKS: &[&str] = &{
    let mut names = [""; Bank::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Bank::ALL[at].name();
        at += 1;
    }
    names
};

/// Names of files that `open` knows: those that every interface has, and those that one has beside the lists.
pub(in crate::scenario) fn special_files() -> Vec<&'static str> {
    let mut names = vec!["binary", "ascii", "staged-binary", "staged-ascii", "count", "violations"];
    for own in Interface::KNOWN.iter().flat_map(|interface| interface.dialect().own_files) {
        if !names.contains(&own.name) {
            names.push(own.name);
        }
    }
    names
}

/// Errnos that steps can give, for the hint; any name of Linux is taken.
pub(in crate::scenario) const ERRNOS: &[&str] = &[
    "EACCES", "EBADF", "EBUSY", "EEXIST", "EFAULT", "EINVAL", "EMFILE", "ENFILE", "ENODATA", "ENODEV",
    "ENOENT", "ENOEXEC", "ENOMEM", "EPERM", "ERANGE", "ESPIPE", "ESRCH", "ESTALE",
];

/// What a scenario names instead of a check when the kernel dies of the defect, and the group of the codes of deaths.
const KERNEL_DIED: &str = "kernel-died";

/// Names of the invariants, and of what is worse than any of them.
pub(crate) const CHECKS: &[&str] = &{
    let mut names = [KERNEL_DIED; Check::INVARIANTS.len() + 1];
    let mut at = 0;
    while at < Check::INVARIANTS.len() {
        names[at] = Check::INVARIANTS[at].name();
        at += 1;
    }
    names
};

/// The bit of an event of `poll(2)`.
pub(crate) fn poll_event(name: &str) -> Option<i16> {
    number(EVENTS, name).map(|(_, bit)| bit)
}
