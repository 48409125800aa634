//! What was skipped, and why: a green suite says nothing of what did not run.

use std::collections::BTreeMap;
use std::fmt;

use super::words;
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, SuiteResult};

/// The skipped runs of a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skips {
    /// Reasons with how many runs each skipped, the commonest first.
    pub(crate) by_reason: Vec<(String, usize)>,
    /// Kernels with the themes of which they ran nothing; those that ran something of each are not there.
    pub(crate) themes: Vec<(String, Vec<String>)>,
    /// Whether the suite had one kernel alone, which then need not be named.
    one_kernel: bool,
}

impl Skips {
    /// Of all kernels.
    pub(crate) fn of(suite: &SuiteResult) -> Skips {
        Skips::among(suite, &kernels(suite))
    }

    /// Of one kernel.
    pub(crate) fn on(suite: &SuiteResult, kernel: &str) -> Skips {
        Skips::among(suite, &[kernel])
    }

    fn among(suite: &SuiteResult, kernels: &[&str]) -> Skips {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut themes = Vec::new();
        for kernel in kernels {
            // Whether anything of a theme ran.
            let mut ran: BTreeMap<String, bool> = BTreeMap::new();
            for run in suite.runs.iter().filter(|run| run.kernel == *kernel) {
                let skipped = run.outcome == Outcome::Skipped;
                *ran.entry(RunId::of(run).theme().to_owned()).or_default() |= !skipped;
                if skipped {
                    let reason = run.reason.as_ref().map_or_else(String::new, words::reason);
                    *reasons.entry(reason).or_default() += 1;
                }
            }
            let whole: Vec<String> =
                ran.into_iter().filter(|(_, ran)| !ran).map(|(theme, _)| theme).collect();
            if !whole.is_empty() {
                themes.push(((*kernel).to_owned(), whole));
            }
        }
        let mut by_reason: Vec<_> = reasons.into_iter().collect();
        by_reason.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Skips { by_reason, themes, one_kernel: kernels.len() == 1 }
    }
}

/// Kernels in the order of their first run.
pub(super) fn kernels(suite: &SuiteResult) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for run in &suite.runs {
        if !names.contains(&run.kernel.as_str()) {
            names.push(&run.kernel);
        }
    }
    names
}

/// Whole themes that were skipped, as the summary's last line goes on: `; nothing ran of kexec, trim`; empty when there are
/// none.
impl fmt::Display for Skips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (kernel, themes)) in self.themes.iter().enumerate() {
            f.write_str(if number == 0 { "; nothing ran of " } else { ", nor of " })?;
            f.write_str(&themes.join(", "))?;
            if !self.one_kernel {
                write!(f, " on {kernel}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_check::outcome::{Reason, RunResult};
    use imalab_language::finding::Skip;

    fn run(scenario: &str, kernel: &str, outcome: Outcome, lacks: &str) -> RunResult {
        let (release, capabilities) = (kernel.to_owned(), vec![lacks.to_owned()]);
        let reason = (outcome == Outcome::Skipped).then(|| Reason::of(Skip::Lacks { release, capabilities }));
        serde_json::from_value(serde_json::json!({
            "scenario": scenario, "parameters": {}, "kernel": kernel, "release": null, "interface": null, "lane": "free",
            "accelerator": null, "seed": 1, "repeat": 1, "outcome": outcome, "reason": reason, "checks": [],
            "console_tail": [], "wall_ms": 1, "boot_ms": null, "guest_ms": null, "dir": null, "bundle": null, "repro": null
        }))
        .unwrap()
    }

    fn suite(runs: Vec<RunResult>) -> SuiteResult {
        SuiteResult { schema: 2, runs, wall_ms: 1, interrupted: false, not_begun: None, shard: None }
    }

    #[test]
    fn a_theme_of_which_nothing_ran_is_named_and_reasons_are_counted() {
        let skipped = |scenario, kernel| run(scenario, kernel, Outcome::Skipped, "time");
        let runs = vec![
            run("trim/some", "7.3", Outcome::Passed, ""),
            skipped("trim/all", "7.3"),
            skipped("htable/absent", "7.3"),
            run("htable/absent", "7.3", Outcome::Skipped, "room"),
        ];
        let one = Skips::of(&suite(runs.clone()));
        assert_eq!(one.to_string(), "; nothing ran of htable");
        let lacks = |what: &str| format!("kernel 7.3 lacks {what}");
        assert_eq!(one.by_reason, [(lacks("time"), 2), (lacks("room"), 1)]);

        let both =
            suite([runs, vec![skipped("trim/all", "6.1"), skipped("access/direction", "6.1")]].concat());
        assert_eq!(
            Skips::of(&both).to_string(),
            "; nothing ran of htable on 7.3, nor of access, trim on 6.1"
        );
        assert_eq!(Skips::on(&both, "6.1").by_reason, [("kernel 6.1 lacks time".to_owned(), 2)]);
    }

    #[test]
    fn a_suite_without_skips_says_nothing_of_them() {
        let all = Skips::of(&suite(vec![run("trim/some", "7.3", Outcome::Failed, "")]));
        assert_eq!((all.to_string(), all.by_reason.len()), (String::new(), 0));
    }
}
