//! A reader that follows the log while the keeper works, dies and comes again: at every moment at which it may look, what it has is all
//! records so far, once each and in order; and what it had before is still that.

use imalab_logkeeper::{Interface, Problem, Whole};
use imalab_logview::Form;

use super::sim::{Fate, Machine, Sim, Stored, bytes};
use super::{WAYS, Way, day, keeper, killed, next_keeper, rest};

/// Looks as often as a record on its way to the TPM may take.
fn look(whole: &mut Whole<Stored>, sim: &Sim, way: Way) -> Result<(), Problem> {
    let mut keeper = keeper(sim, way.1);
    for _ in 0..20 {
        match whole.look(&mut keeper) {
            Err(Problem::Undecided) => {}
            looked => return looked,
        }
    }
    Err(Problem::Undecided)
}

fn read(whole: &Whole<Stored>, form: Form) -> Vec<u8> {
    let mut read = vec![0; usize::try_from(whole.size(form)).unwrap() + 1];
    let mut done = 0;
    while let count @ 1.. = whole.read_at(form, done as u64, &mut read[done..]).unwrap() {
        done += count;
    }
    read.truncate(done);
    read
}

fn assert_all(whole: &mut Whole<Stored>, sim: &Sim, way: Way, context: &dyn std::fmt::Debug) {
    if let Err(problem) = look(whole, sim, way) {
        panic!("{way:?}, {context:?}: {problem}");
    }
    let all = bytes(&sim.0.borrow().all);
    assert!(
        read(whole, Form::CANONICAL) == all,
        "{way:?}, {context:?}: not all records, once each and in order"
    );
}

/// A day of the keeper's during which records come.
fn moments(way: Way) -> Vec<super::sim::Dead> {
    killed(way, |machine| machine.measure_each = 3)
}

#[test]
fn while_the_keeper_works() {
    let mut looks = 0;
    for way in WAYS {
        let moments = moments(way);
        // A reader that looks seldom misses shards and records that it never saw in the kernel.
        for (each, first) in [(1, 0), (2, 1), (5, 0), (17, 3), (60, 9)] {
            let mut whole = Whole::default();
            for moment in moments.iter().skip(first).step_by(each) {
                if let Some(sim) = moment.for_reader() {
                    assert_all(&mut whole, &sim, way, &(moment.at, each));
                    looks += 1;
                }
            }
        }
    }
    assert!(looks > 400, "{looks} looks");
}

#[test]
fn killed_at_each_call_and_its_successor() {
    let mut judged = 0;
    for way in WAYS {
        let moments = moments(way);
        for (index, dead) in moments.iter().enumerate() {
            // It has looked some time ago, or never.
            for before in [None, Some(1), Some(20)] {
                let mut whole = Whole::default();
                let earlier = before.and_then(|before| index.checked_sub(before));
                if let Some(sim) = earlier.and_then(|earlier| moments[earlier].for_reader()) {
                    assert_all(&mut whole, &sim, way, &(dead.at, before));
                }
                // The lock of a dead process is nobody's.
                let sim = dead.sim();
                sim.0.borrow_mut().begin_process();
                assert_all(&mut whole, &sim, way, &(dead.at, before, "dead"));
                let mut successor = next_keeper(&sim, way.1);
                assert_all(&mut whole, &sim, way, &(dead.at, before, "recovered"));
                successor.step(true).unwrap();
                rest(&mut successor);
                sim.0.borrow_mut().measure();
                assert_all(&mut whole, &sim, way, &(dead.at, before, "at work"));
                judged += 1;
            }
        }
    }
    assert!(judged > 3_000, "{judged} states");
}

/// All that was in the kernel was in a shard when the reader looked, so it has nothing to compare what comes with.
#[test]
fn killed_at_each_call_after_the_kernel_had_nothing() {
    let mut judged = 0;
    for way in WAYS {
        let sim = Machine::start(way.0);
        let mut keeper = keeper(&sim, way.1);
        keeper.step(true).unwrap();
        let empty = sim.again();
        assert!(empty.0.borrow().held().is_empty());
        sim.0.borrow_mut().remember_deaths();
        for _ in 0..4 {
            sim.0.borrow_mut().measure();
        }
        keeper.step(true).unwrap();
        for dead in sim.0.borrow_mut().deaths() {
            let mut whole = Whole::default();
            assert_all(&mut whole, &empty, way, &"empty");
            let sim = dead.sim();
            sim.0.borrow_mut().begin_process();
            // More may have come before anybody looks.
            for more in 0..2 {
                assert_all(&mut whole, &sim, way, &(dead.at, more));
                sim.0.borrow_mut().measure();
            }
            judged += 1;
        }
    }
    assert!(judged > 100, "{judged} states");
}

#[test]
fn a_keeper_that_recovers_is_followed_call_by_call() {
    let mut judged = 0;
    for way in [WAYS[0], WAYS[1]] {
        for dead in moments(way).iter().filter(|dead| dead.had_effect()).step_by(7) {
            let sim = dead.sim();
            sim.0.borrow_mut().begin_process();
            let mut whole = Whole::default();
            assert_all(&mut whole, &sim, way, &dead.at);
            sim.0.borrow_mut().remember_deaths();
            let _ = keeper(&sim, way.1).step(true);
            let moments = sim.0.borrow_mut().deaths();
            for moment in moments {
                if let Some(sim) = moment.for_reader() {
                    assert_all(&mut whole, &sim, way, &(dead.at, moment.at));
                    judged += 1;
                }
            }
        }
    }
    assert!(judged > 1_000, "{judged} states");
}

#[test]
fn a_log_that_was_taken_away_is_told_and_what_was_read_stays() {
    let sim = Machine::start(Interface::Upstream);
    let mut keeper = keeper(&sim, None);
    day(&mut keeper);
    let mut whole = Whole::default();
    assert_all(&mut whole, &sim, WAYS[0], &());
    let before = read(&whole, Form::CANONICAL);
    // Nobody saved them.
    for _ in 0..2 {
        sim.0.borrow_mut().measure();
        look(&mut whole, &sim, WAYS[0]).unwrap();
    }
    let known = read(&whole, Form::CANONICAL);
    assert!(known.len() > before.len());
    sim.0.borrow_mut().meddle("binary_runtime_measurements_sha1", b"1\n");
    let problem = look(&mut whole, &sim, WAYS[0]).unwrap_err();
    assert!(matches!(problem, Problem::Broken(_)), "{problem}");
    assert!(read(&whole, Form::CANONICAL) == known);
    // A log of another boot is not one that this goes on as.
    sim.0.borrow_mut().cold_boot(Fate::Written);
    assert!(look(&mut whole, &sim, WAYS[0]).is_err());
    assert!(read(&whole, Form::CANONICAL) == known);
}
