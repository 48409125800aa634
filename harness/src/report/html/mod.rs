//! Results as one self-contained page: no script, nothing fetched.

mod run;

pub(super) use run::class;

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::skips::Skips;
use super::skips::kernels;
use super::tally::Tally;
use super::terminal::{seconds, word};
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use imalab_print::printable;

pub(super) const STYLE: &str = include_str!("style.css");

/// A run with its number in the suite, which its anchor carries.
type Numbered<'a> = (usize, &'a RunResult);

/// The page.
pub fn page(suite: &SuiteResult) -> Markup {
    let runs: Vec<Numbered<'_>> = (1..).zip(&suite.runs).collect();
    let (failed, other): (Vec<_>, Vec<_>) = runs.iter().copied().partition(|(_, r)| r.outcome.is_failure());
    let (skipped, other): (Vec<_>, Vec<_>) =
        other.into_iter().partition(|(_, r)| r.outcome == Outcome::Skipped);
    let (interrupted, ran): (Vec<_>, Vec<_>) =
        other.into_iter().partition(|(_, r)| r.outcome == Outcome::Interrupted);
    let (tally, skips) = (Tally::of(suite), Skips::of(suite));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "imalab: " (tally) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "imalab" }
                p.summary { (summary(&tally)) (printable(&skips.to_string())) }
                p.facts {
                    (tally.total()) " runs in " (seconds(suite.wall_ms))
                    @if let Some(detail) = tally.detail() { "; " (detail) }
                    @if suite.interrupted { "; " span.o.failed { "interrupted" } }
                    @if let Some(missing @ 1..) = suite.not_begun { "; " (missing) " did not run" }
                }
                h2 { "Scenarios by kernel" }
                div.scroll { (matrix(&runs, &kernels(suite))) }
                (section("Failures", &failed, true))
                (section("Interrupted", &interrupted, false))
                (section("Passed, and known defects and limits", &ran, false))
                (section("Skipped", &skipped, false))
                (reasons(&skips))
            }
        }
    }
}

fn summary(tally: &Tally) -> Markup {
    html! {
        span.o.passed { (tally.counted_passed()) " passed" } ", "
        span.o.failed[tally.counted_failed() > 0] { (tally.counted_failed()) " failed" }
        @if tally.skipped() > 0 { ", " span.o.skipped { (tally.skipped()) " skipped" } }
        @if tally.not_ordered() > 0 { ", " span.o.not-ordered { (tally.not_ordered()) " not ordered" } }
        @if tally.interrupted() > 0 { ", " span.o.interrupted { (tally.interrupted()) " interrupted" } }
    }
}

/// How many runs were skipped for which reason.
fn reasons(skips: &Skips) -> Markup {
    html! {
        @if !skips.by_reason.is_empty() {
            h3 { "Skipped, by reason" }
            table.skips {
                @for (reason, count) in &skips.by_reason { tr { td { (count) } td { (printable(reason)) } } }
            }
        }
    }
}

fn section(title: &str, runs: &[Numbered<'_>], open: bool) -> Markup {
    html! {
        @if !runs.is_empty() {
            h2 { (title) " " span.faint { "(" (runs.len()) ")" } }
            @for (number, run) in runs { (run::details(*number, run, open)) }
        }
    }
}

/// Scenarios with their parameters down, kernels across; repeats share a cell.
fn matrix(runs: &[Numbered<'_>], kernels: &[&str]) -> Markup {
    let mut rows: BTreeMap<(&str, RunId), BTreeMap<&str, Vec<Numbered<'_>>>> = BTreeMap::new();
    let ids: Vec<(RunId, Numbered<'_>)> = runs.iter().map(|run| (RunId::of(run.1), *run)).collect();
    for (id, run) in &ids {
        let row = RunId { kernel: String::new(), repeat: 1, ..id.clone() };
        rows.entry((id.theme(), row)).or_default().entry(&run.1.kernel).or_default().push(*run);
    }
    let mut theme_before = None;
    html! {
        table.matrix {
            thead { tr { th { "scenario" } @for kernel in kernels { th { (printable(kernel)) } } } }
            tbody {
                @for ((theme, row), cells) in &rows {
                    @if theme_before.replace(*theme) != Some(*theme) {
                        tr.theme { th colspan=(kernels.len() + 1) { (printable(theme)) } }
                    }
                    tr {
                        th { (row_name(row)) }
                        @for kernel in kernels { td { @for line in cell(cells.get(kernel)) { (line) } } }
                    }
                }
            }
        }
    }
}

fn row_name(row: &RunId) -> Markup {
    let bare = RunId { parameters: BTreeMap::new(), ..row.clone() };
    html! {
        (printable(&bare.case()))
        @for (key, value) in &row.parameters { " " span.values { (printable(key)) "=" (printable(value)) } }
    }
}

/// A line for each outcome that the repeats had, worst first; it leads to the first run that had it.
fn cell(runs: Option<&Vec<Numbered<'_>>>) -> Vec<Markup> {
    let mut by_outcome: BTreeMap<Outcome, Vec<Numbered<'_>>> = BTreeMap::new();
    for run in runs.into_iter().flatten() {
        by_outcome.entry(run.1.outcome).or_default().push(*run);
    }
    let line = |(outcome, runs): (&Outcome, &Vec<Numbered<'_>>)| {
        let slowest = runs.iter().map(|(_, run)| run.wall_ms).max().unwrap_or(0);
        html! {
            div {
                a href=(format!("#run-{}", runs.first().map_or(0, |(number, _)| *number))) {
                    span.o.(class(*outcome)) { (word(*outcome)) }
                }
                @if runs.len() > 1 { " × " (runs.len()) }
                @if slowest > 0 { span.time { @if runs.len() > 1 { "≤ " } (seconds(slowest)) } }
            }
        }
    };
    let (failed, fine): (Vec<_>, Vec<_>) = by_outcome.iter().partition(|(outcome, _)| outcome.is_failure());
    failed.into_iter().chain(fine).map(line).collect()
}
