use std::path::Path;
use std::time::{Duration, Instant};

use imalab_machine::accel::{Accel, PATIENCE, Probe, choose, probe};
use imalab_machine::command::QEMU;

/// The control: where this fails, a failure with KVM says nothing about KVM.
#[test]
fn the_probes_guest_runs_under_tcg() {
    assert_eq!(probe(Path::new(QEMU), Accel::Tcg, Duration::from_secs(60)), Probe::Runs);
}

#[test]
fn no_guest_runs_without_qemu() {
    let Probe::Fails(reason) = probe(Path::new("no-such-qemu"), Accel::Tcg, PATIENCE) else {
        panic!("it cannot run");
    };
    assert!(reason.contains("`no-such-qemu` was not found"), "{reason}");
}

#[test]
fn a_qemu_that_hangs_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let qemu = crate::faults::fake_qemu(dir.path(), "exec sleep 1000");
    let Probe::Fails(reason) = probe(&qemu, Accel::Kvm, Duration::from_millis(200)) else {
        panic!("it cannot run");
    };
    assert_eq!(reason, "its guest did not get through 1 MiB of memory within 0.2 s");
}

#[test]
fn a_qemu_that_refuses_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let qemu = crate::faults::fake_qemu(dir.path(), "echo 'failed to initialize kvm' >&2; exit 1");
    let Probe::Fails(reason) = probe(&qemu, Accel::Kvm, PATIENCE) else { panic!("it cannot run") };
    assert_eq!(reason, "QEMU ended (exit code 1): failed to initialize kvm");
}

#[test]
fn the_choice_comes_in_time_with_a_reason_and_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let qemu = Path::new(QEMU);
    let begin = Instant::now();
    let first = choose(None, qemu, cache.path());
    assert!(begin.elapsed() < PATIENCE + Duration::from_secs(10), "a loaded host may take some time");
    assert!(!first.reason.is_empty());
    assert_eq!(choose(None, qemu, cache.path()), first);
}

#[test]
fn what_is_asked_for_is_taken_unprobed() {
    let choice = choose(Some(Accel::Kvm), Path::new("no-such-qemu"), Path::new("/proc"));
    assert_eq!((choice.accel, choice.reason.as_str()), (Accel::Kvm, "asked for"));
}
