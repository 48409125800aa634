//! What a suite tells while it runs, when it stops, and what is run again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use imalab_check::outcome::{Outcome, SuiteResult};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::bundles::WRONG;
use crate::lab::{Lab, SHORT, initramfs, kernel, scenarios};

const RIGHT: &str = "summary: Expects what happens.
promise: none
steps:
  - measure: 1
  - stage
  - save
  - delete
";

/// `imalab test` on scenarios `own/NAME` with these texts, one machine at a time.
fn own(lab: &Lab, scenarios: &[(&str, &str)]) -> Command {
    let folder = lab.path("scenarios");
    fs::create_dir_all(folder.join("own")).unwrap();
    for (name, text) in scenarios {
        fs::write(folder.join(format!("own/{name}.yaml")), text).unwrap();
    }
    let mut command = lab.with("test", &kernel(), &initramfs());
    command.arg("--scenarios").arg(folder).args(["--jobs", "1", "--json"]).arg(lab.path("results.json"));
    command
}

fn outcomes(suite: &SuiteResult) -> Vec<(&str, Outcome)> {
    suite.runs.iter().map(|run| (run.scenario.as_str(), run.outcome)).collect()
}

#[test]
fn events_come_as_lines_and_are_results_too() {
    let lab = Lab::new();
    let lines: PathBuf = lab.path("lines");
    let mut command = lab.test();
    command.args([SHORT, "--json-lines"]).arg(&lines).args(["--ktap", "-"]);
    lab.run(&mut command).exits(0).says(&["KTAP version 1", "ok 1 under-test", "1 passed, 0 failed"]);
    let text = fs::read_to_string(&lines).unwrap();
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["probed", "planned", "run-started", "run-ended", "finished"], "{text}");
    assert_eq!(events[3]["run"]["outcome"], "passed");
    let mut merge = lab.bare(["merge", "--json", "merged.json"]);
    lab.run(merge.arg(&lines)).exits(0).says(&["1 passed, 0 failed"]);
    let merged = imalab::report::json::read(&lab.path("merged.json")).unwrap();
    assert_eq!(merged, lab.results());
}

#[test]
fn a_fifo_that_nobody_reads_is_refused_before_the_first_machine() {
    let lab = Lab::new();
    mkfifo(&lab.path("fifo"), Mode::S_IRWXU).unwrap();
    for option in ["--json", "--json-lines", "--ktap", "--junit", "--html"] {
        let mut command = lab.with("test", &kernel(), &initramfs());
        command.arg("--scenarios").arg(scenarios());
        // A machine would fail in another way: there is no such QEMU.
        command.args(["--accel", "tcg", "--qemu", "no-such-qemu", SHORT, option]).arg(lab.path("fifo"));
        let ended = lab.run(&mut command);
        ended.exits(2).says(&["fifo", "nobody reads from it"]);
        assert!(!ended.text.contains("no-such-qemu"), "{}", ended.text);
    }
}

#[test]
fn after_the_first_failure_nothing_begins_and_what_failed_is_run_again_with_its_seed() {
    let lab = Lab::new();
    let all = [("a-right", RIGHT), ("b-wrong", WRONG), ("c-wrong", WRONG), ("d-right", RIGHT)];
    lab.run(own(&lab, &all).args(["--seed", "7", "--fail-fast", "--exclude", "d-right"])).exits(100).says(&[
        "stopping (--fail-fast)",
        "1 run of 3 did not run",
        "1 passed, 1 failed",
    ]);
    let suite = lab.results();
    assert_eq!(outcomes(&suite), [("own/a-right", Outcome::Passed), ("own/b-wrong", Outcome::Failed)]);
    assert_eq!((suite.interrupted, suite.not_begun), (false, Some(1)));

    fs::rename(lab.path("results.json"), lab.path("before.json")).unwrap();
    lab.run(own(&lab, &all).arg("--rerun-failed").arg(lab.path("before.json"))).exits(100);
    let again = lab.results();
    assert_eq!(outcomes(&again), [("own/b-wrong", Outcome::Failed)]);
    assert_eq!(again.runs[0].seed, 7);

    // Mended, it passes, and then there is nothing to run again.
    lab.run(own(&lab, &[("b-wrong", RIGHT)]).arg("--rerun-failed").arg(lab.path("before.json"))).exits(0);
    fs::rename(lab.path("results.json"), lab.path("before.json")).unwrap();
    lab.run(own(&lab, &all).arg("--rerun-failed").arg(lab.path("before.json")))
        .exits(4)
        .says(&["has no failed run to repeat"]);
}

#[test]
fn a_dry_run_ends_as_the_run_would() {
    let lab = Lab::new();
    let dry = |words: &[&str]| lab.run(lab.test().args(words).args(["--dry-run", SHORT]));
    dry(&[]).exits(0).says(&["# stage/empty-list on under-test\n", "qemu-system-x86_64", "-initrd"]);
    dry(&["--kernel-arg", "rdinit=/nope"]).exits(101).says(&["KERNEL DIED", "Kernel panic - not syncing"]);
    dry(&["--kernel-arg", "initcall_blacklist=init_tis"]).exits(4).says(&["skipped", "lacks"]);
    dry(&["--require", "no-hash-table"]).exits(100).says(&["FAILED", "no-hash-table"]);
}
