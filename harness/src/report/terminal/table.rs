//! Scenario by kernel, for a suite on several kernels.

use std::collections::BTreeMap;

use super::look::{Look, word};
use imalab_check::outcome::{Outcome, SuiteResult};
use imalab_print::printable;

/// Worst first: what a cell of several runs shows.
const ORDER: [Outcome; 10] = [
    Outcome::KernelDied,
    Outcome::Failed,
    Outcome::Timeout,
    Outcome::Infra,
    Outcome::NotOrdered,
    Outcome::Interrupted,
    Outcome::KnownDefect,
    Outcome::KnownLimit,
    Outcome::Passed,
    Outcome::Skipped,
];

/// Runs of a scenario on a kernel by outcome.
type Cell = BTreeMap<Outcome, usize>;

/// The table, empty for a single kernel: a line a scenario, a column a kernel, in each the worst outcome, and how many of
/// how many runs had it when they differ.
pub(super) fn table(suite: &SuiteResult, look: Look) -> String {
    let mut kernels: Vec<&str> = Vec::new();
    let mut scenarios: Vec<&str> = Vec::new();
    let mut cells: BTreeMap<(&str, &str), Cell> = BTreeMap::new();
    for run in &suite.runs {
        if !kernels.contains(&run.kernel.as_str()) {
            kernels.push(&run.kernel);
        }
        if !scenarios.contains(&run.scenario.as_str()) {
            scenarios.push(&run.scenario);
        }
        let cell = cells.entry((&run.scenario, &run.kernel)).or_default();
        *cell.entry(run.outcome).or_default() += 1;
    }
    if kernels.len() < 2 {
        return String::new();
    }
    let first = scenarios.iter().map(|name| printable(name).len()).max().unwrap_or(0);
    let wide = |kernel: &str| printable(kernel).len().max(14);
    let mut text = format!("\n{:first$}", "");
    for kernel in &kernels {
        text.push_str(&format!("  {:<1$}", look.heading().apply_to(printable(kernel)), wide(kernel)));
    }
    text = text.trim_end().to_owned() + "\n";
    for scenario in scenarios {
        let mut line = format!("{:<first$}", printable(scenario));
        for kernel in &kernels {
            let empty = Cell::new();
            let (outcome, told) = show(cells.get(&(scenario, *kernel)).unwrap_or(&empty));
            let told = format!("  {told:<0$}", wide(kernel));
            match outcome {
                Some(outcome) => line.push_str(&look.outcome(outcome).apply_to(told).to_string()),
                None => line.push_str(&told),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn show(cell: &Cell) -> (Option<Outcome>, String) {
    let Some(worst) = ORDER.into_iter().find(|outcome| cell.contains_key(outcome)) else {
        return (None, "-".to_owned());
    };
    let (count, all) = (cell[&worst], cell.values().sum::<usize>());
    let told = word(worst).trim().to_owned();
    (Some(worst), if count == all { told } else { format!("{told} {count}/{all}") })
}
