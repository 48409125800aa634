//! How the time for which a change of a list holds others up grows with the list.

use std::collections::BTreeMap;

use serde::Serialize;

use imalab_check::figures::{By, Freed, Held, Latency, exponent};
use imalab_check::outcome::{Outcome, SuiteResult};

/// The matrix parameter that says how long the lists are.
pub(super) const PARAMETER: &str = "records";

/// The scenario that is run, as the suite has it.
const SCENARIO: &str = include_str!("../../../scenarios/scale/held-up.yaml");
/// Its list sizes.
const SIZES: &str = "records: [100, 1000]";
/// Its machine's memory.
const MEMORY: &str = "memory-mib: 512";
/// Most that a scenario may ask for, MiB.
const MOST_MEMORY: u64 = 65_536;

/// The scenario with these list sizes, and memory for the longest: twice as many digests stay as the list has records.
pub fn held_up(sizes: &[u64]) -> String {
    let longest = sizes.iter().max().copied().unwrap_or_default();
    let memory_mib = (512 + longest / 400).min(MOST_MEMORY);
    let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
    SCENARIO
        .replace(SIZES, &format!("records: [{}]", sizes.join(", ")))
        .replace(MEMORY, &format!("memory-mib: {memory_mib}"))
}

/// One kind of time over all list sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grown {
    /// Whose times.
    pub held: Held,
    /// What went on meanwhile.
    pub by: By,
    /// The times by the number of records in the list.
    pub sizes: BTreeMap<u64, Latency>,
    /// Exponent of the medians' growth with the number of records: 0 is constant, 1 is linear; null of fewer than two sizes.
    pub median_exponent: Option<f64>,
    /// The same of the longest times.
    pub max_exponent: Option<f64>,
}

/// All kinds of times.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Growth {
    /// Runs that it rests on.
    pub runs: usize,
    /// By who was held up and by what.
    pub times: Vec<Grown>,
    /// Memory that was freed, a delete or a trim each.
    pub freed: Vec<Freed>,
}

/// Sums up the runs that passed and have the parameter `records`.
pub fn growth(suite: &SuiteResult) -> Growth {
    let mut times: BTreeMap<(Held, By), BTreeMap<u64, Latency>> = BTreeMap::new();
    let (mut runs, mut freed) = (0, Vec::new());
    for run in suite.runs.iter().filter(|run| run.outcome == Outcome::Passed) {
        let Some(records) = run.parameters.get(PARAMETER).and_then(|text| text.parse().ok()) else {
            continue;
        };
        runs += 1;
        freed.extend(&run.freed);
        for latency in &run.latency {
            let sizes = times.entry((latency.held, latency.by)).or_default();
            let sum = match sizes.remove(&records) {
                Some(before) => before.with(latency),
                None => latency.clone(),
            };
            sizes.insert(records, sum);
        }
    }
    let times = times.into_iter().map(|((held, by), sizes)| grown(held, by, sizes)).collect();
    Growth { runs, times, freed }
}

fn grown(held: Held, by: By, sizes: BTreeMap<u64, Latency>) -> Grown {
    let points = |value: fn(&Latency) -> u64| -> Vec<(f64, f64)> {
        // A time below a microsecond has no logarithm.
        sizes.iter().map(|(records, latency)| (*records as f64, value(latency).max(1) as f64)).collect()
    };
    let median_exponent = exponent(&points(|latency| latency.median_us));
    let max_exponent = exponent(&points(|latency| latency.max_us));
    Grown { held, by, sizes, median_exponent, max_exponent }
}

impl Growth {
    /// A table, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<7} {:<8} {:>9} {:>8} {:>11} {:>11}",
            "held up", "by", "records", "count", "median (us)", "max (us)"
        )];
        for grown in &self.times {
            for (records, latency) in &grown.sizes {
                lines.push(format!(
                    "{:<7} {:<8} {records:>9} {:>8} {:>11} {:>11}",
                    grown.held.name(),
                    grown.by.name(),
                    latency.count,
                    latency.median_us,
                    latency.max_us
                ));
            }
            if let (Some(median), Some(max)) = (grown.median_exponent, grown.max_exponent) {
                lines
                    .push(format!("{:<16} grows with exponent {median:>5.2} (median), {max:>5.2} (max)", ""));
            }
        }
        for freed in &self.freed {
            let each = freed.kib as f64 * 1024.0 / freed.records.max(1) as f64;
            lines.push(format!(
                "a {} of {:>8} records freed {:>8} KiB, {each:.0} bytes a record",
                freed.by.name(),
                freed.records,
                freed.kib
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_become_the_scenarios_own_and_the_longest_has_memory() {
        assert!(SCENARIO.contains(SIZES) && SCENARIO.contains(MEMORY));
        let text = held_up(&[7, 80_000]);
        assert!(text.contains("records: [7, 80000]\n") && text.contains("memory-mib: 712\n"), "{text}");
        let most = held_up(&[100_000_000]).replace("[100000000]", "[1]");
        assert!(most.contains("memory-mib: 65536\n"), "{most}");
        assert!(
            imalab_language::scenario::parse("it", "it.yaml", &most).is_ok(),
            "no more than a scenario may ask for"
        );
    }

    fn suite() -> SuiteResult {
        let run = |records: u64, outcome: &str| {
            let times = Latency::of(Held::Append, By::Delete, vec![records * 1_000, records * 2_000]);
            serde_json::json!({
                "scenario": "scale/held-up", "parameters": { "records": records.to_string() }, "kernel": "k",
                "release": null, "interface": null, "lane": "free", "accelerator": null, "seed": 1, "repeat": 1,
                "outcome": outcome, "reason": null, "checks": [], "latency": [times], "console_tail": [], "wall_ms": 1,
                "boot_ms": null, "guest_ms": null, "dir": null, "bundle": null, "repro": null
            })
        };
        let runs = [run(10, "passed"), run(10, "passed"), run(1000, "passed"), run(7, "failed")];
        serde_json::from_value(
            serde_json::json!({ "schema": 2, "runs": runs, "wall_ms": 1, "interrupted": false }),
        )
        .unwrap()
    }

    #[test]
    fn what_doubles_with_the_list_grows_with_exponent_one() {
        let growth = growth(&suite());
        assert_eq!(growth.runs, 3);
        let [grown] = growth.times.as_slice() else { panic!("{growth:?}") };
        assert_eq!(grown.sizes.keys().copied().collect::<Vec<_>>(), [10, 1000]);
        assert_eq!(grown.sizes[&10].count, 4);
        assert!((grown.max_exponent.unwrap() - 1.0).abs() < 1e-9, "{grown:?}");
        insta::assert_snapshot!(growth.lines().join("\n"));
    }
}
