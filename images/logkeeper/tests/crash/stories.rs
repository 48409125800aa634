//! Each of these runs a day of the keeper once for each of its system calls.

use super::sim::{Death, Fate, Fault, Machine, Sim};
use super::{assert_whole, client, day, keeper, rest};
use imalab_logkeeper::{Flavour, Folder, GENERATION, Interface, Keeper, Problem, Step, Waiting};
use nix::errno::Errno;
use rstest::rstest;

const WAYS: [(Interface, Option<Flavour>); 4] = [
    (Interface::Upstream, None),
    (Interface::Upstream, Some(Flavour::Trim)),
    (Interface::BankLast, None),
    (Interface::Trim, None),
];

/// How many calls a day has.
fn calls(way: (Interface, Option<Flavour>)) -> u64 {
    let sim = Machine::start(way.0);
    let mut keeper = keeper(&sim, way.1);
    let steps = day(&mut keeper);
    assert!(steps.iter().all(|step| matches!(step, Ok(Step::Kept { .. }))), "{steps:?}");
    assert_whole(&sim, &way);
    let calls = sim.0.borrow().calls;
    assert!(calls > 30, "{calls}");
    calls
}

/// A machine whose keeper dies in the middle of its day.
fn killed(way: (Interface, Option<Flavour>), death: Death, measure_each: u64) -> Sim {
    let sim = Machine::start(way.0);
    let mut keeper = keeper(&sim, way.1);
    {
        let mut machine = sim.0.borrow_mut();
        (machine.death, machine.measure_each) = (Some(death), measure_each);
    }
    let _ = day(&mut keeper);
    sim
}

fn deaths(calls: u64) -> impl Iterator<Item = Death> {
    (1..=calls).flat_map(|call| [Death::Before(call), Death::After(call)])
}

#[test]
fn killed_at_each_call() {
    let mut judged = 0;
    for way in WAYS {
        for death in deaths(calls(way)) {
            for measure_each in [0, 3] {
                let sim = killed(way, death, measure_each);
                sim.0.borrow_mut().begin_process();
                let mut keeper = keeper(&sim, way.1);
                rest(&mut keeper);
                assert_whole(&sim, &(way, death, measure_each));
                day(&mut keeper);
                assert_whole(&sim, &(way, death, measure_each));
                judged += 1;
            }
        }
    }
    println!("killed at each call: {judged} states");
}

#[test]
fn killed_again_while_it_recovers() {
    let mut judged = 0;
    for way in [WAYS[0], WAYS[1]] {
        for first in (1..=calls(way)).map(Death::After) {
            // How long a recovery is, the first that lives to its end tells.
            for second in 1.. {
                let sim = killed(way, first, 0);
                sim.0.borrow_mut().begin_process();
                sim.0.borrow_mut().death = Some(Death::After(second));
                let _ = keeper(&sim, way.1).step(true);
                let lived = !sim.0.borrow().dead;
                sim.0.borrow_mut().begin_process();
                rest(&mut keeper(&sim, way.1));
                assert_whole(&sim, &(way, first, second));
                judged += 1;
                if lived {
                    break;
                }
            }
        }
    }
    println!("killed again: {judged} states");
}

#[test]
fn kexec_without_sync_at_each_call() {
    let mut judged = 0;
    for way in WAYS {
        for death in deaths(calls(way)) {
            for fate in [Fate::Written, Fate::Lost, Fate::NamesAlone] {
                let sim = killed(way, death, 3);
                sim.0.borrow_mut().kexec(fate);
                let mut keeper = keeper(&sim, way.1);
                rest(&mut keeper);
                assert_whole(&sim, &(way, death, fate));
                day(&mut keeper);
                assert_whole(&sim, &(way, death, fate));
                judged += 1;
            }
        }
    }
    println!("kexec: {judged} states");
}

#[test]
fn power_cut_at_each_call() {
    let mut judged = 0;
    for way in WAYS {
        for death in deaths(calls(way)) {
            for fate in [Fate::Written, Fate::Lost, Fate::NamesAlone] {
                let sim = killed(way, death, 3);
                sim.0.borrow_mut().cold_boot(fate);
                let mut keeper = keeper(&sim, way.1);
                rest(&mut keeper);
                assert_whole(&sim, &(way, death, fate));
                day(&mut keeper);
                assert_whole(&sim, &(way, death, fate));
                judged += 1;
            }
        }
    }
    println!("power cut: {judged} states");
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
                    assert_whole(&sim, &(way, fault));
                    judged += 1;
                }
            }
        }
    }
    println!("faults: {judged} states");
}

#[test]
fn a_call_that_fails_and_then_the_end() {
    for way in WAYS {
        for call in 1..=calls(way) {
            for errno in [Errno::EIO, Errno::ENOSPC, Errno::ENOMEM] {
                for fate in [Fate::Lost, Fate::NamesAlone] {
                    let sim = Machine::start(way.0);
                    {
                        let mut machine = sim.0.borrow_mut();
                        machine.fault = Some(Fault { call, errno, and_does_it: false });
                        machine.death = Some(Death::After(call + 3));
                    }
                    let _ = day(&mut keeper(&sim, way.1));
                    sim.0.borrow_mut().kexec(fate);
                    rest(&mut keeper(&sim, way.1));
                    assert_whole(&sim, &(way, call, errno, fate));
                }
            }
        }
    }
}

#[rstest]
#[case(1)]
#[case(100)]
fn a_disk_that_takes_little_at_a_time(#[case] most: usize) {
    for way in WAYS {
        let sim = Machine::start(way.0);
        sim.0.borrow_mut().write_most = most;
        let steps = day(&mut keeper(&sim, way.1));
        assert!(steps.iter().all(Result::is_ok), "{steps:?}");
        assert_whole(&sim, &way);
    }
}

#[test]
fn a_disk_that_takes_nothing_keeps_the_records_in_the_kernel() {
    for way in WAYS {
        let sim = Machine::start(way.0);
        sim.0.borrow_mut().write_most = 0;
        let mut keeper = keeper(&sim, way.1);
        let steps = day(&mut keeper);
        assert!(steps.iter().all(Result::is_err), "{steps:?}");
        {
            let machine = sim.0.borrow();
            assert_eq!(machine.staged_count() + machine.current_count(), machine.all.len());
        }
        sim.0.borrow_mut().write_most = usize::MAX;
        day(&mut keeper);
        assert_whole(&sim, &way);
    }
}

/// The story of `Upstream`, up to a point.
fn after_a_day(interface: Interface) -> (Sim, Keeper<Sim>) {
    let sim = Machine::start(interface);
    let mut keeper = keeper(&sim, None);
    day(&mut keeper);
    (sim, keeper)
}

#[test]
fn what_somebody_else_staged_is_kept() {
    let (sim, mut keeper) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().measure();
    sim.0.borrow_mut().meddle("binary_runtime_measurements_sha1_staged", b"A\n");
    assert_eq!(keeper.step(true).unwrap(), Step::Kept { records: 1 });
    assert_whole(&sim, &());
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
    assert_whole(&sim, &());
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
    let mut next = super::keeper(&sim, None);
    rest(&mut next);
    assert_whole(&sim, &());
    assert_eq!(next.step(true).unwrap(), Step::Kept { records: 2 });
    assert_whole(&sim, &());
}

#[test]
fn shards_of_an_earlier_boot_are_put_away_and_counted_on() {
    let (sim, keeper) = after_a_day(Interface::Upstream);
    let before = keeper.generation();
    assert_eq!(before, 3);
    sim.0.borrow_mut().cold_boot(Fate::Written);
    let mut keeper = super::keeper(&sim, None);
    rest(&mut keeper);
    assert!(keeper.generation() > before, "readers are told");
    assert!(keeper.told_by_the_tpm());
    assert_eq!(sim.0.borrow().names_in(Folder::Old).len(), 3);
    assert_whole(&sim, &());
    day(&mut keeper);
    assert_whole(&sim, &());
}

#[test]
fn without_a_tpm_the_records_tell() {
    for way in WAYS {
        for death in deaths(calls(way)) {
            let sim = Machine::start(way.0);
            sim.0.borrow_mut().has_tpm = false;
            sim.0.borrow_mut().death = Some(death);
            let _ = day(&mut keeper(&sim, way.1));
            sim.0.borrow_mut().begin_process();
            rest(&mut keeper(&sim, way.1));
            assert_whole(&sim, &(way, death));
        }
    }
}

#[test]
fn a_generation_that_was_lost_is_found_again() {
    let (sim, keeper) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().delete(Folder::Generation, GENERATION);
    let mut next = super::keeper(&sim, None);
    rest(&mut next);
    assert_eq!(next.generation(), keeper.generation());
    assert_whole(&sim, &());
}

#[test]
fn a_shard_that_is_missing_or_damaged_stops_the_keeper() {
    let names = |sim: &Sim| sim.0.borrow().names_in(Folder::Shards);
    for index in 0..3 {
        let (sim, _) = after_a_day(Interface::Upstream);
        let name = names(&sim)[index].clone();
        sim.0.borrow_mut().delete(Folder::Shards, &name);
        let problem = keeper(&sim, None).step(true).unwrap_err();
        assert!(matches!(problem, Problem::Missing(_)) && !problem.passes(), "{index}: {problem}");
    }
    let (sim, _) = after_a_day(Interface::Upstream);
    let last = names(&sim)[2].clone();
    let mut content = sim.0.borrow().content(Folder::Shards, &last).unwrap();
    content.truncate(content.len() - 1);
    sim.0.borrow_mut().put(Folder::Shards, &last, content);
    let problem = keeper(&sim, None).step(true).unwrap_err();
    assert!(matches!(problem, Problem::Damage { .. }), "{problem}");
    assert_eq!(names(&sim).len(), 3, "nothing is removed");
}

#[test]
fn the_generation_counts_what_clients_may_read_and_only_rises() {
    let sim = Machine::start(Interface::Upstream);
    let mut keeper = keeper(&sim, None);
    let mut last = 0;
    for _ in 0..5 {
        sim.0.borrow_mut().measure();
        keeper.step(true).unwrap();
        let _ = client(&sim);
        assert_eq!(keeper.generation(), last + 1);
        last = keeper.generation();
        assert_eq!(keeper.step(false).unwrap(), Step::Nothing);
        assert_eq!(keeper.generation(), last);
    }
}
