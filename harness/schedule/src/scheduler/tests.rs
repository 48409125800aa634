use proptest::prelude::*;

use super::*;
use crate::order::{Choice, Strategy};
use crate::pin::{Pin, PinEnd, Pins, Spot, Until};
use crate::range::Range;

fn order(strategy: Strategy) -> Order {
    Order {
        schema: SCHEMA,
        points: vec![Range { begin: 0, end: 1000 }],
        begin: None,
        waits: Vec::new(),
        tick: None,
        ends: Vec::new(),
        stop: None,
        from: None,
        strategy,
        gate: None,
        watch: None,
        pins: None,
        coverage: false,
        report: "/report".into(),
    }
}

fn at(step: u64) -> Point {
    Point { cpu: (step % 2) as u32, address: step % 1000, instructions: 7 * step }
}

/// Runs over a guest whose order does not depend on what is decided.
fn ran(strategy: Strategy, steps: u64) -> Report {
    let mut scheduler = Scheduler::new(&order(strategy), 2);
    for step in 0..steps {
        scheduler.point(at(step));
    }
    scheduler.end(at(steps));
    scheduler.report()
}

#[test]
fn a_guest_cannot_fill_the_memory_of_its_host() {
    let mut scheduler = Scheduler::new(&order(Strategy::Random { seed: 1, per: 1 }), 2);
    scheduler.most = 10;
    (0..13).for_each(|step| drop(scheduler.point(at(step))));
    let report = scheduler.report();
    assert_eq!((report.preemptions.len(), report.left_out, report.events), (10, 3, 13));
}

proptest! {
    #[test]
    fn the_list_of_a_seed_is_the_same_schedule(seed: u64, per in 1u64..50, steps in 0u64..500) {
        let random = ran(Strategy::Random { seed, per }, steps);
        prop_assert_eq!(&random, &ran(Strategy::Random { seed, per }, steps));
        let list = ran(Strategy::List { choices: random.choices() }, steps);
        prop_assert_eq!(list, random);
    }

    #[test]
    fn one_preemption_less_is_another_hash(seed: u64, steps in 1u64..300, less: prop::sample::Index) {
        let whole = ran(Strategy::Random { seed, per: 3 }, steps);
        prop_assume!(!whole.preemptions.is_empty());
        let mut rest: Vec<Choice> = whole.choices();
        rest.remove(less.index(rest.len()));
        prop_assert_ne!(ran(Strategy::List { choices: rest }, steps).hash, whole.hash);
    }
}

#[test]
fn coverage_is_told_where_it_is_asked_for_and_changes_no_schedule() {
    let ran = |coverage| {
        let order = Order { coverage, ..order(Strategy::Random { seed: 3, per: 5 }) };
        let mut scheduler = Scheduler::new(&order, 2);
        (0..100).for_each(|step| drop(scheduler.point(at(step))));
        scheduler.end(at(100));
        scheduler.report()
    };
    let (without, with) = (ran(false), ran(true));
    assert_eq!((without.coverage, without.hash), (None, with.hash));
    let coverage = with.coverage.unwrap();
    assert_eq!((coverage.blocks.len(), coverage.pairs.len()), (100, 99));
}

#[test]
fn each_part_of_an_entry_counts() {
    let hash = |point: Point| {
        let mut scheduler = Scheduler::new(&order(Strategy::None), 2);
        scheduler.point(point);
        scheduler.report().hash
    };
    let one = Point { cpu: 0, address: 5, instructions: 9 };
    for other in [Point { cpu: 1, ..one }, Point { address: 6, ..one }, Point { instructions: 10, ..one }] {
        assert_ne!(hash(one), hash(other));
    }
    let mut tpm = Scheduler::new(&order(Strategy::None), 2);
    tpm.tpm_command(one);
    assert_ne!(hash(one), tpm.report().hash);
}

#[test]
fn what_a_machine_went_on_from_is_part_of_its_schedule() {
    let from = |name: Option<&str>| {
        let order = Order { from: name.map(String::from), ..order(Strategy::None) };
        let report = Scheduler::new(&order, 2).report();
        assert_eq!(report.from.as_deref(), name);
        report.hash
    };
    let hashes = [from(None), from(Some("")), from(Some("aa")), from(Some("ab"))];
    assert_eq!(hashes.iter().collect::<std::collections::BTreeSet<_>>().len(), hashes.len());
}

#[test]
fn no_seed_is_like_the_next() {
    let hashes: std::collections::BTreeSet<String> =
        (0..50).map(|seed| ran(Strategy::Random { seed, per: 10 }, 200).hash).collect();
    assert_eq!(hashes.len(), 50);
}

#[test]
fn what_comes_after_the_end_does_not_count() {
    let mut scheduler = Scheduler::new(&order(Strategy::Random { seed: 1, per: 1 }), 2);
    assert_eq!(scheduler.report().end, End::Cut);
    assert_eq!(scheduler.point(at(0)).0, Some(Does::Preempt));
    assert_eq!(scheduler.end(at(1)), Some(Vec::new()));
    let told = scheduler.report();
    assert_eq!(scheduler.point(at(2)).0, None);
    scheduler.tpm_command(at(3));
    assert_eq!(scheduler.end(at(4)), None);
    assert_eq!(scheduler.report(), told);
    assert_eq!(told.end, End::Reached);
}

#[test]
fn points_count_from_the_begin_and_tpm_commands_always() {
    let begin = Order { begin: Some(4), ..order(Strategy::Random { seed: 1, per: 1 }) };
    let mut scheduler = Scheduler::new(&begin, 2);
    assert_eq!(scheduler.point(at(0)).0, None);
    scheduler.tpm_command(at(1));
    scheduler.begin();
    assert_eq!(scheduler.point(at(2)).0, Some(Does::Preempt));
    let report = scheduler.report();
    assert_eq!((report.events, report.tpm_commands, report.instructions), (1, 1, 14));
    assert_eq!(report.preemptions[0].event, 0);
}

#[test]
fn who_is_held_goes_on_when_another_waits_or_after_some_ticks() {
    let hold = |event| Choice { event, does: Does::Hold };
    let mut scheduler = Scheduler::new(&order(Strategy::List { choices: vec![hold(0), hold(1)] }), 2);
    assert_eq!(scheduler.point(at(0)).0, Some(Does::Hold));
    assert_eq!(scheduler.waits(at(1)), [0]);
    assert_eq!(scheduler.waits(at(1)), [0; 0]);
    assert_eq!(scheduler.point(at(2)).0, Some(Does::Hold));
    for _ in 0..HOLD_TICKS {
        assert_eq!(scheduler.tick(at(3)), [0; 0]);
    }
    assert_eq!(scheduler.tick(at(3)), [0]);
    assert_eq!(scheduler.report().expired, 1);
}

#[test]
fn not_all_are_held() {
    let choices = [0, 1].map(|event| Choice { event, does: Does::Hold }).to_vec();
    let mut scheduler = Scheduler::new(&order(Strategy::List { choices }), 2);
    assert_eq!(scheduler.point(at(0)), (Some(Does::Hold), vec![]));
    assert_eq!(scheduler.point(at(1)), (Some(Does::Hold), vec![0]));
    assert_eq!(scheduler.waits(at(2)), [1]);
}

#[test]
fn nobody_is_held_for_ever() {
    let choices = vec![Choice { event: 0, does: Does::Hold }];
    let mut scheduler = Scheduler::new(&order(Strategy::List { choices }), 2);
    scheduler.point(at(1));
    assert_eq!(scheduler.end(at(2)), Some(vec![1]));
}

#[test]
fn priorities_replay_as_a_list() {
    let ran = |strategy| {
        let mut scheduler = Scheduler::new(&order(strategy), 2);
        for step in 0..300 {
            if step % 7 == 0 {
                scheduler.waits(at(step));
            }
            scheduler.point(at(step));
        }
        scheduler.end(at(300));
        scheduler.report()
    };
    let pct = ran(Strategy::Pct { seed: 3, depth: 3, points: 300 });
    assert!(!pct.preemptions.is_empty());
    assert_eq!(ran(Strategy::List { choices: pct.choices() }), pct);
}

/// Task 1, which is held at 500 until task 2 has ended its first step.
fn pinned(strategy: Strategy) -> Scheduler {
    let spot = Spot { address: 500, from: Vec::new() };
    let pins = vec![Pin { task: 1, at: spot, until: Until::Ends { task: 2, step: 1 } }];
    let pins = Some(Pins { tell: 8, option: 9, stack: 64, pins });
    let mut scheduler = Scheduler::new(&Order { pins, ..order(strategy) }, 2);
    scheduler.reports(at(0), TaskReport::Is(1), 64);
    scheduler.reports(at(0), TaskReport::Arms(0), 0);
    scheduler
}

fn on(cpu: u32, address: u64) -> Point {
    Point { cpu, address, instructions: 1 }
}

#[test]
fn who_is_pinned_does_not_go_on_when_another_waits_and_is_part_of_the_hash() {
    let mut scheduler = pinned(Strategy::None);
    assert_eq!(scheduler.passes(on(0, 500), 64, None), (true, vec![]));
    assert_eq!(scheduler.waits(on(1, 1)), [0; 0]);
    assert_eq!(scheduler.tick(on(1, 1)), [0; 0]);
    let held = scheduler.report().hash;
    assert_eq!(scheduler.reports(on(1, 1), TaskReport::Ends(2, 1), 0), [0]);
    let went_on = scheduler.report();
    assert_eq!(went_on.pins[0].end, PinEnd::Ordered);
    assert_ne!(held, went_on.hash);
    assert_ne!(held, pinned(Strategy::None).report().hash);
}

#[test]
fn a_strategy_holds_nobody_when_all_others_are_pinned() {
    let choices = [0, 1, 2].map(|event| Choice { event, does: Does::Hold }).to_vec();
    let mut scheduler = pinned(Strategy::List { choices });
    // Held by both: it goes on when neither holds it.
    assert_eq!(scheduler.point(on(0, 500)).0, Some(Does::Hold));
    assert_eq!(scheduler.passes(on(0, 500), 64, None), (true, vec![]));
    assert_eq!(scheduler.waits(on(1, 1)), [0; 0]);
    assert_eq!(scheduler.point(on(1, 2)), (None, vec![]));
    assert_eq!(scheduler.reports(on(1, 2), TaskReport::Ends(2, 1), 0), [0]);
    assert_eq!(scheduler.point(on(1, 2)).0, Some(Does::Hold));
}

#[test]
fn who_is_pinned_has_no_priority() {
    for seed in 0..20 {
        let mut scheduler = pinned(Strategy::Pct { seed, depth: 1, points: 9 });
        scheduler.passes(on(0, 500), 64, None);
        assert_eq!(scheduler.point(on(1, 2)), (None, vec![]), "{seed}");
    }
}

#[test]
fn nobody_is_pinned_beyond_the_end() {
    let mut scheduler = pinned(Strategy::None);
    scheduler.passes(on(0, 500), 64, None);
    assert_eq!(scheduler.end(on(1, 2)), Some(vec![0]));
    assert_eq!(scheduler.passes(on(0, 500), 64, None), (false, vec![]));
    assert_eq!(scheduler.report().pins[0].end, PinEnd::NeverCame);
}
