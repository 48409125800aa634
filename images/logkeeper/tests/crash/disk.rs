//! Disks that take little, cannot be read, or do not have what they should.

use super::sim::{Dead, Fate, Machine, Sim, bytes};
use super::{WAYS, Way, after_a_day, assert_whole, day, keeper, killed_at_each, next_keeper, rest};
use imalab_formats::ima::{Generator, Mix};
use imalab_logkeeper::{Folder, GENERATION, Interface, Problem, Step, Waiting};
use imalab_logview::{Header, Place, Position, seal};
use rstest::rstest;

#[rstest]
#[case(1)]
#[case(100)]
fn a_disk_that_takes_little_at_a_time(#[case] most: usize) {
    for way in WAYS {
        let sim = Machine::start(way.0);
        sim.0.borrow_mut().write_most = most;
        let mut keeper = keeper(&sim, way.1);
        let steps = day(&mut keeper);
        assert!(steps.iter().all(Result::is_ok), "{steps:?}");
        assert_whole(&sim, &keeper, &way);
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
        assert!(!sim.0.borrow().some_have_left());
        sim.0.borrow_mut().write_most = usize::MAX;
        day(&mut keeper);
        assert_whole(&sim, &keeper, &way);
    }
}

/// A machine with three shards, of which the last is not counted: its records have left the kernel, and its keeper died then.
fn deleted_and_not_counted(way: Way) -> Sim {
    let counted = |sim: &Sim| sim.0.borrow().content(Folder::Generation, GENERATION);
    let sims = killed_at_each(way).into_iter().map(|dead: Dead| dead.sim());
    let mut sims =
        sims.filter(|sim| counted(sim).as_deref() == Some(b"2\n") && sim.0.borrow().held().is_empty());
    let sim = sims.next().unwrap();
    sim.0.borrow_mut().begin_process();
    sim
}

#[test]
fn a_shard_that_cannot_be_read_now_is_left_where_it_is() {
    for way in WAYS {
        let mut failed = 0;
        let start = deleted_and_not_counted(way);
        for reads in 0.. {
            let sim = start.again();
            let shards = sim.0.borrow().names_in(Folder::Shards);
            assert_eq!(shards.len(), 3);
            sim.0.borrow_mut().reads_until_eio = Some(reads);
            let mut keeper = keeper(&sim, way.1);
            let step = keeper.step(false);
            sim.0.borrow_mut().reads_until_eio = None;
            assert_eq!(sim.0.borrow().names_in(Folder::Shards), shards, "{way:?}, read {reads}: {step:?}");
            rest(&mut keeper);
            assert_whole(&sim, &keeper, &(way, reads));
            match step {
                Err(problem) => assert!(problem.passes(), "{way:?}, read {reads}: {problem}"),
                Ok(_) => break,
            }
            failed += 1;
        }
        assert!(failed > 10, "{failed}");
    }
}

#[test]
fn a_shard_that_is_damaged_when_its_records_have_left_is_archived_and_not_removed() {
    for way in WAYS {
        let sim = deleted_and_not_counted(way);
        let last = sim.0.borrow().names_in(Folder::Shards)[2].clone();
        let mut content = sim.0.borrow().content(Folder::Shards, &last).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        sim.0.borrow_mut().put(Folder::Shards, &last, content.clone());
        let keeper = next_keeper(&sim, way.1);
        assert!(!keeper.pcr_matches(), "records are missing, and the TPM says so");
        assert_eq!(sim.0.borrow().content(Folder::Old, &last), Some(content));
        assert_eq!(sim.0.borrow().broken, None);
    }
}

#[test]
fn a_generation_that_was_lost_is_found_again() {
    let (sim, keeper) = after_a_day(Interface::Upstream);
    sim.0.borrow_mut().delete(Folder::Generation, GENERATION);
    let next = next_keeper(&sim, None);
    assert_eq!(next.generation(), keeper.generation());
    assert_whole(&sim, &next, &());
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
fn a_first_shard_that_says_that_something_came_before_is_none() {
    let sim = Machine::start(Interface::Upstream);
    let list = |seed| bytes(&Generator::new(seed, Mix::Common).take(3).collect::<Vec<_>>());
    // PCRs were extended, and there are no records that did so.
    let mut before = Position::start();
    before.pass_all(&list(5)).unwrap();
    (before.place, before.violations) = (Place::default(), 0);
    let header = Header { number: 0, tpm_resets: Some(3), former: None, before };
    let sealed = seal(&header, &list(6)).unwrap();
    sim.0.borrow_mut().put(Folder::Shards, "00000000-000000000000.rec", sealed.bytes);
    sim.0.borrow_mut().put(Folder::Generation, GENERATION, b"1\n".to_vec());
    let problem = keeper(&sim, None).step(true).unwrap_err();
    assert!(matches!(problem, Problem::Missing(_)), "{problem}");
}

#[test]
fn the_generation_counts_what_clients_may_read_and_only_rises() {
    let sim = Machine::start(Interface::Upstream);
    let mut keeper = keeper(&sim, None);
    let mut last = 0;
    for _ in 0..5 {
        sim.0.borrow_mut().measure();
        keeper.step(true).unwrap();
        assert_whole(&sim, &keeper, &last);
        assert_eq!(keeper.generation(), last + 1);
        last = keeper.generation();
        assert_eq!(keeper.step(false).unwrap(), Step::Nothing);
        assert_eq!(keeper.generation(), last);
    }
}

#[test]
fn nothing_that_clients_may_be_reading_goes_while_they_do() {
    // A shard that is counted no more, and those of an earlier boot.
    let torn = deleted_and_not_counted(WAYS[0]);
    let last = torn.0.borrow().names_in(Folder::Shards)[2].clone();
    torn.0.borrow_mut().put(Folder::Shards, &last, Vec::new());
    let (old, _) = after_a_day(Interface::Upstream);
    old.0.borrow_mut().cold_boot(Fate::Written);
    for sim in [torn, old] {
        let shards = sim.0.borrow().names_in(Folder::Shards);
        sim.0.borrow_mut().locked_by_reader = true;
        let mut keeper = keeper(&sim, None);
        assert_eq!(keeper.step(true).unwrap(), Step::Waiting(Waiting::Readers));
        assert!(!keeper.settled());
        assert_eq!(sim.0.borrow().names_in(Folder::Shards), shards);
        sim.0.borrow_mut().locked_by_reader = false;
        rest(&mut keeper);
        assert!(keeper.settled());
        assert_ne!(sim.0.borrow().names_in(Folder::Shards), shards);
        assert_eq!(sim.0.borrow().broken, None);
    }
}
