use super::world::{World, passed};
use super::{all, whole_log};
use crate::ima::{Bank, parse_log};

#[test]
fn every_check_is_there_once() {
    let (plan, trace) = World::new().finish();
    let names: Vec<String> = all(&plan, &trace).into_iter().map(|result| result.check).collect();
    assert_eq!(names, ["steps", "exactly-once", "replay", "views-agree", "quote", "kernel-health"]);
}

#[test]
fn ten_thousand_records_pass_every_check() {
    let mut world = World::new();
    world.measure(5_000);
    world.stage_save_delete();
    world.checkpoint();
    world.measure(3_000);
    world.trim(1_000);
    world.measure(2_000);
    world.stage();
    let (plan, trace) = world.finish();
    let results = all(&plan, &trace);
    results.iter().for_each(passed);
    assert!(results[1].findings[0].starts_with("10001 extends = 10001 records"), "{results:#?}");
}

#[test]
fn the_whole_log_is_what_was_taken_out_and_what_is_left() {
    let mut world = World::new();
    world.measure(2);
    world.violate();
    world.stage_save_delete();
    world.measure(3);
    world.trim(1);
    world.stage();
    world.measure(1);
    let expected = world.records_of();
    let (plan, trace) = world.finish();
    let log = parse_log(&whole_log(&plan, &trace), Bank::Sha1).expect("a well-formed list");
    assert_eq!(log.len(), 8);
    assert!(log.iter().all(|record| record.is_consistent()));
    assert_eq!(log[8 - expected.len()..], expected);
}

#[test]
fn without_a_checkpoint_the_whole_log_is_empty() {
    let (plan, trace) = World::new().power_off();
    assert!(whole_log(&plan, &trace).is_empty());
}
