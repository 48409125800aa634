//! The mutation check: each rule of the reference model matters to what some scenario shows.
//!
//! The scenarios that [`Rule::shown_by`] names are run once. Each one's trace is then judged again with that one rule
//! turned over, and the verdict of the invariant `model` has to be another: a model that says the same without a rule does
//! not hold the kernel to it.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use imalab::report::run_dir::{RunDir, TRACE};
use imalab::report::trace;
use imalab_check::digest;
use imalab_check::outcome::{Check, Outcome, RunResult, Verdict};
use imalab_formats::ima::model::{Rule, Shown};

use crate::lab::{Lab, scenarios};
use crate::machinery;

/// Longer than some sixty runs take on a loaded host; those with kexec boot several kernels each.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// Scenarios of kernels that are not mainline's as it is built here: these tests have one kernel, which skips them.
const OTHER_KERNELS: [&str; 2] = ["proposals/", "found/trims-without-staging"];

fn is_of_another_kernel(name: &str) -> bool {
    OTHER_KERNELS.iter().any(|other| name.starts_with(other))
}

/// The verdict of the invariant `model` on a run, as it was and with a rule turned over.
fn verdicts(run: &RunResult, rule: Rule) -> (Verdict, Verdict) {
    let path = run.dir.as_ref().unwrap();
    let plan = RunDir::existing(path).read_plan().unwrap();
    let trace = trace::read(&path.join(TRACE)).unwrap();
    let is = run.checks.iter().find(|check| check.check == Check::Model).unwrap().verdict;
    (is, digest(&plan, &trace).model_without(rule).verdict)
}

#[test]
fn every_rule_of_the_model_is_shown_by_a_scenario() {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for rule in Rule::ALL {
        match rule.shown_by() {
            Shown::By(name) => {
                if !scenarios().join(format!("{name}.yaml")).is_file() {
                    wrong.push(format!("{rule:?}: there is no scenario {name}"));
                } else if !is_of_another_kernel(name) {
                    names.insert(name);
                }
            }
            Shown::Awaited(name) if is_of_another_kernel(name) => {}
            Shown::Awaited(name) => wrong.push(format!("{rule:?}: {name} is awaited")),
        }
    }

    let lab = Lab::new();
    let mut command = lab.test();
    command.arg("--out").arg(lab.path("out")).args(&names);
    let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let pid = child.id();
    let output = machinery::within(PATIENCE, move || child.wait_with_output().unwrap());
    if output.is_none() {
        machinery::kill(pid);
        panic!("it has not ended within {PATIENCE:?}");
    }
    let suite = lab.results();

    for rule in Rule::ALL {
        let Shown::By(name) = rule.shown_by() else { continue };
        if !names.contains(name) {
            continue;
        }
        let runs: Vec<&RunResult> = suite.runs.iter().filter(|run| run.scenario == name).collect();
        let sound = |run: &&&RunResult| matches!(run.outcome, Outcome::Passed | Outcome::KnownDefect);
        if runs.is_empty() || runs.iter().filter(sound).count() < runs.len() {
            let found: Vec<_> = runs.iter().map(|run| (run.outcome, &run.reason)).collect();
            wrong.push(format!("{rule:?}: {name} shows nothing: {found:?}"));
        } else if !runs.iter().any(|run| {
            let (is, without) = verdicts(run, *rule);
            is != without
        }) {
            wrong.push(format!("{rule:?}: {name} shows the same without it"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
