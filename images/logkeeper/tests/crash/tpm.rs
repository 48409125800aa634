//! What the TPM tells, and what comes of it when it does not.

use super::sim::{Fate, Machine, Sim, bytes};
use super::{
    WAYS, after_a_day, assert_whole, day, keeper, keeper_with, killed, killed_at_each, next_keeper, rest,
};
use imalab_logkeeper::{Folder, Interface, Old, Problem, Step};
use imalab_logview::Shard;
use nix::errno::Errno;

#[test]
fn without_a_tpm_the_records_tell() {
    for way in WAYS {
        for dead in killed(way, |machine| machine.has_tpm = false) {
            let sim = dead.sim();
            sim.0.borrow_mut().begin_process();
            let keeper = next_keeper(&sim, way.1);
            assert_whole(&sim, &keeper, &(way, dead.at));
        }
    }
}

/// How many records there are on the disk, counted or archived, and in the kernel.
fn records_anywhere(sim: &Sim) -> u64 {
    let machine = sim.0.borrow();
    let mut records = 0;
    for folder in [Folder::Shards, Folder::Old] {
        for name in machine.names_in(folder).iter().filter(|name| !name.ends_with(".tmp")) {
            records += Shard::open(machine.content(folder, name).unwrap()).unwrap().count();
        }
    }
    let mut held = imalab_logview::Place::default();
    held.pass_all(&machine.held()).unwrap();
    records + held.records
}

#[test]
fn without_a_tpm_nothing_is_removed_because_of_what_it_looks_like() {
    for way in WAYS {
        for dead in killed(way, |machine| machine.has_tpm = false) {
            for booted in [false, true] {
                let (death, sim) = (dead.at, dead.sim());
                sim.0.borrow_mut().begin_process();
                if booted {
                    sim.0.borrow_mut().cold_boot(Fate::Written);
                }
                let before = records_anywhere(&sim);
                let mut keeper = keeper_with(&sim, way.1, Old::Remove);
                rest(&mut keeper);
                let context = format!("{way:?}, {death:?}, {booted}");
                assert!(records_anywhere(&sim) >= before, "{context}");
                assert_whole(&sim, &keeper, &context);
            }
        }
    }
}

/// The last shard has one record, a violation; it was deleted, and the same came again before anybody counted the shard.
#[test]
fn a_record_that_looks_like_the_last_shard_is_told_from_it() {
    for (way, has_tpm) in WAYS.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let sim = Machine::start(way.0);
        sim.0.borrow_mut().has_tpm = has_tpm;
        let mut first = keeper(&sim, way.1);
        day(&mut first);
        sim.0.borrow_mut().violate();
        sim.0.borrow_mut().remember_deaths();
        first.step(true).unwrap();
        let deaths = sim.0.borrow_mut().deaths();
        assert!(deaths.len() > 20, "{}", deaths.len());
        for dead in deaths {
            let (call, sim) = (dead.at, dead.sim());
            sim.0.borrow_mut().begin_process();
            if sim.0.borrow().held().is_empty() {
                sim.0.borrow_mut().violate();
            }
            let all = sim.0.borrow().all.len() as u64;
            let mut next = keeper(&sim, way.1);
            rest(&mut next);
            next.step(true).unwrap();
            assert!(records_anywhere(&sim) >= all, "{way:?}, {has_tpm}, {call:?}");
            if has_tpm {
                assert_whole(&sim, &next, &(way, call));
            }
        }
    }
}

#[test]
fn a_tpm_that_does_not_answer_is_not_taken_for_none() {
    for way in WAYS {
        for dead in killed_at_each(way) {
            let (death, sim) = (dead.at, dead.sim());
            sim.0.borrow_mut().begin_process();
            let shards = sim.0.borrow().names_in(Folder::Shards);
            let held = sim.0.borrow().held();
            sim.0.borrow_mut().tpm_fails = Some(Errno::ETIME);
            let mut keeper = keeper(&sim, way.1);
            let problem = keeper.step(true).unwrap_err();
            assert!(matches!(problem, Problem::Tpm { .. }) && problem.passes(), "{problem}");
            let after = sim.0.borrow().names_in(Folder::Shards);
            let finished = |names: &[String]| -> Vec<String> {
                names.iter().filter(|name| name.ends_with(".rec")).cloned().collect()
            };
            assert_eq!(finished(&after), finished(&shards), "{way:?}, {death:?}");
            assert!(sim.0.borrow().held() == held);
            sim.0.borrow_mut().tpm_fails = None;
            rest(&mut keeper);
            assert_whole(&sim, &keeper, &(way, death));
        }
    }
}

#[test]
fn a_tpm_that_is_not_there_yet_is_waited_for() {
    let (sim, _) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().kexec(Fate::Lost);
    sim.0.borrow_mut().has_tpm = false;
    let mut keeper = keeper(&sim, None);
    let problem = keeper.step(true).unwrap_err();
    assert!(matches!(problem, Problem::TpmGone(_)) && problem.passes(), "{problem}");
    sim.0.borrow_mut().has_tpm = true;
    rest(&mut keeper);
    assert_eq!(sim.0.borrow().names_in(Folder::Shards).len(), 3);
    assert_whole(&sim, &keeper, &());
}

/// The list has a record that the PCR has not got yet, however long that takes.
#[test]
fn a_record_on_its_way_to_the_tpm_misleads_nobody() {
    for way in WAYS {
        for dead in killed_at_each(way).iter().filter(|dead| dead.had_effect()) {
            for looks in [1, 3] {
                let (death, sim) = (dead.at, dead.sim());
                sim.0.borrow_mut().begin_process();
                sim.0.borrow_mut().measure();
                sim.0.borrow_mut().in_flight = true;
                let mut keeper = keeper(&sim, way.1);
                for _ in 0..looks {
                    let step = keeper.step(false);
                    assert!(matches!(step, Ok(_) | Err(Problem::Undecided)), "{step:?}");
                }
                sim.0.borrow_mut().in_flight = false;
                rest(&mut keeper);
                assert_whole(&sim, &keeper, &(way, death, looks));
            }
        }
    }
}

#[test]
fn a_look_of_its_own_says_what_a_keeper_says() {
    for way in WAYS {
        for dead in killed_at_each(way) {
            let (death, sim) = (dead.at, dead.sim());
            sim.0.borrow_mut().begin_process();
            let look = keeper(&sim, way.1).look().unwrap();
            assert!(look.pcr_matches, "{way:?}, {death:?}");
            let (log, _) = look.into_log().unwrap();
            let expected = bytes(&sim.0.borrow().all);
            assert_eq!(
                log.size(imalab_logview::Form::CANONICAL),
                expected.len() as u64,
                "{way:?}, {death:?}"
            );
            assert_eq!(next_keeper(&sim, way.1).step(false).unwrap(), Step::Nothing);
        }
    }
}
