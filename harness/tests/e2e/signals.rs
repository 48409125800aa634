//! Signals to imalab itself.

use std::process::{Child, Stdio};

use imalab_check::outcome::Outcome;
use nix::sys::signal::Signal;
use rstest::rstest;

use crate::lab::{LONG, Lab, SHORT};
use crate::machinery::{BOOTING, BUSY, TellingSwtpm, send};

/// A call in the middle of its run.
fn busy(lab: &Lab) -> (Child, TellingSwtpm) {
    let told = TellingSwtpm::new(lab);
    let mut command = lab.test();
    command.args(["--accel", "tcg", "--swtpm"]).arg(&told.program).arg("--out").arg(lab.path("out"));
    // Two runs, one machine: the second one must not begin.
    command.args(["--jobs", "1", LONG, SHORT]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    told.wait_for_commands(BUSY);
    (child, told)
}

#[rstest]
#[case(Signal::SIGINT)]
#[case(Signal::SIGTERM)]
fn the_first_signal_ends_it_cleanly(#[case] signal: Signal) {
    let lab = Lab::new();
    let (child, _told) = busy(&lab);
    send(child.id(), signal);
    lab.ended(child).exits(130).says(&["interrupted"]);
    let suite = lab.results();
    assert!(suite.interrupted);
    let outcomes: Vec<Outcome> = suite.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Outcome::Interrupted], "nothing was begun after the signal: {suite:#?}");
    let run = &suite.runs[0];
    assert!(run.bundle.is_none() && run.repro.is_none() && run.dir.is_some());
    assert!(!run.dir.as_ref().unwrap().join("bundle.json").exists());
}

#[rstest]
#[case::qemu("qemu")]
#[case::swtpm("swtpm")]
fn a_stopped_program_does_not_keep_it_from_ending(#[case] name: &str) {
    let lab = Lab::new();
    let (child, _told) = busy(&lab);
    send(lab.child(name), Signal::SIGSTOP);
    send(child.id(), Signal::SIGINT);
    lab.ended(child).exits(130);
    assert!(lab.results().interrupted);
}

#[rstest]
#[case::run(&[])]
#[case::dry_run(&["--dry-run"])]
fn a_signal_while_the_kernel_is_asked_ends_it(#[case] options: &[&str]) {
    let lab = Lab::new();
    let told = TellingSwtpm::new(&lab);
    let mut command = lab.test();
    // No call has asked the kernel with this word.
    command.args(["--kernel-arg", "imalab.unasked", "--accel", "tcg", "--swtpm"]).arg(&told.program);
    let child = command.args(options).arg(SHORT).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    told.wait_for_commands(BOOTING);
    send(child.id(), Signal::SIGINT);
    lab.ended(child).exits(130);
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let lab = Lab::new();
    let (mut child, _told) = busy(&lab);
    // A stopped QEMU cannot be asked to end, so a clean end would take seconds.
    send(lab.child("qemu"), Signal::SIGSTOP);
    while child.try_wait().unwrap().is_none() {
        send(child.id(), Signal::SIGINT);
        std::thread::yield_now();
    }
    lab.output(child).exits(130);
    lab.has_no_process();
    assert!(!lab.path("results.json").exists(), "it ended cleanly, hence not at once");
    // What it could not remove, the next call does.
    lab.run(lab.test().args(["--dry-run", SHORT])).exits(0);
}

#[test]
fn killed_it_leaves_no_process_and_the_next_call_removes_its_scratch() {
    let lab = Lab::new();
    let (child, _told) = busy(&lab);
    assert_eq!(lab.scratch().len(), 1);
    send(child.id(), Signal::SIGKILL);
    assert_eq!(lab.output(child).code, None);
    lab.has_no_process();
    assert_eq!(lab.scratch().len(), 1, "nobody was left to remove it");
    // What it had, if it was begun, is there; and what it was writing goes.
    let out = lab.path("out");
    assert!(out.join("results.json.unfinished").exists() && !out.join("results.json").exists());
    let mut merge = lab.bare(["merge"]);
    let merge = merge.arg(&out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    lab.output(merge).exits(130).says(&["0 passed, 0 failed"]);
    std::fs::write(out.join(".results.json.abcdef.partial"), "half").unwrap();
    std::fs::create_dir(out.join("run")).unwrap();
    std::fs::write(out.join("run/.trace.jsonl.abcdef.partial"), "half").unwrap();
    lab.run(lab.test().args(["--accel", "tcg", SHORT, "--out"]).arg(&out)).exits(0);
    assert!(!out.join("results.json.unfinished").exists());
}
