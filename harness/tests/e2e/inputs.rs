//! What the user says is wrong: told before any machine is started.

use std::fs;

use rstest::rstest;

use crate::lab::{Lab, SHORT, initramfs, kernel, scenarios};

#[rstest]
#[case::verb("steps:\n  - measure: 1\n  - stgae\n", &["3:5", "stgae", "  - stgae", "stage"])]
#[case::capability("needs: [teleport]\nsteps:\n  - stage\n", &["1:9", "teleport"])]
#[case::not_yaml("steps: [\n", &["1:8", "not YAML"])]
fn a_scenario_with_an_error_is_shown_with_its_place(#[case] text: &str, #[case] words: &[&str]) {
    let lab = Lab::new();
    let folder = lab.path("wrong");
    fs::create_dir_all(folder.join("made")).unwrap();
    let head = "summary: Has an error.\npromise: none\n";
    fs::write(folder.join("made/wrong.yaml"), format!("{head}{text}")).unwrap();
    let ended = lab.run(
        lab.with("test", &kernel(), &initramfs()).arg("--scenarios").arg(&folder).args(["--json", "r.json"]),
    );
    let places: Vec<String> = words
        .iter()
        .map(|word| match word.split_once(':') {
            Some((line, column)) if line.parse::<u32>().is_ok() => {
                format!("made/wrong.yaml:{}:{column}", line.parse::<u32>().unwrap() + 2)
            }
            _ => (*word).to_owned(),
        })
        .collect();
    ended.exits(2).says(&places.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!lab.path("r.json").exists(), "nothing was run");
}

#[test]
fn a_huge_scenario_is_refused() {
    let lab = Lab::new();
    let folder = lab.path("wrong");
    fs::create_dir_all(&folder).unwrap();
    let steps = "  - stage\n".repeat(100_000);
    fs::write(folder.join("huge.yaml"), format!("summary: Huge.\npromise: none\nsteps:\n{steps}")).unwrap();
    let ended = lab.run(lab.bare(["list", "--scenarios"]).arg(&folder));
    ended.exits(2).says(&["huge.yaml", "at most 262144 bytes"]);
}

#[test]
fn all_errors_are_told_at_once() {
    let lab = Lab::new();
    let folder = lab.path("wrong");
    fs::create_dir_all(&folder).unwrap();
    for name in ["one", "two"] {
        fs::write(folder.join(format!("{name}.yaml")), "summary: Has no steps.\npromise: none\n").unwrap();
    }
    lab.run(lab.bare(["list", "--scenarios"]).arg(&folder)).exits(2).says(&["one.yaml", "two.yaml"]);
}

#[test]
fn a_pattern_that_matches_nothing_runs_nothing() {
    let lab = Lab::new();
    let ended = lab.run(lab.test().args([SHORT, "no-such-scenario"]));
    ended.exits(4).says(&["no scenario matches `no-such-scenario`", "list"]);
}

#[test]
fn words_by_which_sound_kernels_would_fail_are_refused() {
    let lab = Lab::new();
    for word in ["ima_policy=tcb", "ima_policy=critical_data", "ima_appraise=enforce", "ima=off", "quiet"] {
        let ended = lab.run(lab.test().args(["--kernel-arg", word, SHORT]));
        ended.exits(2).says(&[&format!("--kernel-arg {word}"), "kernel-args"]);
    }
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let lab = Lab::new();
    let missing = lab.path("no-bzImage");
    lab.run(lab.test_of(&missing, &initramfs()).arg(SHORT)).exits(2).says(&["no-bzImage", "--kernel-image"]);
    let missing = lab.path("no-initramfs");
    lab.run(lab.test_of(&kernel(), &missing).arg(SHORT)).exits(2).says(&["no-initramfs", "--initramfs"]);
    let ended = lab.run(lab.with("test", &kernel(), &initramfs()).args(["--scenarios", "no-scenarios"]));
    ended.exits(2).says(&["no-scenarios"]);
    lab.run(&mut lab.bare(["repro", "no-bundle"])).exits(2).says(&["no-bundle"]);
    lab.run(&mut lab.bare(["recheck", "no-bundle"])).exits(2).says(&["no-bundle"]);
}

#[rstest]
#[case::report_folder("--json", "none/results.json")]
#[case::report_is_a_folder("--html", "cache")]
fn a_report_that_cannot_be_written_is_told_before_the_first_machine(
    #[case] option: &str,
    #[case] path: &str,
) {
    let lab = Lab::new();
    let mut command = lab.with("test", &kernel(), &initramfs());
    // A machine would fail in another way: there is no such QEMU.
    command.args(["--accel", "tcg", "--qemu", "no-such-qemu", option, path, SHORT]);
    let ended = lab.run(command.arg("--scenarios").arg(scenarios()));
    ended.exits(2).says(&[path]);
    assert!(!ended.text.contains("no-such-qemu"), "{}", ended.text);
}
