//! Whether a failure is of defects that somebody has shown already.

use std::collections::BTreeSet;

use imalab_language::scenario::{KnownDefect, Scenario};
use imalab_language::verdict::{CheckResult, Outcome, Reason, Verdict};

/// Known defects, each with the scenario that shows it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    defects: Vec<(String, KnownDefect)>,
}

/// How far known defects explain a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    /// All of it is how these show.
    By(BTreeSet<String>),
    /// Some of it is how these show, and the rest may be what comes of them.
    Partly(BTreeSet<String>),
    /// Nothing of it.
    Not,
}

impl Known {
    /// The known defects of these scenarios that a kernel of this release has.
    pub fn of(scenarios: &[Scenario], release: &str) -> Known {
        let defects = scenarios.iter().filter_map(|scenario| {
            let defect = scenario.known_defect.as_ref()?;
            defect.kernels.concerns(release).then(|| (scenario.id.clone(), defect.clone()))
        });
        Known { defects: defects.collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.defects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.defects.is_empty()
    }

    /// How far they explain a run that ended so.
    pub fn explain(&self, outcome: Outcome, reason: Option<&Reason>, checks: &[CheckResult]) -> Explained {
        match outcome {
            Outcome::KernelDied => match reason {
                Some(reason) => told(self.deaths(reason), true),
                None => Explained::Not,
            },
            Outcome::Failed => self.failed(checks),
            _ => Explained::Not,
        }
    }

    fn deaths(&self, reason: &Reason) -> BTreeSet<String> {
        let is_it = |defect: &KnownDefect| {
            let mut deaths = defect.shows.iter().filter(|sign| sign.check.is_none());
            deaths.any(|sign| sign.finding.matches(&reason.finding))
        };
        self.named(is_it)
    }

    fn named(&self, is_it: impl Fn(&KnownDefect) -> bool) -> BTreeSet<String> {
        self.defects.iter().filter(|(_, defect)| is_it(defect)).map(|(name, _)| name.clone()).collect()
    }

    /// By each finding of each check that failed.
    fn failed(&self, checks: &[CheckResult]) -> Explained {
        let (mut names, mut all) = (BTreeSet::new(), true);
        for result in checks.iter().filter(|result| result.verdict.is_bad()) {
            all &= result.verdict == Verdict::Failed && result.more == 0 && !result.findings.is_empty();
            for finding in &result.findings {
                let shown = self.named(|defect| {
                    let mut signs = defect.shows.iter().filter(|sign| sign.check == Some(result.check));
                    signs.any(|sign| sign.finding.matches(finding))
                });
                all &= !shown.is_empty();
                names.extend(shown);
            }
        }
        told(names, all)
    }
}

fn told(names: BTreeSet<String>, all: bool) -> Explained {
    match (names.is_empty(), all) {
        (true, _) => Explained::Not,
        (false, true) => Explained::By(names),
        (false, false) => Explained::Partly(names),
    }
}

#[cfg(test)]
mod tests {
    use imalab_language::finding::{Finding, KernelDied, KernelHealth};
    use imalab_language::scenario;
    use imalab_language::verdict::Check;

    use super::*;

    fn known() -> Known {
        let text = "summary: s\npromise: p\nsteps: [stage]\nknown-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows:\n  \
                    - {check: kernel-died, code: oops, with: {function: ima_x}}\n  \
                    - {check: kernel-health, code: no-shutdown}\n";
        Known::of(&[scenario::parse("found/it", "it.yaml", text).unwrap()], "7.3.4")
    }

    fn names() -> BTreeSet<String> {
        BTreeSet::from(["found/it".to_owned()])
    }

    fn died(function: &str) -> Explained {
        let function = Some(function.to_owned());
        let finding: Finding =
            KernelDied::Oops { line: String::new(), function, called_from: None, functions: vec![] }.into();
        known().explain(Outcome::KernelDied, Some(&Reason::of(finding)), &[])
    }

    #[test]
    fn a_death_is_known_by_its_function() {
        assert_eq!(died("ima_x"), Explained::By(names()));
        assert_eq!(died("ima_y"), Explained::Not);
    }

    #[test]
    fn a_failure_is_known_when_each_finding_is() {
        let check = |findings: Vec<Finding>| CheckResult::new(Check::KernelHealth, Verdict::Failed, findings);
        let explained = |check| known().explain(Outcome::Failed, None, &[check]);
        let shut: Finding = KernelHealth::NoShutdown {}.into();
        let other: Finding = KernelHealth::NoConsole {}.into();
        assert_eq!(explained(check(vec![shut.clone()])), Explained::By(names()));
        assert_eq!(explained(check(vec![shut.clone(), other.clone()])), Explained::Partly(names()));
        assert_eq!(explained(check(vec![other])), Explained::Not);
        let more = CheckResult { more: 1, ..check(vec![shut.clone()]) };
        assert_eq!(explained(more), Explained::Partly(names()));
        let could_not = CheckResult::new(Check::KernelHealth, Verdict::CouldNotRun, vec![]);
        assert_eq!(explained(could_not), Explained::Not);
    }

    #[test]
    fn what_other_kernels_have_explains_nothing() {
        assert_eq!(known().len(), 1);
        let text = "summary: s\npromise: p\nsteps: [stage]\nknown-defect:\n  kernels: {before: \"7.2\"}\n  breaks: b\n  shows: \
                    {check: kernel-died}\n";
        assert!(Known::of(&[scenario::parse("found/it", "it.yaml", text).unwrap()], "7.3.4").is_empty());
    }
}
