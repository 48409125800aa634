//! What the check `kernel-health` finds: a complaint on the console, a boot or an end that nobody asked for.

use super::{ConsoleLine, Directness, Finding, Invariant, Phrasing, Rests, Value};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "the serial console; the number of boots; the expected shutdown",
    rests: Rests {
        on: "the console from the boot to the kernel's last words, with warnings on it, and the boots",
        nothing: "no console line, no last words, a command line (`quiet`, `loglevel=`, `console=`) that keeps warnings off it: could not run; a boot that was not seen: failed",
        tests: &[
            "no_console",
            "a_console_that_went_away_could_not_be_judged",
            "a_console_without_warnings_could_not_be_judged",
            "no_boot_seen",
        ],
    },
    directness,
};

fn directness(finding: &Finding) -> Directness {
    match finding {
        Finding::KernelHealth(KernelHealth::Complaint { .. } | KernelHealth::AllowedNoLonger { .. }) => {
            Directness::Complaint
        }
        _ => Directness::Health,
    }
}

findings! {
    /// A complaint on the console, or an unexpected boot or shutdown.
    KernelHealth {
        /// The kernel complained; `kind` says of what.
        "kernel-health/complaint" Complaint { line: ConsoleLine, kind: String }
        /// The kernel complained of something that the allow list allowed only until a date.
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

impl KernelHealth {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            KernelHealth::Complaint { line: of, kind: _ } => line(of),
            KernelHealth::AllowedNoLonger { line: of, kind: _, until } => {
                format!("{} (allowed until {until}: look again)", line(of))
            }
            KernelHealth::NeverSaid { words } => {
                format!("the console never showed `{words}`, which the scenario expects")
            }
            KernelHealth::Boots { expected, found } => {
                format!(
                    "the agent said hello {} times, expected {}",
                    phrase.value(found),
                    phrase.value(expected)
                )
            }
            KernelHealth::AgentNotDone {} => "the agent's last message never came".to_owned(),
            KernelHealth::OtherShutdown { event, expected, found } => {
                format!(
                    "event {event}: the machine went down by {}, expected {}",
                    phrase.value(found),
                    phrase.value(expected)
                )
            }
            KernelHealth::NoShutdown {} => "the guest never powered off".to_owned(),
            KernelHealth::NoConsole {} => {
                "the console printed nothing, not even the kernel's last words".to_owned()
            }
            KernelHealth::QuietConsole { word } => {
                format!("the kernel's command line has `{word}`, which keeps warnings off the console")
            }
            KernelHealth::NoLastWords { words } => {
                format!("the console did not show the kernel's last words, `{words}`")
            }
            KernelHealth::AllowList { error } => format!("the allow list cannot be read: {error}"),
        }
    }
}

fn line(line: &ConsoleLine) -> String {
    format!("console line {}, event {}: {}", line.number, line.event, line.text)
}
