//! `harness/tests/compare_results.py`, which says case by case what has changed between two suites.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use imalab::report::json;
use imalab_check::outcome::{Outcome, Reason, SuiteResult};
use imalab_language::finding::{KernelDied, Run, Skip};

use crate::suite::suite;

fn compare(before: &Path, after: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compare_results.py");
    Command::new("python3").arg(script).arg(before).arg(after).output().unwrap()
}

fn write(path: &Path, results: &SuiteResult) {
    json::document(results, &mut File::create(path).unwrap()).unwrap();
}

/// Compares the suite with what `change` makes of it: exit code and standard output.
fn compared_with(change: impl FnOnce(&mut SuiteResult)) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before.json"), folder.path().join("after.json"));
    write(&before, &suite());
    let mut changed = suite();
    change(&mut changed);
    write(&after, &changed);
    let output = compare(&before, &after);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn first(results: &SuiteResult, outcome: Outcome) -> usize {
    results.runs.iter().position(|run| run.outcome == outcome).unwrap()
}

#[test]
fn times_and_order_are_no_difference() {
    let (code, told) = compared_with(|results| {
        results.wall_ms += 1000;
        results.runs.reverse();
        let skipped = first(results, Outcome::Skipped);
        let lacks = Skip::Lacks { release: "another".to_owned(), capabilities: Vec::new() };
        results.runs[skipped].reason = Some(Reason::of(lacks));
    });
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(told, "11 and 11 runs, 0 differ\n");
}

#[test]
fn another_outcome_is_one() {
    let (code, told) = compared_with(|results| {
        let passed = first(results, Outcome::Passed);
        results.runs[passed].outcome = Outcome::Timeout;
        results.runs[passed].reason = Some(Reason::of(Run::BadFrame { error: "checksum".to_owned() }));
    });
    assert_eq!(code, Some(1));
    assert!(
        told.contains(
            "\n  before: passed\n  after:  timeout: the agent's stream cannot be decoded: checksum\n"
        ),
        "{told}"
    );
}

#[test]
fn another_code_is_one() {
    let (code, told) = compared_with(|results| {
        let died = first(results, Outcome::KernelDied);
        results.runs[died].reason = Some(Reason::of(KernelDied::Reset {}));
    });
    assert_eq!(code, Some(1));
    assert!(told.contains("\n  after:  kernel-died: the guest reset without any message\n"), "{told}");
}

#[test]
fn a_failure_by_another_check_is_one() {
    let (code, told) = compared_with(|results| {
        let failed = first(results, Outcome::Failed);
        results.runs[failed].checks.clear();
    });
    assert_eq!(code, Some(1), "{told}");
}

#[test]
fn a_run_that_is_missing_is_one() {
    let (code, told) = compared_with(|results| {
        results.runs.pop();
    });
    assert_eq!(code, Some(1));
    assert!(told.contains("only in the first: ") && told.ends_with("11 and 10 runs, 1 differ\n"), "{told}");
}

#[test]
fn what_is_no_result_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.json");
    write(&good, &suite());
    let path = folder.path().join("wrong.json");
    let mut doubled = suite();
    doubled.runs.push(doubled.runs[0].clone());
    let doubled = serde_json::to_string(&doubled).unwrap();
    for text in ["", "[]", "{\"schema\": 3, \"runs\": []}", "{\"schema\": 2, \"runs\": [{}]}", &doubled] {
        std::fs::write(&path, text).unwrap();
        let output = compare(&good, &path);
        assert_eq!(output.status.code(), Some(2), "{text:.60}");
        assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: "));
    }
}
