//! Signals to imalab itself.

use std::process::{Child, Stdio};

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::lab::{LONG, Lab, SHORT};
use crate::machinery::{BUSY, Told, send};

/// A call in the middle of its run.
fn busy(lab: &Lab) -> (Child, Told) {
    let told = Told::new(lab);
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
    assert!(suite.runs.len() <= 1, "nothing was begun after the signal: {suite:#?}");
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
    lab.run(lab.test().args(["--dry-run", SHORT])).exits(0);
}
