//! Findings of the check `kernel-health` in words.

use super::parts::value;
use imalab_language::finding::{ConsoleLine, KernelHealth};

pub(super) fn words(finding: &KernelHealth) -> String {
    match finding {
        KernelHealth::Complaint { line: of, kind: _ } => line(of),
        KernelHealth::AllowedNoLonger { line: of, kind: _, until } => {
            format!("{} (allowed until {until}: look again)", line(of))
        }
        KernelHealth::NeverSaid { words } => {
            format!("the console never showed `{words}`, which the scenario expects")
        }
        KernelHealth::Boots { expected, found } => {
            format!("the agent said hello {} times, expected {}", value(found), value(expected))
        }
        KernelHealth::AgentNotDone {} => "the agent's last message never came".to_owned(),
        KernelHealth::OtherShutdown { event, expected, found } => {
            format!("event {event}: the machine went down by {}, expected {}", value(found), value(expected))
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

fn line(line: &ConsoleLine) -> String {
    format!("console line {}, event {}: {}", line.number, line.event, line.text)
}
