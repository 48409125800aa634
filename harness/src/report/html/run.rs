//! One run on the page.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::report::run_dir::TIMELINE;
use crate::report::run_text::{self, Reason};
use crate::report::terminal::{not_stored, seconds, verdict, word};
use crate::run_id::RunId;
use imalab_check::outcome::{CheckResult, Outcome, RunResult, Verdict};
use imalab_print::printable;

/// Everything known about a run, unfolded or not.
pub(super) fn details(number: usize, run: &RunResult, open: bool) -> Markup {
    let class = class(run.outcome);
    html! {
        details.run.(class) id=(format!("run-{number}")) open[open] {
            summary {
                span.o.(class) { (word(run.outcome)) } " " (printable(&RunId::of(run).to_string()))
                @if run.wall_ms > 0 { span.time { (seconds(run.wall_ms)) } }
            }
            // A check's finding is said with its check.
            @if run.reason.as_ref().is_some_and(|reason| reason.check.is_none()) { p { (run_text::reason(run)) } }
            @if let Some(why) = &run.not_stored { p { (not_stored(why)) } }
            @for (check, findings) in run_text::failed(run, Reason::Unsaid) { (result(check, &findings)) }
            @if let Some(why) = run_text::unlike(run) { p { (why) } }
            @if !run.console_tail.is_empty() {
                h3 { "Console, last lines" }
                pre { @for line in &run.console_tail { (printable(line)) "\n" } }
            }
            @if let Some(repro) = &run.repro { h3 { "Again" } pre { (printable(repro)) } }
            (facts(run))
            @for check in run.checks.iter().filter(|check| !check.verdict.is_bad()) {
                (result(check, &run_text::remarks(check)))
            }
        }
    }
}

/// A check with the lines that it says.
fn result(check: &CheckResult, lines: &[String]) -> Markup {
    let class = match check.verdict {
        Verdict::Passed => "passed",
        Verdict::NotApplicable => "skipped",
        Verdict::Failed | Verdict::CouldNotRun => "failed",
    };
    html! {
        h3 { "check " (check.check) " " span.o.(class) { (verdict(check)) } }
        @for (title, numbers) in [("compared", &check.compared), ("left out", &check.left_out)] {
            @if !numbers.is_empty() { p { (title) ": " (amounts(numbers)) } }
        }
        @if !lines.is_empty() {
            ul.findings { @for line in lines { li { (line) } } }
        }
    }
}

/// `banks 2, records 213`.
fn amounts(numbers: &BTreeMap<String, u64>) -> String {
    let each: Vec<String> =
        numbers.iter().map(|(what, number)| format!("{} {number}", printable(what))).collect();
    each.join(", ")
}

fn facts(run: &RunResult) -> Markup {
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(release) = &run.release {
        facts.push(("kernel", format!("{} (Linux {release})", run.kernel)));
    }
    if let Some(interface) = run.interface {
        facts.push(("interface", interface.name().to_owned()));
    }
    facts.push(("lane", run.lane.to_string()));
    if let Some(accelerator) = &run.accelerator {
        facts.push(("accelerator", format!("{}: {}", accelerator.name, accelerator.reason)));
    }
    facts.push(("seed", run.seed.to_string()));
    if let Some(boot) = run.boot_ms {
        facts.push(("boot", seconds(boot)));
    }
    if let Some(guest) = run.guest_ms {
        facts.push(("guest time", seconds(guest)));
    }
    let place =
        run.bundle.as_ref().map(|path| ("bundle", path)).or(run.dir.as_ref().map(|path| ("folder", path)));
    if let Some((key, path)) = place {
        facts.push((key, path.display().to_string()));
    }
    html! {
        dl {
            @for (key, value) in facts { dt { (key) } dd { (printable(&value)) } }
            @if let Some((_, path)) = place {
                dt { "timeline" }
                dd { a href=(printable(&path.join(TIMELINE).display().to_string())) { (TIMELINE) } }
            }
        }
    }
}

/// The outcome's name as a class of the style sheet, which is its name in JSON.
pub(in super::super) fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
        Outcome::KnownDefect => "known-defect",
        Outcome::KnownLimit => "known-limit",
        Outcome::KernelDied => "kernel-died",
        Outcome::Infra => "infra",
        Outcome::Timeout => "timeout",
        Outcome::NotOrdered => "not-ordered",
        Outcome::Interrupted => "interrupted",
    }
}
