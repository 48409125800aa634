//! The explorer finds, makes sure, shortens and keeps, and a seed is one campaign.

use std::fs;
use std::path::Path;

use crate::lab::{Lab, initramfs, kernel, scenarios};

/// What of a campaign does not depend on the host.
fn state(dir: &Path) -> serde_json::Value {
    let text = fs::read_to_string(dir.join("campaign.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    state.as_object_mut().unwrap().remove("core_ms");
    state
}

/// `explore` with the scenarios of a folder.
fn explore(lab: &Lab, scenarios: &Path) -> std::process::Command {
    let mut command = lab.with("explore", &kernel(), &initramfs());
    command.arg("--scenarios").arg(scenarios);
    command
}

#[test]
fn a_seed_is_one_campaign_and_known_defects_are_told_by_name() {
    let lab = Lab::new();
    let (one, other) = (lab.path("one"), lab.path("other"));
    // Program by program, or both in one call and side by side.
    let mut command = explore(&lab, &scenarios());
    lab.run_many(command.args(["--programs", "1", "--schedules", "4", "--out"]).arg(&one))
        .exits(0)
        .says(&["found/trims-at-once"]);
    assert_eq!(state(&one)["programs"], 1);
    let mut command = explore(&lab, &scenarios());
    lab.run_many(command.args(["--programs", "1", "--schedules", "4", "--resume"]).arg(&one));
    let mut command = explore(&lab, &scenarios());
    lab.run_many(command.args(["--programs", "2", "--schedules", "4", "--out"]).arg(&other));
    assert_eq!(state(&one)["programs"], 2);
    assert_eq!(state(&one), state(&other));
    let kept = |dir: &Path| fs::read_to_string(dir.join("corpus/000000.yaml")).unwrap();
    assert_eq!(kept(&one), kept(&other));

    let mut command = explore(&lab, &scenarios());
    lab.run(command.arg("--out").arg(&one)).exits(2).says(&["has a campaign already"]);
    let mut command = explore(&lab, &scenarios());
    lab.run(command.arg("--resume").arg(lab.path("cache"))).exits(2);
}

#[test]
fn what_nobody_knows_is_kept_and_shown_again() {
    let lab = Lab::new();
    let nothing = lab.path("scenarios");
    fs::create_dir_all(nothing.join("stage")).unwrap();
    fs::write(nothing.join("stage/once.yaml"), "summary: s\npromise: p\nsteps: [stage]\n").unwrap();
    let dir = lab.path("campaign");
    let mut command = explore(&lab, &nothing);
    command.args(["--programs", "1", "--schedules", "4", "--shrink-runs", "14", "--out"]).arg(&dir);
    lab.run_many(&mut command).exits(101).says(&["new: kernel-died/"]);
    let state = state(&dir);
    let found = &state["found"][0];
    let name = found["name"].as_str().unwrap();
    let text = fs::read_to_string(dir.join("found").join(format!("{name}.yaml"))).unwrap();
    assert!(text.contains("write: {to: fd"), "{text}");
    imalab_language::scenario::parse(name, "it.yaml", &text).unwrap();
    let mut command = lab.bare(["repro"]);
    command.arg(found["bundle"].as_str().unwrap()).arg("--cache").arg(lab.cache());
    lab.run(&mut command).exits(101);
}
