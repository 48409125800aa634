//! The counter of violations over a kexec: both behaviours are known, and a kernel is held to the one that it showed.

use rstest::rstest;
use serde_json::json;

use crate::all;
use crate::outcome::Check;
use crate::world::{World, failed, has, passed, result};
use imalab_language::finding::{CounterAtKexec, Fact};

/// A world with two violations in its list that goes on in another kernel, whose counter then shows `shows`.
fn carried(shows: u64) -> World {
    let mut world = World::new();
    world.violate();
    world.violate();
    world.checkpoint();
    next(&mut world, shows);
    world
}

fn next(world: &mut World, shows: u64) {
    world.load();
    world.execute();
    world.violations = shows;
    world.checkpoint();
}

#[rstest]
#[case::afresh(0, 0, CounterAtKexec::BeginsAfresh)]
#[case::taken_over(2, 3, CounterAtKexec::CountsCarried)]
fn a_kernel_may_begin_afresh_or_take_over(
    #[case] first: u64,
    #[case] second: u64,
    #[case] counter: CounterAtKexec,
) {
    let mut world = carried(first);
    world.violate();
    world.checkpoint();
    next(&mut world, second);
    let (plan, trace) = world.finish();
    all(&plan, &trace).iter().for_each(passed);
    let result = result(&plan, &trace, Check::Replay);
    assert!(result.facts.contains(&Fact::ViolationsAtKexec { counter }), "{result:#?}");
}

/// Two violations are saved and deleted before a third is carried.
#[rstest]
#[case::afresh(0, CounterAtKexec::BeginsAfresh)]
#[case::carried(1, CounterAtKexec::CountsCarried)]
#[case::total(3, CounterAtKexec::GoesOn)]
fn what_was_deleted_may_count_or_not(#[case] shows: u64, #[case] counter: CounterAtKexec) {
    let mut world = World::new();
    world.violate();
    world.violate();
    world.stage_save_delete();
    world.violate();
    world.checkpoint();
    next(&mut world, shows);
    let (plan, trace) = world.finish();
    all(&plan, &trace).iter().for_each(passed);
    let result = result(&plan, &trace, Check::Replay);
    assert!(result.facts.contains(&Fact::ViolationsAtKexec { counter }), "{result:#?}");
}

#[rstest]
#[case::neither(1)]
#[case::too_many(3)]
fn anything_else_is_found(#[case] shows: u64) {
    let (plan, trace) = carried(shows).finish();
    let finding =
        json!({"code": "replay/violations", "boot": 1, "expected": 0, "found": shows, "from_before": 0});
    failed(&result(&plan, &trace, Check::Replay), &finding);
    let model = result(&plan, &trace, Check::Model);
    assert!(has(&model, &json!({"promise": {"rule": "violations-counted"}})), "{model:#?}");
}

#[test]
fn what_was_taken_over_is_not_forgotten() {
    let mut world = carried(2);
    world.violations = 0;
    world.checkpoint();
    let (plan, trace) = world.finish();
    failed(
        &result(&plan, &trace, Check::Replay),
        &json!({"code": "replay/violations", "expected": 2, "found": 0, "from_before": 2}),
    );
}

#[test]
fn one_kernel_does_the_same_at_each_kexec() {
    let mut world = carried(2);
    next(&mut world, 0);
    let (plan, trace) = world.finish();
    failed(
        &result(&plan, &trace, Check::Replay),
        &json!({"code": "replay/violations", "expected": 2, "found": 0, "from_before": 2}),
    );
}
