//! What the check `kernel-health` finds: a complaint on the console, a boot or an end that nobody asked for.

use super::{ConsoleLine, Value};

findings! {
    /// A complaint on the console, a boot or an end that nobody asked for.
    KernelHealth {
        /// The kernel complained; `kind` says of what.
        "kernel-health/complaint" Complaint { line: ConsoleLine, kind: String }
        /// The kernel complained of what the allow list let pass until a day.
        "kernel-health/allowed-no-longer" AllowedNoLonger { line: ConsoleLine, kind: String, until: String }
        /// The console never showed a text that the scenario expects (`kernel-says`).
        "kernel-health/never-said" NeverSaid { words: String }
        /// The agent said hello more or fewer times than there should be boots.
        "kernel-health/boots" Boots { expected: Value, found: Value }
        /// The agent's last message never came.
        "kernel-health/agent-not-done" AgentNotDone {}
        /// The machine went down by another cause (QEMU's name for it).
        "kernel-health/other-shutdown" OtherShutdown { event: u64, expected: Value, found: Value }
        /// The guest never powered off.
        "kernel-health/no-shutdown" NoShutdown {}
        /// The console printed nothing.
        "kernel-health/no-console" NoConsole {}
        /// The kernel's command line has a word that keeps warnings off the console.
        "kernel-health/quiet-console" QuietConsole { word: String }
        /// The console ends before the kernel's last words.
        "kernel-health/no-last-words" NoLastWords { words: String }
        /// The allow list cannot be read.
        "kernel-health/allow-list" AllowList { error: String }
    }
}
