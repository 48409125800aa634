//! Shards of earlier boots.

use super::sim::{Fate, Sim};
use super::{WAYS, after_a_day, assert_whole, day, keeper_with, killed, next_keeper, rest};
use imalab_logkeeper::{Folder, Interface, Old};

#[test]
fn they_are_put_away_and_counted_on() {
    let (sim, keeper) = after_a_day(Interface::Upstream);
    let before = keeper.generation();
    assert_eq!(before, 3);
    sim.0.borrow_mut().cold_boot(Fate::Written);
    let mut keeper = next_keeper(&sim, None);
    assert!(keeper.generation() > before, "readers are told");
    assert_eq!(sim.0.borrow().names_in(Folder::Old).len(), 3);
    assert_whole(&sim, &keeper, &());
    day(&mut keeper);
    assert_whole(&sim, &keeper, &());
}

/// The three shards of a day, by name and content.
fn shards(sim: &Sim, folder: Folder) -> Vec<(String, Vec<u8>)> {
    let machine = sim.0.borrow();
    let content = |name: String| (name.clone(), machine.content(folder, &name).unwrap());
    machine.names_in(folder).into_iter().map(content).collect()
}

#[test]
fn they_are_archived_or_removed_whole_however_often_that_is_cut_short() {
    for old in [Old::Archive, Old::Remove] {
        for fate in [Fate::Written, Fate::Lost, Fate::NamesAlone] {
            let (sim, _) = after_a_day(Interface::Upstream);
            let expected = if old == Old::Archive { shards(&sim, Folder::Shards) } else { Vec::new() };
            sim.0.borrow_mut().cold_boot(Fate::Written);
            sim.0.borrow_mut().remember_deaths();
            keeper_with(&sim, None, old).step(false).unwrap();
            let deaths = sim.0.borrow_mut().deaths();
            assert!(deaths.len() > 40, "{}", deaths.len());
            for dead in deaths {
                let sim = dead.sim();
                sim.0.borrow_mut().kexec(fate);
                let mut keeper = keeper_with(&sim, None, old);
                rest(&mut keeper);
                assert_whole(&sim, &keeper, &(old, fate, dead.at));
                assert!(shards(&sim, Folder::Old) == expected, "{old:?}, {fate:?}, {:?}", dead.at);
            }
        }
    }
}

#[test]
fn an_archived_shard_is_never_overwritten() {
    let (sim, _) = after_a_day(Interface::Upstream);
    let ours = shards(&sim, Folder::Shards);
    let name = ours[0].0.clone();
    sim.0.borrow_mut().put(Folder::Old, &name, b"another".to_vec());
    sim.0.borrow_mut().cold_boot(Fate::Written);
    let keeper = next_keeper(&sim, None);
    assert_whole(&sim, &keeper, &());
    let archived = |name: &str| sim.0.borrow().content(Folder::Old, name);
    assert_eq!(archived(&name), Some(b"another".to_vec()));
    assert_eq!(archived(&format!("{name}.1")).as_ref(), Some(&ours[0].1));
    assert_eq!(archived(&ours[1].0).as_ref(), Some(&ours[1].1));
}

#[test]
fn numbers_go_on_above_those_that_were_archived() {
    let (sim, _) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().cold_boot(Fate::Written);
    drop(next_keeper(&sim, None));
    sim.0.borrow_mut().delete(Folder::Generation, imalab_logkeeper::GENERATION);
    let keeper = next_keeper(&sim, None);
    assert_eq!(keeper.generation(), 3, "0 to 2 are archived");
    assert_whole(&sim, &keeper, &());
}

#[test]
fn a_boot_that_the_count_does_not_tell_is_told_by_the_pcrs() {
    for way in WAYS {
        for dead in killed(way, |machine| machine.measure_each = 3) {
            let sim = dead.sim();
            sim.0.borrow_mut().restart(Fate::Written);
            let mut keeper = next_keeper(&sim, way.1);
            assert_whole(&sim, &keeper, &(way, dead.at));
            day(&mut keeper);
            assert_whole(&sim, &keeper, &(way, dead.at));
        }
    }
}

#[test]
fn a_count_that_begins_anew_is_no_boot() {
    for way in WAYS {
        for dead in killed(way, |machine| machine.measure_each = 3) {
            let (death, sim) = (dead.at, dead.sim());
            sim.0.borrow_mut().begin_process();
            sim.0.borrow_mut().clear_tpm();
            let left = sim.0.borrow().some_have_left();
            let mut keeper = next_keeper(&sim, way.1);
            // What is in a first shard and in the kernel as well may be archived: the log is the same.
            if left {
                assert_eq!(sim.0.borrow().names_in(Folder::Old), Vec::<String>::new(), "{way:?}, {death:?}");
            }
            assert_whole(&sim, &keeper, &(way, death));
            day(&mut keeper);
            assert_whole(&sim, &keeper, &(way, death));
        }
    }
}

#[test]
fn a_count_that_begins_anew_and_a_kexec_are_no_boot() {
    let (sim, _) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().clear_tpm();
    // All is in shards: the next kernel's list begins with its own boot_aggregate.
    sim.0.borrow_mut().kexec(Fate::Lost);
    let keeper = next_keeper(&sim, None);
    assert_eq!(sim.0.borrow().names_in(Folder::Shards).len(), 3);
    assert_whole(&sim, &keeper, &());
}
