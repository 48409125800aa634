//! Results as JUnit XML: a test suite for each kernel, a test case for each run.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::run_text::{self, Reason};
use super::skips::{Skips, kernels};
use super::terminal::{machine, verdict};
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use imalab_language::finding::{Finding, Run};
use imalab_print::printable;

/// Writes a suite's results.
///
/// # Errors
/// Those of the writer.
pub fn document(suite: &SuiteResult, out: &mut dyn Write) -> io::Result<()> {
    report(suite).serialize(out).map_err(io::Error::other)
}

/// The report. Trouble with the surroundings and time-outs are errors, everything else that did not pass is a
/// failure; a known defect that showed as described is a success with a property `known-defect`; a run that was interrupted is
/// skipped.
pub fn report(suite: &SuiteResult) -> Report {
    let mut report = Report::new("imalab");
    report.set_time(Duration::from_millis(suite.wall_ms));
    for kernel in kernels(suite) {
        let mut kernel_suite = TestSuite::new(&*printable(kernel));
        let runs: Vec<&RunResult> = suite.runs.iter().filter(|run| run.kernel == kernel).collect();
        kernel_suite.set_time(Duration::from_millis(runs.iter().map(|run| run.wall_ms).sum()));
        kernel_suite.add_property(Property::new("kernel", &*printable(kernel)));
        if let Some(release) = runs.iter().find_map(|run| run.release.as_ref()) {
            kernel_suite.add_property(Property::new("release", &*printable(release)));
        }
        let skips = Skips::on(suite, kernel);
        for (reason, count) in &skips.by_reason {
            kernel_suite.add_property(Property::new("skipped", format!("{count}: {}", printable(reason))));
        }
        for theme in skips.themes.iter().flat_map(|(_, themes)| themes) {
            kernel_suite.add_property(Property::new("nothing-ran-of", &*printable(theme)));
        }
        kernel_suite.add_test_cases(runs.into_iter().map(case));
        report.add_test_suite(kernel_suite);
    }
    report
}

fn case(run: &RunResult) -> TestCase {
    let id = RunId::of(run);
    let mut case = TestCase::new(&*printable(&id.case()), status(run));
    case.set_classname(&*printable(id.theme()));
    case.set_time(Duration::from_millis(run.wall_ms));
    case.add_property(Property::new("kernel", &*printable(&run.kernel)));
    case.add_property(Property::new("lane", run.lane.name()));
    if let Some(accelerator) = &run.accelerator {
        case.add_property(Property::new("accelerator", &*printable(&accelerator.name)));
    }
    case.add_property(Property::new("seed", run.seed.to_string()));
    let known = match run.outcome {
        Outcome::KnownDefect => Some("known-defect"),
        Outcome::KnownLimit => Some("known-limit"),
        Outcome::NotOrdered => Some("not-ordered"),
        // Something known that is not there.
        Outcome::Passed if run.reason.is_some() => Some("not-present"),
        _ => None,
    };
    if let Some(known) = known {
        case.add_property(Property::new(known, run_text::reason(run)));
    }
    if let Some(dir) = &run.dir {
        case.add_property(Property::new("dir", &*printable(&dir.display().to_string())));
    }
    if let Some(why) = &run.not_stored {
        case.add_property(Property::new("not-stored", &*printable(why)));
    }
    if !run.console_tail.is_empty() {
        let tail: Vec<_> = run.console_tail.iter().map(|line| printable(line)).collect();
        case.set_system_out(tail.join("\n"));
    }
    case
}

/// What is told of a run that a signal ended, where there is but one word for all that did not run.
pub(super) fn interrupted(run: &RunResult) -> String {
    match run.reason.as_ref().map(|reason| &reason.finding) {
        None | Some(Finding::Run(Run::Interrupted {})) => "interrupted".to_owned(),
        Some(_) => format!("interrupted: {}", run_text::reason(run)),
    }
}

fn status(run: &RunResult) -> TestCaseStatus {
    let (mut status, kind) = match run.outcome {
        Outcome::Passed | Outcome::KnownDefect | Outcome::KnownLimit => return TestCaseStatus::success(),
        Outcome::Skipped | Outcome::NotOrdered => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(run_text::reason(run));
            return status;
        }
        // JUnit knows no other way to say that a test says nothing.
        Outcome::Interrupted => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(interrupted(run));
            return status;
        }
        Outcome::Failed => (TestCaseStatus::non_success(NonSuccessKind::Failure), "failed"),
        Outcome::KernelDied => (TestCaseStatus::non_success(NonSuccessKind::Failure), "kernel-died"),
        Outcome::Infra => (TestCaseStatus::non_success(NonSuccessKind::Error), "infra"),
        Outcome::Timeout => (TestCaseStatus::non_success(NonSuccessKind::Error), "timeout"),
    };
    status.set_type(kind).set_message(run_text::reason(run)).set_description(description(run));
    status
}

/// What was found beside the reason, and how to see it again.
fn description(run: &RunResult) -> String {
    let mut lines = vec![machine(run)];
    for (check, findings) in run_text::failed(run, Reason::Said) {
        lines.push(format!("check {} {}", check.check, verdict(check)));
        lines.extend(findings.into_iter().map(|finding| format!("  {finding}")));
    }
    if let Some(bundle) = &run.bundle {
        lines.push(format!("bundle: {}", printable(&bundle.display().to_string())));
    }
    if let Some(repro) = &run.repro {
        lines.push(format!("again: {}", printable(repro)));
    }
    lines.join("\n")
}
