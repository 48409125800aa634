//! Each of these has the keeper die, or let down, at each of the system calls of a day.

use super::sim::{Death, Fate, Fault, Machine};
use super::{WAYS, assert_whole, calls, day, judge, keeper, killed, killed_at_each, next_keeper, rest};
use nix::errno::Errno;

#[test]
fn killed_at_each_call() {
    let mut judged = 0;
    for (way, measure_each) in WAYS.into_iter().flat_map(|way| [(way, 0), (way, 3)]) {
        for dead in killed(way, |machine| machine.measure_each = measure_each) {
            let sim = dead.sim();
            sim.0.borrow_mut().begin_process();
            let mut keeper = next_keeper(&sim, way.1);
            assert_whole(&sim, &keeper, &(way, dead.at, measure_each));
            day(&mut keeper);
            assert_whole(&sim, &keeper, &(way, dead.at, measure_each));
            judged += 1;
        }
    }
    assert!(judged > 1_500, "{judged} states");
}

#[test]
fn killed_again_while_it_recovers() {
    let mut judged = 0;
    for way in [WAYS[0], WAYS[1]] {
        for first in killed_at_each(way).iter().filter(|dead| dead.had_effect()) {
            let sim = first.sim();
            sim.0.borrow_mut().begin_process();
            sim.0.borrow_mut().remember_deaths();
            let _ = keeper(&sim, way.1).step(true);
            let seconds = sim.0.borrow_mut().deaths();
            let dead = seconds.iter().filter(|dead| dead.had_effect()).map(|dead| (dead.at, dead.sim()));
            for (second, sim) in dead.chain([(Death::After(u64::MAX), sim)]) {
                sim.0.borrow_mut().begin_process();
                let keeper = next_keeper(&sim, way.1);
                assert_whole(&sim, &keeper, &(way, first.at, second));
                judged += 1;
            }
        }
    }
    assert!(judged > 6_000, "{judged} states");
}

#[test]
fn kexec_without_sync_at_each_call() {
    boots_at_each_call(Machine::kexec);
}

#[test]
fn power_cut_at_each_call() {
    boots_at_each_call(Machine::cold_boot);
}

/// Whatever has become of what was not synced when the next kernel comes.
fn boots_at_each_call(boot: fn(&mut Machine, Fate)) {
    let mut judged = 0;
    for way in WAYS {
        for dead in killed(way, |machine| machine.measure_each = 3) {
            for fate in [Fate::Written, Fate::Lost, Fate::NamesAlone] {
                let sim = dead.sim();
                boot(&mut sim.0.borrow_mut(), fate);
                let mut keeper = next_keeper(&sim, way.1);
                assert_whole(&sim, &keeper, &(way, dead.at, fate));
                day(&mut keeper);
                assert_whole(&sim, &keeper, &(way, dead.at, fate));
                judged += 1;
            }
        }
    }
    assert!(judged > 2_500, "{judged} states");
}

#[test]
fn each_call_fails_once_with_each_error() {
    // The last one is an error that no interface promises.
    let errnos = [
        Errno::ENOSPC,
        Errno::EIO,
        Errno::EBUSY,
        Errno::ENOMEM,
        Errno::EACCES,
        Errno::ESTALE,
        Errno::ENOENT,
        Errno::EINVAL,
        Errno::EHWPOISON,
    ];
    let mut judged = 0;
    for way in WAYS {
        for call in 1..=calls(way) {
            for errno in errnos {
                for and_does_it in [false, true] {
                    let sim = Machine::start(way.0);
                    let fault = Fault { call, errno, and_does_it };
                    sim.0.borrow_mut().fault = Some(fault);
                    let mut keeper = keeper(&sim, way.1);
                    day(&mut keeper);
                    rest(&mut keeper);
                    assert_whole(&sim, &keeper, &(way, fault));
                    judged += 1;
                }
            }
        }
    }
    assert!(judged > 5_000, "{judged} states");
}

#[test]
fn a_call_that_fails_and_then_the_end() {
    let mut judged = 0;
    for way in WAYS {
        for call in 1..=calls(way) {
            for errno in [Errno::EIO, Errno::ENOSPC, Errno::ENOMEM] {
                let dead = Machine::start(way.0);
                {
                    let mut machine = dead.0.borrow_mut();
                    machine.fault = Some(Fault { call, errno, and_does_it: false });
                    machine.death = Some(Death::After(call + 3));
                }
                day(&mut keeper(&dead, way.1));
                for fate in [Fate::Lost, Fate::NamesAlone] {
                    let sim = dead.again();
                    sim.0.borrow_mut().kexec(fate);
                    let keeper = next_keeper(&sim, way.1);
                    assert_whole(&sim, &keeper, &(way, call, errno, fate));
                    judged += 1;
                }
            }
        }
    }
    assert!(judged > 1_000, "{judged} states");
}

/// The successor goes on with what a dead keeper has named: that must be on the disk before records leave the kernel for it.
#[test]
fn killed_and_then_kexec_without_sync() {
    let mut judged = 0;
    for way in WAYS {
        for dead in killed_at_each(way).iter().filter(|dead| dead.had_effect()) {
            let sim = dead.sim();
            sim.0.borrow_mut().begin_process();
            drop(next_keeper(&sim, way.1));
            sim.0.borrow_mut().kexec(Fate::Lost);
            let keeper = next_keeper(&sim, way.1);
            assert_whole(&sim, &keeper, &(way, dead.at));
            judged += 1;
        }
    }
    assert!(judged > 300, "{judged} states");
}

/// The judge itself: on a disk that syncs nothing and says that it did, each kexec behind the first delete loses records.
#[test]
fn a_disk_that_lies_is_found_out() {
    for way in WAYS {
        let (mut whole, mut lost) = (0, 0);
        for dead in killed(way, |machine| machine.sync_lies = true) {
            let sim = dead.sim();
            let left = sim.0.borrow().some_have_left();
            sim.0.borrow_mut().kexec(Fate::Lost);
            let keeper = next_keeper(&sim, way.1);
            let judged = judge(&sim, &keeper);
            assert_eq!(judged.is_err(), left, "{way:?}, {:?}: {judged:?}", dead.at);
            *(if left { &mut lost } else { &mut whole }) += 1;
        }
        assert!(whole > 10 && lost > 10, "{way:?}: {whole} whole, {lost} lost");
    }
}
