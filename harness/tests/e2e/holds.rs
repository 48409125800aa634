//! Tasks that are held at places of the kernel's code.

use std::fs;
use std::path::Path;
use std::process::Command;

use imalab_check::outcome::Outcome;
use imalab_language::finding::{Finding, Run};

use crate::lab::{Lab, initramfs, kernel};

/// Two trims of one process, and two holds.
const HELD: &str = "found/held-trims-overlap";

/// Runs `text` as the scenario `mine/held` in the deterministic lane, without preemptions.
fn mine(lab: &Lab, text: &str) -> Command {
    let folder = lab.path("mine");
    fs::create_dir_all(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/held.yaml"), text).unwrap();
    let mut command = lab.with("test", &kernel(), &initramfs());
    command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json"));
    command.args(["--lane", "deterministic", "--strategy", "random:0", "--boot", "cold"]);
    command
}

/// Two tasks, and these holds, from line 6 on.
fn held(holds: &[&str]) -> String {
    let holds: String = holds.iter().map(|hold| format!("  - hold: {hold}\n")).collect();
    format!(
        "summary: s\npromise: p\nneeds: [staging]\nsteps:\n  - measure: 2\n{holds}  - fork: a\n  - fork: b\n\
         tasks:\n  a: [stage]\n  b: [measure]\n"
    )
}

#[test]
fn two_holds_show_a_race_each_time_and_nothing_shows_it_without_them() {
    let lab = Lab::new();
    let mut command = lab.test();
    command.args(["--lane", "deterministic", "--repeat", "5", "--same-seed", HELD]);
    lab.run(&mut command).exits(0).says(&["5 known defects"]);
    let suite = lab.results();
    let hash = suite.runs[0].schedule_hash.clone().unwrap();
    for run in &suite.runs {
        assert_eq!(
            (run.outcome, run.schedule_hash.as_ref()),
            (Outcome::KnownDefect, Some(&hash)),
            "{run:#?}"
        );
    }

    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let text = fs::read_to_string(scenarios.join(HELD).with_extension("yaml")).unwrap();
    let (before, rest) = text.split_once("  - hold:").unwrap();
    let (_, after) = rest.split_once("  - thread: first").unwrap();
    let (steps, _) = after.split_once("known-defect:").unwrap();
    let mut command = mine(&lab, &format!("{before}  - thread: first{steps}"));
    lab.run(&mut command).exits(0).says(&["1 passed"]);
}

#[test]
fn other_lanes_skip_what_holds_tasks() {
    let lab = Lab::new();
    let mut command = lab.test();
    command.arg(HELD);
    lab.run(&mut command).exits(4).says(&["skipped", "which only `--lane deterministic` can"]);
}

#[test]
fn what_could_not_be_ordered_is_an_outcome_of_its_own() {
    let lab = Lab::new();
    let stage_waits_for_b = "{task: a, at: ima_queue_stage, until: {task: b, at: tpm_pcr_extend}}";
    for (holds, kept, said) in [
        (&["{task: a, at: ima_queue_stage, until: {task: b, step: 1}}"][..], None, "1 passed"),
        (
            // `b` ends without having come there.
            &["{task: a, at: ima_queue_stage, until: {task: b, at: ima_queue_stage}}"],
            Some("never-came"),
            "which never happened",
        ),
        (
            &["{task: b, at: ima_queue_stage, until: {task: a, step: 1}}"],
            Some("not-reached"),
            "and did not come there",
        ),
        (
            // `b` has the mutex of the lists by then, and `a` waits for it.
            &["{task: b, at: tpm_pcr_extend, until: {task: a, step: 1}}", stage_waits_for_b],
            Some("stuck"),
            "all others waited",
        ),
    ] {
        let mut command = mine(&lab, &held(holds));
        let ran = lab.run(&mut command);
        let Some(end) = kept else {
            ran.exits(0).says(&[said]);
            continue;
        };
        ran.exits(5).says(&["not ordered", "could not be ordered (line 6)", said, "1 not ordered"]);
        let run = lab.result();
        assert_eq!(run.outcome, Outcome::NotOrdered);
        let Finding::Run(Run::NotOrdered { held, .. }) = run.reason.unwrap().finding else {
            panic!("{holds:?}")
        };
        assert_eq!(held, end, "{holds:?}");
        let mut command = lab.bare(["repro"]);
        command.arg(run.bundle.unwrap()).arg("--cache").arg(lab.cache());
        lab.run(&mut command).exits(5).says(&["could not be ordered"]);
    }
}

#[test]
fn a_place_that_the_kernel_does_not_have_is_told_with_its_line() {
    let lab = Lab::new();
    for (at, said) in [
        ("ima_queue_stag", "the kernel has no function `ima_queue_stag`"),
        ("ima_queue_stage+0xffff", "and so no place at +0xffff"),
        ("mutex_lock, from: ima_queue_stag", "the kernel has no function `ima_queue_stag`"),
    ] {
        let mut command =
            mine(&lab, &held(&[&format!("{{task: a, at: {at}, until: {{task: b, step: 1}}}}")]));
        lab.run(&mut command).exits(2).says(&["mine/held.yaml:6: `hold`: ", said]);
    }
}

#[test]
fn a_kernel_without_symbols_is_told_before_a_task_is_held() {
    let lab = Lab::new();
    let image = lab.path("bzImage");
    fs::copy(kernel(), &image).unwrap();
    let mut command = lab.test_of(&image, &initramfs());
    command.args(["--lane", "deterministic", HELD]);
    lab.run(&mut command).exits(2).says(&["needs the kernel's symbols", "System.map"]);
}
