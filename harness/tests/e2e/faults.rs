//! QEMU or swtpm that is missing, or dies.
//!
//! What happens when they are stopped is tested at the machine (`tests/machine/faults.rs`): a stopped one shows only
//! when a budget is used up, and a call's budgets are long.

use std::process::Stdio;

use imalab_check::outcome::Outcome;
use nix::sys::signal::Signal;
use rstest::rstest;

use crate::lab::{LONG, Lab, SHORT, why};
use crate::machinery::{BOOTING, BUSY, TellingSwtpm, send};

#[rstest]
#[case("--qemu")]
#[case("--swtpm")]
fn a_missing_program_is_named_with_what_brings_it(#[case] option: &str) {
    let lab = Lab::new();
    let ended = lab.run(lab.test().args(["--accel", "tcg", option, "no-such-program", SHORT]));
    ended.exits(96).says(&["INFRA", "`no-such-program` was not found", "cargo xtask doctor"]);
    assert_eq!(lab.result().outcome, Outcome::Infra);
}

#[rstest]
#[case::qemu_while_it_boots("qemu", BOOTING, Signal::SIGKILL)]
#[case::qemu_in_the_middle("qemu", BUSY, Signal::SIGKILL)]
#[case::qemu_orderly("qemu", BUSY, Signal::SIGTERM)]
#[case::swtpm_before_qemu_is_there("swtpm", 1, Signal::SIGKILL)]
#[case::swtpm_while_the_kernel_boots("swtpm", BOOTING, Signal::SIGKILL)]
#[case::swtpm_in_the_middle("swtpm", BUSY, Signal::SIGKILL)]
// It ends with status 0 then.
#[case::swtpm_orderly_while_the_kernel_boots("swtpm", BOOTING, Signal::SIGTERM)]
#[case::swtpm_orderly_in_the_middle("swtpm", BUSY, Signal::SIGTERM)]
fn a_program_that_was_ended_is_named(#[case] name: &str, #[case] commands: usize, #[case] signal: Signal) {
    let lab = Lab::new();
    let told = TellingSwtpm::new(&lab);
    let mut command = lab.test();
    command.args(["--accel", "tcg", "--swtpm"]).arg(&told.program).arg("--out").arg(lab.path("out"));
    let child = command.arg(LONG).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    told.wait_for_commands(commands);
    send(lab.child(name), signal);
    lab.ended(child).exits(96).says(&["INFRA", name]);
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::Infra, "{result:#?}");
    assert!(why(&result).to_lowercase().contains(name), "{}", why(&result));
    if let Some(dir) = result.dir {
        assert!(dir.join("trace.jsonl").exists() && dir.join("bundle.json").exists(), "{}", dir.display());
    }
}
