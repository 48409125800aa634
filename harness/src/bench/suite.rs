//! Where a suite's time went.

use serde::Serialize;

use imalab_check::outcome::SuiteResult;

/// Where the time of a suite went. A machine's *rest* is what is neither its kernel's boot nor its agent's work: swtpm
/// and its banks before, power-off and the last bytes of the channels after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuiteFigures {
    /// Runs that came from boot to the agent's last message: so many boots, probes of capabilities not counted. All
    /// sums are of these.
    pub boots: usize,
    /// Runs whose machine did not get so far: nobody can tell what its time went to.
    pub unfinished: usize,
    /// Runs without one: skipped, or never started.
    pub without_machine: usize,
    /// Machines side by side.
    pub jobs: usize,
    /// Wall time of the suite, ms.
    pub wall_ms: u64,
    /// Wall times of the machines, added up, ms.
    pub machines_ms: u64,
    /// From spawning QEMU to the agent's first message, added up, ms.
    pub boot_ms: u64,
    /// From the agent's first message to its last, added up, ms.
    pub guest_ms: u64,
    /// What of the machines' time is neither, added up, ms.
    pub rest_ms: u64,
    /// The same as a share of the machines' time.
    pub rest_share: f64,
    /// Share of the suite's time, times its jobs, that is neither boot nor agent: the rest, the checks, the
    /// evidence, and jobs that had nothing left to do.
    pub overhead_share: f64,
}

/// Adds up what `suite` says of itself, which ran with so many `jobs`.
pub fn suite(suite: &SuiteResult, jobs: usize) -> SuiteFigures {
    let (machines, others): (Vec<_>, Vec<_>) =
        suite.runs.iter().partition(|run| run.boot_ms.is_some() && run.guest_ms.is_some());
    let unfinished = others.iter().filter(|run| run.wall_ms > 0).count();
    let sum = |value: fn(&imalab_check::outcome::RunResult) -> u64| {
        machines.iter().fold(0, |sum: u64, run| sum.saturating_add(value(run)))
    };
    let machines_ms: u64 = sum(|run| run.wall_ms);
    let boot_ms: u64 = sum(|run| run.boot_ms.unwrap_or(0));
    let guest_ms: u64 = sum(|run| run.guest_ms.unwrap_or(0));
    let busy = boot_ms.saturating_add(guest_ms);
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let lanes = suite.wall_ms.saturating_mul(jobs as u64);
    let rest_ms = machines_ms.saturating_sub(busy);
    SuiteFigures {
        boots: machines.len(),
        unfinished,
        without_machine: others.len() - unfinished,
        jobs,
        wall_ms: suite.wall_ms,
        machines_ms,
        boot_ms,
        guest_ms,
        rest_ms,
        rest_share: share(rest_ms, machines_ms),
        overhead_share: share(lanes.saturating_sub(busy), lanes),
    }
}

impl SuiteFigures {
    /// A line each.
    pub fn lines(&self) -> Vec<String> {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        vec![
            format!(
                "suite: {:.1} s with {} jobs, {} boots, {} unfinished, {} runs without a machine",
                seconds(self.wall_ms),
                self.jobs,
                self.boots,
                self.unfinished,
                self.without_machine
            ),
            format!("machines, added up  {:>9.1} s", seconds(self.machines_ms)),
            format!("  kernels' boots    {:>9.1} s", seconds(self.boot_ms)),
            format!("  agents' work      {:>9.1} s", seconds(self.guest_ms)),
            format!("  rest              {:>9.1} s  {:.1} %", seconds(self.rest_ms), 100.0 * self.rest_share),
            format!("neither boot nor agent, of all jobs' time: {:.1} %", 100.0 * self.overhead_share),
        ]
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn run(wall: u64, boot: Option<u64>, guest: Option<u64>) -> serde_json::Value {
        json!({
            "scenario": "stage/once", "parameters": {}, "kernel": "k", "release": null, "interface": null,
            "lane": "free", "accelerator": null, "seed": 1, "repeat": 1, "outcome": "passed", "reason": null,
            "checks": [], "console_tail": [], "wall_ms": wall, "boot_ms": boot, "guest_ms": guest,
            "dir": null, "bundle": null, "repro": null
        })
    }

    fn of(wall: u64, runs: Vec<serde_json::Value>) -> SuiteResult {
        let text = json!({ "schema": 2, "runs": runs, "wall_ms": wall, "interrupted": false });
        serde_json::from_value(text).unwrap()
    }

    #[rstest]
    #[case::two_at_once(of(1000, vec![run(1000, Some(600), Some(300)), run(1000, Some(700), Some(200))]), 2, 200, 0.1, 0.1)]
    #[case::one_after_the_other(of(1000, vec![run(500, Some(400), Some(50))]), 1, 50, 0.1, 0.55)]
    #[case::no_last_message(of(100, vec![run(100, Some(20), None)]), 1, 0, 0.0, 1.0)]
    #[case::no_machine(of(100, vec![run(0, None, None)]), 1, 0, 0.0, 1.0)]
    #[case::nothing(of(0, vec![]), 1, 0, 0.0, 0.0)]
    fn shares(
        #[case] results: SuiteResult,
        #[case] jobs: usize,
        #[case] rest_ms: u64,
        #[case] rest_share: f64,
        #[case] overhead_share: f64,
    ) {
        let figures = suite(&results, jobs);
        assert_eq!(figures.rest_ms, rest_ms);
        assert!((figures.rest_share - rest_share).abs() < 1e-9, "{figures:?}");
        assert!((figures.overhead_share - overhead_share).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.boots + figures.unfinished + figures.without_machine, results.runs.len());
    }
}
