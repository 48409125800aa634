//! Invariant `kernel-health`: a console without complaints that shows what the scenario expects on it, as many boots as
//! were asked for, and an end as planned.
//!
//! What counts as a complaint is [`imalab_formats::splat`]'s; what may be passed over is in `allow.yaml`, each entry with reason,
//! link and the day on which it ends.

mod allow;
#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use imalab_wire::End;

use super::Case;
use super::complaints::complaints;
use super::ending;
use super::evidence::Evidence;
use super::findings::Findings;
use crate::outcome::{Check, CheckResult};
use allow::{Allowed, List};
use imalab_formats::splat::Kind;
use imalab_language::finding::{ConsoleLine, Fact, KernelHealth, Value};
use imalab_language::plan::{level, silences};
use imalab_trace::Trace;

/// What a kernel says at its highest level, whatever the console's, before it powers off (`kernel_power_off`,
/// kernel/reboot.c).
const LAST_WORDS: &str = "reboot: Power down";

/// The allow list of this checkout.
const LIST: &str = include_str!("allow.yaml");

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    with_list(&case.digest.evidence, case.digest.trace, case.today, LIST)
}

fn with_list(evidence: &Evidence<'_>, trace: &Trace, today: NaiveDate, list: &str) -> CheckResult {
    let mut findings = Findings::new(Check::KernelHealth);
    match List::parse(list) {
        Ok(list) => console(evidence, &list, today, &mut findings),
        Err(error) => findings.obstacle(KernelHealth::AllowList { error }),
    }
    said(evidence, &mut findings);
    let boots = u32::from(evidence.plan.boots());
    if evidence.boots != boots {
        let (expected, found) = (Value::Number(boots.into()), Value::Number(evidence.boots.into()));
        findings.finding(KernelHealth::Boots { expected, found });
    }
    end(evidence, trace, &mut findings);
    findings.rests_on(evidence.boots as usize, "boots");
    findings.result()
}

fn console(evidence: &Evidence<'_>, list: &List, today: NaiveDate, findings: &mut Findings) {
    let lines: Vec<&str> = evidence.console.iter().map(|(_, line)| *line).collect();
    if lines.is_empty() {
        findings.obstacle(KernelHealth::NoConsole {});
    }
    let (mut passed_over, mut held) = (0, 0);
    for splat in complaints(evidence.plan, &lines) {
        let event = evidence.console.get(splat.line_index).map_or(0, |(seq, _)| *seq);
        // Whoever waits for a TPM that the plan holds, or for a lock of who does, does what it should.
        if splat.kind == Kind::HungTask && evidence.holds.iter().any(|hold| hold.is_in_force(event)) {
            held += 1;
            continue;
        }
        let allowed = list.allows(&splat, today);
        let (number, kind) = (splat.line_index as u64 + 1, splat.kind.name());
        let line = ConsoleLine { number, event, text: splat.title };
        match allowed {
            Allowed::Yes => passed_over += 1,
            Allowed::No => findings.finding(KernelHealth::Complaint { line, kind }),
            Allowed::NoLonger(expired) => {
                let until = expired.to_string();
                findings.finding(KernelHealth::AllowedNoLonger { line, kind, until });
            }
        }
    }
    findings.compared(lines.len(), "console lines");
    findings.leaves_out(passed_over, "complaints that are allowed");
    findings.leaves_out(held, "complaints of tasks that waited while the TPM was held");
    if let Some(word) = quietened(&evidence.plan.machine.kernel_args) {
        findings.obstacle(KernelHealth::QuietConsole { word: word.to_owned() });
    }
}

/// The word of the kernel's command line by which warnings no longer reach the console, if one does: of those that set its
/// level the last holds.
fn quietened(kernel_args: &[String]) -> Option<&str> {
    let mut words = kernel_args.iter().map(String::as_str);
    let last = words.clone().rev().find(|word| level(word).is_some());
    last.filter(|word| silences(word)).or_else(|| words.find(|word| level(word).is_none() && silences(word)))
}

fn said(evidence: &Evidence<'_>, findings: &mut Findings) {
    for text in &evidence.plan.kernel_says {
        if let Some(index) = evidence.console.iter().position(|(_, line)| line.contains(text.as_str())) {
            findings.fact(Fact::Said { line_number: index as u64 + 1, words: text.clone() });
        } else {
            findings.finding(KernelHealth::NeverSaid { words: text.clone() });
        }
    }
}

fn end(evidence: &Evidence<'_>, trace: &Trace, findings: &mut Findings) {
    if evidence.done.is_none() {
        findings.finding(KernelHealth::AgentNotDone {});
    }
    if evidence.plan.program.end != End::PowerOff {
        return;
    }
    match ending::shutdown(trace) {
        Some((_, ending::GUEST_SHUTDOWN)) => {
            findings.fact(Fact::PoweredOff {});
            // From a console that went away no complaint came.
            if !evidence.console.iter().any(|(_, line)| line.contains(LAST_WORDS)) {
                findings.obstacle(KernelHealth::NoLastWords { words: LAST_WORDS.to_owned() });
            }
        }
        Some((seq, reason)) => {
            let (expected, found) = (Value::word(ending::GUEST_SHUTDOWN), Value::word(reason));
            findings.finding(KernelHealth::OtherShutdown { event: seq, expected, found });
        }
        None => findings.finding(KernelHealth::NoShutdown {}),
    }
}
