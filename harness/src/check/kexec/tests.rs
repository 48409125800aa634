use imalab_wire::Outcome;
use rstest::rstest;

use crate::check::all;
use crate::check::world::{World, failed, passed, record, result, write};
use crate::ima::Record;
use crate::outcome::Verdict;
use crate::plan::{Action, Expect};

const EACCES: i32 = 13;
const ESTALE: i32 = 116;

/// A world that has staged 3 of 5 files, and a kernel loaded.
fn loaded() -> World {
    let mut world = World::new();
    world.measure(3);
    world.stage();
    world.save();
    world.measure(2);
    world.checkpoint();
    world.load();
    world
}

/// The same after its kexec.
fn carried_with(carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>) -> World {
    let mut world = loaded();
    world.execute_with(carry);
    world.checkpoint();
    world
}

fn in_order(staged: Vec<Record>, current: Vec<Record>) -> Vec<Record> {
    [staged, current].concat()
}

/// Asserts that every check passes.
#[track_caller]
fn sound(world: World) -> String {
    let (plan, trace) = world.finish();
    let results = all(&plan, &trace);
    assert!(results.iter().all(|result| result.verdict == Verdict::Passed), "{results:#?}");
    result(&plan, &trace, "kexec").findings.concat()
}

#[test]
fn a_run_without_kexec_passes_and_says_so() {
    let result = World::new().verdict("kexec");
    passed(&result);
    assert_eq!(result.findings, ["no kexec"]);
}

#[test]
fn every_check_stands_on_one_log_over_kernels() {
    let mut world = carried_with(in_order);
    world.measure(2);
    world.stage_save_delete();
    world.measure(1);
    world.load();
    world.execute();
    let facts = sound(world);
    // 4 staged, 2 and what a load and an execution record; then 1, and again those two.
    assert!(facts.contains("carried 8, 3 records"), "{facts}");
    assert!(facts.contains("segments with 2 KiB to spare"), "{facts}");
    assert!(facts.contains("12 numbers of 4 records true"), "{facts}");
    assert!(facts.contains("2 kexecs in 0.0 s, 0.0 s"), "{facts}");
}

#[test]
fn records_saved_before_a_kexec_count_once() {
    let (plan, trace) = carried_with(in_order).finish();
    let result = result(&plan, &trace, "exactly-once");
    passed(&result);
    assert!(result.findings[0].contains("4 records saved before a kexec came again"), "{result:?}");
}

#[test]
fn a_trim_while_records_were_staged_leaves_a_hole_in_what_is_carried() {
    let mut world = loaded();
    world.trim(1);
    world.execute();
    world.measure(1);
    world.checkpoint();
    world.trim(6);
    world.load();
    world.execute();
    sound(world);
}

#[test]
fn kernels_that_nobody_reads_in_between_are_proved_by_the_last() {
    let mut world = loaded();
    for _ in 0..10 {
        world.execute();
        world.measure(1);
        world.load();
    }
    let facts = sound(world);
    assert!(facts.contains("10 kexecs"), "{facts}");
}

#[test]
fn violations_are_carried_and_not_counted_again() {
    let mut world = loaded();
    world.violate();
    world.execute();
    world.violate();
    sound(world);
}

#[rstest]
#[case::current_first(|staged: Vec<Record>, current: Vec<Record>| [current, staged].concat(), "as record 1 of the list")]
#[case::staged_lost(|_, current| current, "as record 1 of the list")]
#[case::current_lost(|staged, _| staged, "as record 5 of the list")]
#[case::last_lost(|staged: Vec<Record>, current: Vec<Record>| [staged, current[..3].to_vec()].concat(), "as record 8 of the list, where one that no")]
#[case::one_lost(|staged: Vec<Record>, current: Vec<Record>| [&staged[..], &current[1..]].concat(), "where /m/f-4")]
#[case::doubled(|staged: Vec<Record>, current: Vec<Record>| [&staged[..], &staged[3..], &current].concat(), "read /m/f-3")]
#[case::all_lost(|_, _| Vec::new(), "read nothing as record 2 of the list, where /m/f-1")]
#[case::one_more(
    |staged, current| [staged, current, vec![record("/m/new")]].concat(),
    "read /m/new (ima-ng"
)]
fn another_list_than_was_left_fails(
    #[case] carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>,
    #[case] finding: &str,
) {
    let (plan, trace) = carried_with(carry).finish();
    failed(&result(&plan, &trace, "kexec"), &["boot 2: ", finding]);
    // Lost, doubled or swapped: the tap saw it too.
    assert_eq!(result(&plan, &trace, "exactly-once").verdict, Verdict::Failed);
}

#[test]
fn a_kernel_without_its_aggregate_fails() {
    let mut world = loaded();
    world.leave();
    world.arrive_with(&[], in_order);
    failed(&world.verdict("kexec"), &["1 boot aggregate was extended (number 1)", "2 boots"]);
}

#[test]
fn a_second_aggregate_fails() {
    let mut world = carried_with(in_order);
    world.log(record("boot_aggregate"));
    failed(&world.verdict("kexec"), &["3 boot aggregates were extended (number 1, 9, 10)"]);
}

/// The text with another number after `name`.
fn with_number(text: &str, name: &str, change: fn(u64) -> u64) -> String {
    let (before, rest) = text.split_once(&format!("{name}=")).expect("the number");
    let (number, after) = rest.split_once(';').expect("its end");
    format!("{before}{name}={};{after}", change(number.parse().expect("a number")))
}

const SEGMENT: &str = "kexec_segment_size";
const BYTES: &str = "ima_binary_runtime_size";
const RECORDS: &str = "ima_runtime_measurements_count";

#[rstest]
#[case::more_bytes(|text: String| with_number(&text, BYTES, |n| n + 1), "it tells of ")]
#[case::no_header(|text: String| with_number(&text, BYTES, |n| n - 24), "before it, with a header")]
#[case::count(|text: String| with_number(&text, RECORDS, |n| n + 1), "it tells of 7 records, the log of boot 1 has 6")]
#[case::small_segment(|text: String| with_number(&text, SEGMENT, |_| 0), "does not hold the")]
#[case::odd_segment(|text: String| with_number(&text, SEGMENT, |n| n + 1), "is not one of whole pages")]
#[case::missing(|text: String| text.replace("count=", "counts="), "does not have the three numbers")]
#[case::more(|text: String| text + "more", "does not have the three numbers")]
#[case::sign(|text: String| text.replace("count=6", "count=+6"), "does not have the three numbers")]
#[case::empty(|_| String::new(), "`` does not have the three numbers")]
fn a_number_that_is_not_true_fails(#[case] tell: fn(String) -> String, #[case] finding: &str) {
    let mut world = World::new();
    world.measure(5);
    world.tell = tell;
    world.load();
    world.execute();
    failed(&world.verdict("kexec"), &[finding]);
}

#[test]
fn an_execution_tells_the_segment_of_the_last_load() {
    let mut world = World::new();
    world.measure(1);
    world.load();
    world.measure(40);
    world.load();
    world.tell = |text| with_number(&text, SEGMENT, |n| n - 4096);
    world.execute();
    failed(&world.verdict("kexec"), &["(kexec_execute): it tells of a segment of "]);
}

#[test]
fn segments_of_one_kernel_have_the_same_to_spare() {
    let mut world = World::new();
    world.measure(1);
    world.load();
    // A load without two pages that the one before it had to spare.
    world.tell = |text| with_number(&text, SEGMENT, |n| n + 8192);
    world.load();
    failed(&world.verdict("kexec"), &["the segments have "]);
}

#[rstest]
#[case::none_made(&|world: &mut World| {
    world.load();
    world.plan_load();
}, "1 kexec_load record in the log, 2 loads that should make one")]
#[case::one_too_many(&|world: &mut World| {
    world.load();
    world.say_load();
}, "2 kexec_load records in the log, 1 load that should make one")]
#[case::no_execution(&|world: &mut World| {
    world.load();
    world.leave_silently();
    world.arrive(in_order);
}, "0 kexec_execute records in the log, expected 1")]
fn each_call_makes_its_record(#[case] story: &dyn Fn(&mut World), #[case] finding: &str) {
    let mut world = World::new();
    story(&mut world);
    failed(&world.verdict("kexec"), &["boot 1: ", finding]);
}

#[test]
fn a_kernel_that_records_nothing_of_kexec_passes() {
    let mut world = World::new();
    world.measure(2);
    world.plan_load();
    world.leave_silently();
    world.arrive(in_order);
    sound(world);
}

fn request(world: &mut World, action: Action, text: &[u8], errno: i32) -> usize {
    let mut ops = write("list", text);
    ops[1].1 = Outcome::Errno(errno);
    let step = world.step("request", action, ops, vec![]);
    world.plan.steps[step].expect = Expect::Errno(errno);
    step
}

#[rstest]
#[case::stage(Action::Stage, b"A\n", EACCES)]
#[case::delete(Action::Delete, b"D\n", ESTALE)]
#[case::trim(Action::Trim { records: 1 }, b"1\n", ESTALE)]
fn a_refusal_for_a_kexec_comes_only_with_one(
    #[case] action: Action,
    #[case] text: &[u8],
    #[case] errno: i32,
) {
    let mut world = loaded();
    request(&mut world, action, text, errno);
    world.execute();
    failed(&world.verdict("kexec"), &["refused as if measuring were suspended, and no kexec had begun"]);

    let mut world = loaded();
    world.leave();
    world.task = 1;
    request(&mut world, action, text, errno);
    world.arrive(in_order);
    let facts = sound(world);
    assert!(facts.contains("1 request refused while suspended"), "{facts}");
}

#[test]
fn what_was_refused_once_is_not_granted_later() {
    let mut world = loaded();
    world.leave();
    world.task = 1;
    request(&mut world, Action::Trim { records: 1 }, b"1\n", ESTALE);
    world.delete();
    world.arrive(in_order);
    let result = world.verdict("kexec");
    failed(&result, &["`delete` (line ", "granted although", "had been refused"]);
}

#[rstest]
#[case::won(true)]
#[case::lost(false)]
fn a_delete_that_never_answered_is_told_by_what_was_carried(#[case] won: bool) {
    let mut world = loaded();
    world.task = 1;
    world.delete_unanswered();
    world.task = 0;
    world.execute_with(if won { |_, current| current } else { in_order });
    sound(world);
}

#[test]
fn a_delete_that_was_granted_and_carried_doubles() {
    let mut world = loaded();
    let staged = world.staged.clone().unwrap_or_default();
    world.delete();
    world.leave();
    world.staged = Some(staged);
    world.arrive(in_order);
    let (plan, trace) = world.finish();
    failed(&result(&plan, &trace, "kexec"), &["boot 2: ", "as record 1 of the list"]);
    failed(&result(&plan, &trace, "exactly-once"), &["is doubled"]);
}
