//! Invariant `kernel-health`: a console without complaints that shows what the scenario expects on it, as many boots as
//! were asked for, and an end as planned.
//!
//! What counts as a complaint is [`crate::machine::splat`]'s; what may be passed over is in `allow.yaml`, each entry with reason,
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
use crate::event::Trace;
use crate::outcome::CheckResult;
use allow::{Allowed, List};

/// The allow list of this checkout.
const LIST: &str = include_str!("allow.yaml");

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
    sheet.result()
}

fn console(evidence: &Evidence<'_>, list: &List, today: NaiveDate, sheet: &mut Sheet) {
    let lines: Vec<&str> = evidence.console.iter().map(|(_, line)| *line).collect();
    // A kernel says "reboot: Power down" at its highest level, whatever the log level (`kernel_power_off`,
    // kernel/reboot.c).
    if lines.is_empty() {
        sheet.obstacle("the console printed nothing, not even the kernel's last words");
    }
    let mut passed_over = 0;
    for splat in complaints(evidence.plan, &lines) {
        let event = evidence.console.get(splat.line_index).map_or(0, |(seq, _)| *seq);
        let place = format!("console line {}, event {event}: {}", splat.line_index + 1, splat.title);
        match list.allows(&splat, today) {
            Allowed::Yes => passed_over += 1,
            Allowed::No => sheet.finding(place),
            Allowed::NoLonger(expired) => {
                sheet.finding(format!("{place} (allowed until {expired}: look again)"));
            }
        }
    }
    sheet.fact(count(lines.len(), "console line"));
    if passed_over > 0 {
        sheet.fact(format!("{passed_over} allowed"));
    }
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
        Some((_, ending::GUEST_SHUTDOWN)) => sheet.fact("powered off"),
        Some((seq, reason)) => {
            sheet.finding(format!("event {seq}: the machine went down by {reason}, expected guest-shutdown"));
        }
        None => sheet.finding("the guest never powered off"),
    }
}
