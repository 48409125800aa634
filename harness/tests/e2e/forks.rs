//! Runs that go on from a saved machine, and what happens where they cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use imalab_check::outcome::{Boot, Outcome, SuiteResult};
use rstest::rstest;

use crate::lab::{Lab, SHORT};

/// As many runs as make a saved machine worthwhile.
const REPEAT: &str = "3";

fn boots(suite: &SuiteResult) -> Vec<Option<Boot>> {
    assert!(suite.runs.iter().all(|run| run.outcome == Outcome::Passed), "{suite:#?}");
    suite.runs.iter().map(|run| run.boot).collect()
}

/// A program that does what `script` says before it becomes the real one.
pub(crate) fn instead(lab: &Lab, program: &str, script: &str) -> PathBuf {
    let path = lab.path(program);
    fs::write(&path, format!("#!/bin/bash\n{script}\nexec {program} \"$@\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn runs_on_one_machine_are_forks_and_each_says_so() {
    let lab = Lab::new();
    let ended = lab.run(lab.test().args([SHORT, "--boot", "fork", "--repeat", REPEAT, "--jobs", "2"]));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("boot        fork: "), "{}", ended.text);
    let suite = lab.results();
    assert_eq!(boots(&suite), [Some(Boot::Fork); 3]);
    // The first to end is compared with one that boots.
    assert_eq!(suite.runs.iter().filter(|run| run.cross_checked).count(), 1);
}

#[test]
fn a_machine_of_few_runs_boots() {
    let lab = Lab::new();
    let ended = lab.run(lab.test().args([SHORT, "--boot", "fork", "--repeat", "2"]));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let told = "boot        cold: 2 runs have this machine, too few to save it";
    assert!(ended.text.contains(told), "{}", ended.text);
    assert_eq!(boots(&lab.results()), [Some(Boot::Cold); 2]);
}

#[rstest]
#[case::no_state_is_taken(
    "qemu-system-x86_64",
    r#"for a; do [ "$a" = -incoming ] && { echo "no state today" >&2; exit 1; }; done"#,
    "no state today"
)]
#[case::no_tpm_goes_on(
    "swtpm",
    // The first is that of the machine to save, the second that of the fork which is tried.
    r#"count=$(dirname "$0")/count; echo >>"$count"; [ "$(wc -l <"$count")" = 2 ] && { echo "no TPM today" >&2; exit 1; }"#,
    "no TPM today"
)]
fn where_no_machine_can_go_on_each_boots_and_the_reason_is_told(
    #[case] program: &str,
    #[case] script: &str,
    #[case] reason: &str,
) {
    let lab = Lab::new();
    let path = instead(&lab, program, script);
    let option = if program == "swtpm" { "--swtpm" } else { "--qemu" };
    // Whether KVM works is known of the real QEMU.
    let arguments = [SHORT, "--boot", "fork", "--repeat", REPEAT, "--accel", "tcg"];
    let ended = lab.run(lab.test().args(arguments).arg(option).arg(path));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("boot        cold: "), "{}", ended.text);
    assert!(ended.text.contains(reason), "{}", ended.text);
    assert_eq!(boots(&lab.results()), [Some(Boot::Cold); 3]);
}

#[test]
fn where_no_state_can_be_kept_each_machine_boots() {
    let lab = Lab::new();
    let arguments = [SHORT, "--boot", "fork", "--repeat", REPEAT];
    let ended = lab.run(lab.test().args(arguments).env("TMPDIR", lab.path("none")));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("could not be saved: cannot keep its state: "), "{}", ended.text);
    assert_eq!(boots(&lab.results()), [Some(Boot::Cold); 3]);
}

/// Boots no kernel once a machine has gone on from a saved one.
const BOOTS_NO_MORE: &str = r#"mark=$(dirname "$0")/went-on
for a; do [ "$a" = -incoming ] && touch "$mark"; done
case " $* " in
*" -incoming "* | *" -machine none "*) ;;
*) [ -e "$mark" ] && { echo "no boot today" >&2; exit 1; } ;;
esac"#;

#[test]
fn a_fork_that_no_boot_confirms_is_no_pass() {
    let lab = Lab::new();
    let qemu = instead(&lab, "qemu-system-x86_64", BOOTS_NO_MORE);
    let arguments = [SHORT, "--boot", "fork", "--repeat", REPEAT, "--jobs", "1", "--accel", "tcg"];
    lab.run(lab.test().args(arguments).arg("--qemu").arg(qemu)).exits(96).says(&["booted: no outcome"]);
    let suite = lab.results();
    let outcomes: Vec<Outcome> = suite.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Outcome::Infra, Outcome::Passed, Outcome::Passed], "{suite:#?}");
    assert!(suite.runs.iter().all(|run| !run.cross_checked));
}
