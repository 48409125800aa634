//! Others at work on the same lists.

use super::sim::Fate;
use super::{after_a_day, assert_whole, next_keeper, rest};
use imalab_logkeeper::{Interface, Problem, Step, Waiting};

#[test]
fn what_somebody_else_staged_is_kept() {
    let (sim, mut keeper) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().measure();
    sim.0.borrow_mut().meddle("binary_runtime_measurements_sha1_staged", b"A\n");
    sim.0.borrow_mut().measure();
    assert_eq!(keeper.step(true).unwrap(), Step::Kept { records: 1 });
    assert!(keeper.behind(), "another came meanwhile");
    assert_whole(&sim, &keeper, &());
    assert_eq!(keeper.step(true).unwrap(), Step::Kept { records: 1 });
    assert!(!keeper.behind());
    assert_whole(&sim, &keeper, &());
}

#[test]
fn somebody_who_deletes_what_was_not_saved_is_told() {
    // Between the shard and the delete the staged list becomes another one.
    let (sim, mut keeper) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().measure();
    sim.0.borrow_mut().locked_by_reader = true;
    // The stage itself needs the lock.
    assert_eq!(keeper.step(true).unwrap(), Step::Waiting(Waiting::Readers));
    sim.0.borrow_mut().meddle("binary_runtime_measurements_sha1_staged", b"A\n");
    assert_eq!(keeper.step(true).unwrap(), Step::Waiting(Waiting::Readers));
    {
        let mut machine = sim.0.borrow_mut();
        machine.locked_by_reader = false;
        machine.meddle("binary_runtime_measurements_sha1_staged", b"D\n");
        machine.measure();
        machine.meddle("binary_runtime_measurements_sha1_staged", b"A\n");
    }
    let problem = keeper.step(true).unwrap_err();
    assert!(matches!(problem, Problem::Foreign), "{problem}");
    // The saved ones had left the kernel, and the others have not.
    rest(&mut keeper);
    assert_whole(&sim, &keeper, &());
}

#[test]
fn a_kernel_that_takes_no_requests_any_more_keeps_its_records() {
    let (sim, mut keeper) = after_a_day(Interface::Upstream);
    {
        let mut machine = sim.0.borrow_mut();
        machine.measure();
        machine.meddle("binary_runtime_measurements_sha1_staged", b"A\n");
        machine.suspended = true;
    }
    assert_eq!(keeper.step(true).unwrap(), Step::Waiting(Waiting::Suspended));
    sim.0.borrow_mut().kexec(Fate::Written);
    let mut next = next_keeper(&sim, None);
    assert_whole(&sim, &next, &());
    assert_eq!(next.step(true).unwrap(), Step::Kept { records: 2 });
    assert_whole(&sim, &next, &());
}
