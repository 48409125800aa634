//! The deterministic lane: one seed, one run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use imalab_check::outcome::{Boot, Check, Outcome, SuiteResult, Verdict};
use imalab_language::lane::Lane;
use sha2::{Digest, Sha256};

use crate::bundles::WRONG;
use crate::forks::instead;
use crate::lab::{Lab, SHORT, initramfs, kernel};

/// Two tasks that ask for the same.
const RACE: &str = "race/two-stagers";

/// The schedules' hashes, all of which have to be known.
#[track_caller]
fn hashes(suite: &SuiteResult) -> Vec<&str> {
    let hash = |run: &'_ imalab_check::outcome::RunResult| run.schedule_hash.is_some();
    assert!(suite.runs.iter().all(hash), "{suite:#?}");
    suite.runs.iter().filter_map(|run| run.schedule_hash.as_deref()).collect()
}

#[test]
fn a_seed_gives_one_run_and_another_seed_another() {
    let lab = Lab::new();
    let lane = ["--lane", "deterministic", "--out"];
    let mut command = lab.test();
    command.args(lane).arg(lab.path("out")).args(["--seed", "7", "--repeat", "2", "--same-seed", RACE]);
    lab.run(&mut command).exits(0).says(&["lane        deterministic", RACE]);
    let suite = lab.results();
    let same = hashes(&suite);
    assert!(suite.runs.iter().all(|run| run.lane == Lane::Deterministic && run.outcome == Outcome::Passed));
    assert!(same.len() >= 2 && same[0] == same[suite.runs.len() / 2], "{same:?}");
    // Not the schedule alone: every byte of the console, which has the kernel's times.
    let console = |at: usize| fs::read(suite.runs[at].dir.as_ref().unwrap().join("console.log")).unwrap();
    assert!(!console(0).is_empty());
    assert_eq!(console(0), console(suite.runs.len() / 2));

    let mut command = lab.test();
    command.args(["--lane", "deterministic", "--seed", "8", RACE]);
    lab.run(&mut command).exits(0);
    assert_ne!(hashes(&lab.results())[0], same[0]);
}

#[test]
fn a_fork_is_the_same_whichever_call_has_saved_its_machine() {
    let lab = Lab::new();
    let ran = |options: &[&str]| {
        let mut command = lab.test();
        command.args(["--lane", "deterministic", "--seed", "7", RACE, "--out"]).arg(lab.path("out"));
        lab.run(command.args(options)).exits(0);
        let suite = lab.results();
        let run = &suite.runs[0];
        let read = |name: &str| fs::read(run.dir.as_ref().unwrap().join(name)).unwrap();
        (run.boot, hashes(&suite)[0].to_owned(), read("console.log"), read("log.bin"))
    };
    let fork = ran(&[]);
    assert_eq!(fork.0, Some(Boot::Fork));
    assert!(lab.results().runs[0].cross_checked);
    assert_eq!(ran(&["--boot", "fork", "--jobs", "1"]), fork);
    // It goes on from another place than a boot, and so is another schedule.
    let cold = ran(&["--boot", "cold"]);
    assert_eq!(cold.0, Some(Boot::Cold));
    assert_ne!(cold.1, fork.1);
}

#[test]
fn a_kernel_that_cannot_be_saved_at_one_instruction_boots_and_says_why() {
    let lab = Lab::new();
    let image = lab.path("bzImage");
    fs::copy(kernel(), &image).unwrap();
    let map = fs::read_to_string(kernel().with_file_name("System.map")).unwrap();
    let without = map.lines().filter(|line| !line.ends_with(" fw_cfg_sysfs_read_raw"));
    fs::write(lab.path("System.map"), without.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let mut command = lab.test_of(&image, &initramfs());
    command.args(["--lane", "deterministic", RACE]);
    lab.run(&mut command).exits(0).says(&["boot        cold: ", "fw_cfg_sysfs_read_raw"]);
    assert_eq!(lab.results().runs[0].boot, Some(Boot::Cold));
}

#[test]
fn for_how_long_the_mutex_of_the_lists_is_held_is_judged() {
    let lab = Lab::new();
    let mut command = lab.test();
    command.args(["--lane", "deterministic", "scale/mutex-held"]);
    lab.run(&mut command).exits(0);
    let run = lab.result();
    let mutex = run.checks.iter().find(|result| result.check == Check::Mutex).unwrap();
    // Not one that did not apply.
    assert_eq!(mutex.verdict, Verdict::Passed, "{mutex:#?}");
    assert!(mutex.compared["holds of the mutex"] >= 12, "{mutex:#?}");
}

/// QEMU with threads that are late: what of the plugin's options is only for this.
const LATE: &str = r#"#!/bin/sh
for word; do
    shift
    case $word in *,order=*) word=$word,late=200 ;; esac
    set -- "$@" "$word"
done
exec qemu-system-x86_64 "$@"
"#;

#[test]
fn no_thread_of_qemu_is_so_late_that_a_guest_sees_it() {
    let lab = Lab::new();
    let qemu = lab.path("qemu");
    fs::write(&qemu, LATE).unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = |with: &[&std::ffi::OsStr]| {
        let mut command = lab.test();
        command.args(["--lane", "deterministic", "--seed", "3", "--strategy", "random:2", RACE]).args(with);
        lab.run(&mut command).exits(0);
        hashes(&lab.results()).into_iter().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(ran(&["--qemu".as_ref(), qemu.as_os_str()]), ran(&[]));
}

/// Runs what fails whatever is done; gives its bundle.
#[track_caller]
fn failed(lab: &Lab, options: &[&str]) -> PathBuf {
    let folder = lab.path("mine");
    fs::create_dir_all(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/wrong.yaml"), WRONG).unwrap();
    let mut command = lab.with("test", &kernel(), &initramfs());
    command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json")).args(options);
    lab.run(&mut command).exits(100).says(&["FAILED"]);
    lab.result().bundle.unwrap()
}

#[test]
fn a_bundle_shows_the_same_schedule_again() {
    let lab = Lab::new();
    // As often as may be, and more often than `repro` would by itself.
    let bundle = failed(&lab, &["--lane", "deterministic", "--seed", "3", "--strategy", "random:2"]);
    assert!(lab.result().schedule_hash.is_some());
    let mut command = lab.bare(["repro"]);
    command.arg(bundle).arg("--cache").arg(lab.cache());
    // 96 when the hash is another.
    lab.run(&mut command).exits(100).says(&["FAILED", "EBUSY"]);
}

#[test]
fn a_bundle_of_a_fork_says_when_its_machine_cannot_be_had_again() {
    let lab = Lab::new();
    let bundle = failed(&lab, &["--lane", "deterministic", "--seed", "3"]);
    assert_eq!(lab.result().boot, Some(Boot::Fork));
    let repro = |with: &[&str]| {
        let mut command = lab.bare(["repro"]);
        command.arg(&bundle).arg("--cache").arg(lab.cache()).args(with);
        command
    };
    let script = r#"for a; do [ "$a" = -incoming ] && { echo "no state today" >&2; exit 1; }; done"#;
    let qemu = instead(&lab, "qemu-system-x86_64", script);
    let mut command = repro(&["--qemu"]);
    lab.run(command.arg(qemu)).exits(96).says(&["is a fork of a saved machine", "no state today"]);
    // As if another QEMU had booted it.
    let schedule = bundle.join("schedule.json");
    let mut report: serde_json::Value = serde_json::from_slice(&fs::read(&schedule).unwrap()).unwrap();
    report["from"] = "00".into();
    let text = report.to_string();
    fs::write(&schedule, &text).unwrap();
    let file = bundle.join("bundle.json");
    let mut seal: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    seal["files"]["schedule.json"] = hex::encode(Sha256::digest(text)).into();
    fs::write(&file, seal.to_string()).unwrap();
    lab.run(&mut repro(&[])).exits(96).says(&["cannot be recreated", "its name was 00"]);
}

#[test]
fn priorities_are_as_deterministic() {
    let lab = Lab::new();
    let mut command = lab.test();
    command.args(["--lane", "deterministic", "--strategy", "pct:2", "--repeat", "2", "--same-seed", RACE]);
    lab.run(&mut command).exits(0);
    let suite = lab.results();
    let hashes = hashes(&suite);
    assert_eq!(hashes[0], hashes[suite.runs.len() / 2]);
}

#[test]
fn what_needs_the_hosts_time_is_skipped_and_says_so() {
    let lab = Lab::new();
    let mut command = lab.test();
    command.args(["--lane", "deterministic", "tpm/appends-wait-in-line"]);
    lab.run(&mut command).exits(4).says(&["skipped", "needs a hold in host time"]);
}

#[test]
fn a_kernel_without_symbols_is_refused() {
    let lab = Lab::new();
    let image = lab.path("bzImage");
    fs::copy(kernel(), &image).unwrap();
    let mut command = lab.test_of(&image, &initramfs());
    command.args(["--lane", "deterministic", SHORT]);
    lab.run(&mut command).exits(2).says(&["needs the kernel's symbols", "System.map"]);
}

#[test]
fn a_plugin_that_is_none_is_refused() {
    let lab = Lab::new();
    let plugin = lab.path("plugin.so");
    let with = |plugin: &std::path::Path| {
        let mut command = lab.test();
        command.args(["--lane", "deterministic", SHORT, "--plugin"]).arg(plugin);
        command
    };
    lab.run(&mut with(&plugin)).exits(2).says(&["deterministic lane needs", "plugin.so"]);
    fs::write(&plugin, "no library").unwrap();
    lab.run(&mut with(&plugin)).exits(96).says(&["QEMU does not load imalab's plugin", "plugin.so"]);
}

/// Answers as QEMU's monitor does when it is asked nothing but who it is.
const OTHER_QEMU: &str = r#"#!/bin/sh
for word; do
    case $word in socket,id=qmp,fd=*) fd=${word##*=} ;; esac
done
printf '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}}}\n' >&"$fd"
read -r line <&"$fd"
printf '{"return": {}, "id": 1}\n' >&"$fd"
read -r line <&"$fd"
"#;

#[test]
fn a_qemu_that_was_not_proved_is_refused() {
    let lab = Lab::new();
    let qemu = lab.path("qemu");
    fs::write(&qemu, OTHER_QEMU).unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = lab.test();
    command.args(["--lane", "deterministic", SHORT, "--qemu"]).arg(&qemu);
    lab.run(&mut command).exits(2).says(&["proved with QEMU 7.2, not with 10.0.2"]);
}

#[test]
fn what_fails_under_every_schedule_needs_no_preemption() {
    let lab = Lab::new();
    let bundle = failed(&lab, &["--lane", "deterministic", "--seed", "3"]);
    // Where nothing can be kept nothing is run.
    let file = lab.path("file");
    fs::write(&file, "").unwrap();
    let mut command = lab.bare(["shrink"]);
    command.arg(&bundle).arg("--out").arg(&file).arg("--cache").arg(lab.cache());
    lab.run(&mut command).exits(2).says(&["cannot create the folder"]);
    let out = lab.path("shrunk");
    let mut command = lab.bare(["shrink"]);
    command.arg(&bundle).arg("--out").arg(&out).arg("--cache").arg(lab.cache());
    let ended = lab.run(&mut command);
    ended.exits(0).says(&["0 of ", "none of them can be left out", "FAILED", "again:"]);
    // What is left is a bundle as any other, and shows it with its own schedule.
    let shrunk = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let mut command = lab.bare(["repro"]);
    command.arg(shrunk).arg("--cache").arg(lab.cache());
    lab.run(&mut command).exits(100).says(&["FAILED", "EBUSY"]);
}

#[test]
fn a_run_without_a_schedule_cannot_be_shrunk() {
    let lab = Lab::new();
    let bundle = failed(&lab, &[]);
    let mut command = lab.bare(["shrink"]);
    command.arg(bundle).arg("--cache").arg(lab.cache());
    lab.run(&mut command).exits(2).says(&["only a run of the deterministic lane has a schedule"]);
}

/// Two tasks, and what a scenario says of them.
const RACED: &str = "summary: s\npromise: p\nsteps:\n  - measure: 2\ntasks:\n  other: [measure]\n\
                     race: {tasks: [main, other], strategy: one, schedules: 2}\n";

#[test]
fn a_race_says_how_it_is_run_unless_the_command_line_does() {
    let lab = Lab::new();
    let folder = lab.path("mine");
    fs::create_dir_all(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/raced.yaml"), RACED).unwrap();
    let ran = |options: &[&str]| {
        let mut command = lab.with("test", &kernel(), &initramfs());
        command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json")).args(options);
        let text = lab.run(&mut command).exits(0).text.clone();
        let strategies: Vec<Option<String>> =
            lab.results().runs.into_iter().map(|run| run.strategy).collect();
        (strategies, text)
    };
    let (strategies, text) = ran(&["--lane", "deterministic"]);
    assert_eq!(strategies, vec![Some("one".to_owned()); 2]);
    assert!(text.contains("2 of ") && text.contains(" are left"), "{text}");
    let (strategies, _) = ran(&["--lane", "deterministic", "--strategy", "random:5", "--schedules", "1"]);
    assert_eq!(strategies, vec![Some("random:5".to_owned())]);
    assert_eq!(ran(&[]).0, vec![None]);
}
