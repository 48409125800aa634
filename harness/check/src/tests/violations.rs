//! The counter of violations over a kexec: both behaviours are known, and a kernel is held to the one that it showed.

use rstest::rstest;

use crate::all;
use crate::world::{World, failed, passed, result};

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
#[case::afresh(0, 0, "the counter of violations begins afresh at a kexec")]
#[case::taken_over(2, 3, "the counter of violations takes in what a kexec carries")]
fn a_kernel_may_begin_afresh_or_take_over(#[case] first: u64, #[case] second: u64, #[case] told: &str) {
    let mut world = carried(first);
    world.violate();
    world.checkpoint();
    next(&mut world, second);
    let (plan, trace) = world.finish();
    all(&plan, &trace).iter().for_each(passed);
    let result = result(&plan, &trace, "replay");
    assert!(result.findings[0].contains(told), "{result:#?}");
}

/// Two violations are saved and deleted before a third is carried.
#[rstest]
#[case::afresh(0, "begins afresh at a kexec")]
#[case::carried(1, "takes in what a kexec carries")]
#[case::total(3, "goes on over a kexec")]
fn what_was_deleted_may_count_or_not(#[case] shows: u64, #[case] told: &str) {
    let mut world = World::new();
    world.violate();
    world.violate();
    world.stage_save_delete();
    world.violate();
    world.checkpoint();
    next(&mut world, shows);
    let (plan, trace) = world.finish();
    all(&plan, &trace).iter().for_each(passed);
    let result = result(&plan, &trace, "replay");
    assert!(result.findings[0].contains(told), "{result:#?}");
}

#[rstest]
#[case::neither(1, "the kernel counts 1 violations, the log holds 0 of this kernel's own")]
#[case::too_many(3, "the kernel counts 3 violations, the log holds 0 of this kernel's own")]
fn anything_else_is_found(#[case] shows: u64, #[case] finding: &str) {
    let (plan, trace) = carried(shows).finish();
    failed(&result(&plan, &trace, "replay"), &[finding]);
    failed(&result(&plan, &trace, "model"), &["violations"]);
}

#[test]
fn what_was_taken_over_is_not_forgotten() {
    let mut world = carried(2);
    world.violations = 0;
    world.checkpoint();
    let (plan, trace) = world.finish();
    failed(
        &result(&plan, &trace, "replay"),
        &["counts 0 violations, the log holds 2, 2 of them from before the kexec"],
    );
}

#[test]
fn one_kernel_does_the_same_at_each_kexec() {
    let mut world = carried(2);
    next(&mut world, 0);
    let (plan, trace) = world.finish();
    failed(
        &result(&plan, &trace, "replay"),
        &["counts 0 violations, the log holds 2, 2 of them from before the kexec"],
    );
}
