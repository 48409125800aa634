//! The text of the terminal report, as pure functions of the result model.

use std::fmt::Write as _;
use std::time::Duration;

use super::look::{Look, word};
use crate::event::{Stop, SuiteContext};
use crate::report::run_text::{self, Reason};
use crate::report::skips::Skips;
use crate::report::tally::{Tally, plural};
use crate::report::words;
use crate::run_id::RunId;
use imalab_check::outcome::{CheckResult, RunResult, SuiteResult, Verdict};
use imalab_print::printable;

/// What will run and on what.
pub(super) fn header(total: usize, context: &SuiteContext, look: Look) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let key = look.heading().apply_to(format!("{key:<11}"));
        push_line(&mut text, &format!("{key} {}", printable(value)));
    };
    line(if context.kernels.len() == 1 { "kernel" } else { "kernels" }, &context.kernels.join(", "));
    line("accelerator", &format!("{}: {}", context.accelerator.name, context.accelerator.reason));
    let strategy = context.strategy.as_ref().map(|strategy| format!(", strategy {strategy}"));
    line("lane", &format!("{}{}", context.lane.name(), strategy.unwrap_or_default()));
    line("boot", &format!("{}: {}", context.boot.name(), context.boot_reason));
    line("jobs", &format!("{}, seed {}", context.jobs, context.seed));
    line("runs", &total.to_string());
    text
}

/// One finished run: outcome, seconds, scenario, parameters, kernel, and why it did not pass; of one that stands in full at the
/// end, by codes alone.
pub(super) fn run_line(run: &RunResult, look: Look) -> String {
    let outcome = look.outcome(run.outcome).apply_to(format!("{:>12}", word(run.outcome)));
    let seconds = look.faint().apply_to(format!("[{:>8}]", seconds(run.wall_ms)));
    let id = RunId::of(run).to_string();
    let mut text = format!("{outcome} {seconds} {}", printable(&id));
    if let Some(reason) = &run.reason {
        let in_full = run.outcome.is_failure();
        let reason = if in_full { words::short(reason) } else { words::reason(reason) };
        let _ = write!(text, ": {}", printable(&reason));
    }
    text.push('\n');
    if let Some(why) = &run.not_stored {
        push_line(&mut text, &format!("{:>12} {}", "", not_stored(why)));
    }
    text
}

/// What becomes of a run that has no machine, for a dry run.
pub fn outcome_line(run: &RunResult) -> String {
    let id = RunId::of(run).to_string();
    format!("{}: {}: {}", printable(&id), word(run.outcome), run_text::reason(run))
}

/// A kernel that is booted before all runs.
pub(super) fn probing_line(kernel: &str) -> String {
    format!("probing {}: booting it to see what it offers\n", printable(kernel))
}

/// A run that has not ended for a while.
pub(super) fn slow_line(id: &RunId, elapsed: Duration, look: Look) -> String {
    let running = look.slow().apply_to(format!("{:>12}", "running"));
    let seconds = look.faint().apply_to(format!("[{:>8}]", format!("> {} s", elapsed.as_secs())));
    format!("{running} {seconds} {}\n", printable(&id.to_string()))
}

/// Why no further run begins.
pub(super) fn stopping_line(why: Stop, running: usize) -> String {
    let runs = plural(running, "run", "runs");
    match (why, running) {
        (Stop::Signal, 0) => "interrupted\n".to_owned(),
        (Stop::Signal, _) => format!("interrupted: ending {runs}; another signal stops at once\n"),
        (Stop::FailFast, 0) => "stopping (--fail-fast)\n".to_owned(),
        (Stop::FailFast, _) => format!("stopping (--fail-fast): waiting for {runs}\n"),
    }
}

/// Everything known about a run that did not pass.
pub(super) fn failure(run: &RunResult, look: Look) -> String {
    let mut text = String::new();
    let id = RunId::of(run).to_string();
    let word = look.outcome(run.outcome).apply_to(word(run.outcome));
    push_line(&mut text, &format!("{word} {}", look.heading().apply_to(printable(&id))));
    push_line(&mut text, &format!("  {}", machine(run)));
    // A check's finding is said with its check.
    if run.reason.as_ref().is_some_and(|reason| reason.check.is_none()) {
        push_line(&mut text, &format!("  reason: {}", run_text::reason(run)));
    }
    for (check, findings) in run_text::failed(run, Reason::Unsaid) {
        push_line(&mut text, &format!("  check {} {}", check.check, verdict(check)));
        findings.iter().for_each(|finding| push_line(&mut text, &format!("    {finding}")));
    }
    if let Some(why) = run_text::unlike(run) {
        push_line(&mut text, &format!("  {why}"));
    }
    for check in run.checks.iter().filter(|check| check.verdict == Verdict::NotApplicable) {
        let why = run_text::remarks(check).join("; ");
        push_line(&mut text, &format!("  check {} {}: {why}", check.check, verdict(check)));
    }
    if !run.console_tail.is_empty() {
        push_line(&mut text, "  console, last lines:");
        for line in &run.console_tail {
            push_line(&mut text, &format!("    | {}", printable(line)));
        }
    }
    // A bundle is the run's folder with a `bundle.json`: naming both would name one path twice.
    let place =
        run.bundle.as_ref().map(|path| ("bundle", path)).or(run.dir.as_ref().map(|path| ("folder", path)));
    if let Some((key, path)) = place {
        push_line(&mut text, &format!("  {key}: {}", printable(&path.display().to_string())));
    }
    if let Some(repro) = &run.repro {
        push_line(&mut text, &format!("  again:  {}", printable(repro)));
    }
    if let Some(why) = &run.not_stored {
        push_line(&mut text, &format!("  {}", not_stored(why)));
    }
    text
}

/// What is told of a run whose evidence could not be kept.
pub(crate) fn not_stored(why: &str) -> String {
    format!("evidence not stored: {}", printable(why))
}

/// The machine of a run in one line: `Linux 7.3.4, interface upstream, lane free, accelerator tcg, seed 7`.
pub(crate) fn machine(run: &RunResult) -> String {
    let mut parts = Vec::new();
    if let Some(release) = &run.release {
        parts.push(format!("Linux {}", printable(release)));
    }
    if let Some(interface) = run.interface {
        parts.push(format!("interface {}", interface.name()));
    }
    parts.push(format!("lane {}", run.lane));
    if let Some(accelerator) = &run.accelerator {
        parts.push(format!("accelerator {}", printable(&accelerator.name)));
    }
    parts.push(format!("seed {}", run.seed));
    parts.join(", ")
}

/// What became of a check, in words.
pub(crate) fn verdict(check: &CheckResult) -> &'static str {
    match check.verdict {
        Verdict::Passed => "passed",
        Verdict::NotApplicable => "not applicable",
        Verdict::Failed => "failed",
        Verdict::CouldNotRun => "could not run, which is a failure",
    }
}

/// Failures in full, then the numbers and what was skipped for which reason; the last line is the summary alone.
pub(super) fn footer(suite: &SuiteResult, look: Look) -> String {
    let mut text = String::new();
    let failed: Vec<&RunResult> = suite.runs.iter().filter(|run| run.outcome.is_failure()).collect();
    if !failed.is_empty() {
        push_line(&mut text, "");
        push_line(&mut text, &look.heading().apply_to("failures:").to_string());
        for run in failed {
            push_line(&mut text, "");
            text.push_str(&failure(run, look));
        }
    }
    text.push_str(&super::table::table(suite, look));
    let tally = Tally::of(suite);
    push_line(&mut text, "");
    push_line(&mut text, &format!("{} in {}", plural(tally.total(), "run", "runs"), seconds(suite.wall_ms)));
    let not_run = |missing| {
        format!("{} of {} did not run", plural(missing, "run", "runs"), tally.total().saturating_add(missing))
    };
    let missing = suite.not_begun.map(|missing| usize::try_from(missing).unwrap_or(usize::MAX));
    match (suite.interrupted, missing) {
        (false, None | Some(0)) => {}
        // It is not known whether anything is missing.
        (true, None) => push_line(&mut text, "interrupted"),
        (true, Some(0)) => push_line(&mut text, "interrupted, when all runs had begun"),
        (true, Some(missing)) => push_line(&mut text, &format!("interrupted: {}", not_run(missing))),
        (false, Some(missing)) => push_line(&mut text, &not_run(missing)),
    }
    if let Some(detail) = tally.detail() {
        push_line(&mut text, &detail);
    }
    let skips = Skips::of(suite);
    if !skips.by_reason.is_empty() {
        push_line(&mut text, "skipped, by reason:");
    }
    for (reason, count) in &skips.by_reason {
        push_line(&mut text, &format!("{count:>5}  {}", printable(reason)));
    }
    let unstored = suite.runs.iter().filter(|run| run.not_stored.is_some()).count();
    if unstored > 0 {
        push_line(&mut text, &format!("evidence of {} could not be stored", plural(unstored, "run", "runs")));
    }
    if tally.counted_passed() + tally.counted_failed() + tally.not_ordered() + tally.interrupted() == 0 {
        push_line(&mut text, "nothing ran");
    }
    push_line(&mut text, &format!("{tally}{}", printable(&skips.to_string())));
    text
}

/// Milliseconds as seconds with three digits: `12.345 s`.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
