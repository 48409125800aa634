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

use super::complaints::complaints;
use super::ending;
use super::evidence::Evidence;
use super::sheet::{Sheet, count};
use crate::outcome::CheckResult;
use allow::{Allowed, List};
use imalab_formats::splat::Kind;
use imalab_language::plan::{level, silences};
use imalab_trace::Trace;

/// What a kernel says at its highest level, whatever the console's, before it powers off (`kernel_power_off`,
/// kernel/reboot.c).
const LAST_WORDS: &str = "reboot: Power down";

/// The allow list of this checkout.
const LIST: &str = include_str!("allow.yaml");

/// How a finding of the kernel's own words begins.
pub(super) const COMPLAINT: &str = "console line ";

pub(super) fn check(evidence: &Evidence<'_>, trace: &Trace, today: NaiveDate) -> CheckResult {
    with_list(evidence, trace, today, LIST)
}

fn with_list(evidence: &Evidence<'_>, trace: &Trace, today: NaiveDate, list: &str) -> CheckResult {
    let mut sheet = Sheet::new("kernel-health");
    match List::parse(list) {
        Ok(list) => console(evidence, &list, today, &mut sheet),
        Err(why) => sheet.obstacle(format!("the allow list cannot be read: {why}")),
    }
    said(evidence, &mut sheet);
    let boots = u32::from(evidence.plan.boots());
    if evidence.boots != boots {
        sheet.finding(format!("the agent said hello {} times, expected {boots}", evidence.boots));
    }
    end(evidence, trace, &mut sheet);
    sheet.fact(count(evidence.boots as usize, "boot"));
    sheet.rests_on(evidence.boots as usize, "boots");
    sheet.result()
}

fn console(evidence: &Evidence<'_>, list: &List, today: NaiveDate, sheet: &mut Sheet) {
    let lines: Vec<&str> = evidence.console.iter().map(|(_, line)| *line).collect();
    if lines.is_empty() {
        sheet.obstacle("the console printed nothing, not even the kernel's last words");
    }
    let (mut passed_over, mut held) = (0, 0);
    for splat in complaints(evidence.plan, &lines) {
        let event = evidence.console.get(splat.line_index).map_or(0, |(seq, _)| *seq);
        let place = format!("{COMPLAINT}{}, event {event}: {}", splat.line_index + 1, splat.title);
        // Whoever waits for a TPM that the plan holds, or for a lock of who does, does what it should.
        if splat.kind == Kind::HungTask && evidence.holds.iter().any(|hold| hold.is_in_force(event)) {
            held += 1;
            continue;
        }
        match list.allows(&splat, today) {
            Allowed::Yes => passed_over += 1,
            Allowed::No => sheet.finding(place),
            Allowed::NoLonger(expired) => {
                sheet.finding(format!("{place} (allowed until {expired}: look again)"));
            }
        }
    }
    sheet.fact(count(lines.len(), "console line"));
    sheet.compared(lines.len(), "console lines");
    sheet.leaves_out(passed_over, "complaints that are allowed");
    if let Some(word) = quietened(&evidence.plan.machine.kernel_args) {
        sheet.obstacle(format!("the kernel was told `{word}`, by which it keeps warnings off the console"));
    }
    if passed_over > 0 {
        sheet.fact(format!("{passed_over} allowed"));
    }
    if held > 0 {
        sheet.fact(format!("{held} of tasks that waited while the TPM was held"));
    }
}

/// The word of the kernel's command line by which warnings no longer reach the console, if one does: of those that set its
/// level the last holds.
fn quietened(kernel_args: &[String]) -> Option<&str> {
    let mut words = kernel_args.iter().map(String::as_str);
    let last = words.clone().rev().find(|word| level(word).is_some());
    last.filter(|word| silences(word)).or_else(|| words.find(|word| level(word).is_none() && silences(word)))
}

fn said(evidence: &Evidence<'_>, sheet: &mut Sheet) {
    for text in &evidence.plan.kernel_says {
        if let Some(index) = evidence.console.iter().position(|(_, line)| line.contains(text.as_str())) {
            sheet.fact(format!("console line {} says `{text}`", index + 1));
        } else {
            sheet.finding(format!("the kernel never said `{text}` on the console, expected it"));
        }
    }
}

fn end(evidence: &Evidence<'_>, trace: &Trace, sheet: &mut Sheet) {
    if evidence.done.is_none() {
        sheet.finding("the agent's last message never came");
    }
    if evidence.plan.program.end != End::PowerOff {
        return;
    }
    match ending::shutdown(trace) {
        Some((_, ending::GUEST_SHUTDOWN)) => {
            sheet.fact("powered off");
            // From a console that went away no complaint came.
            if !evidence.console.iter().any(|(_, line)| line.contains(LAST_WORDS)) {
                sheet.obstacle(format!("the console did not show the kernel's last words, `{LAST_WORDS}`"));
            }
        }
        Some((seq, reason)) => {
            sheet.finding(format!("event {seq}: the machine went down by {reason}, expected guest-shutdown"));
        }
        None => sheet.finding("the guest never powered off"),
    }
}
