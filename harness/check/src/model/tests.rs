use imalab_wire::{Message, Op, Outcome, Start};
use nix::errno::Errno;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::world::{Done, World, could_not_run, failed, passed, path, read, record, result, value, write};
use imalab_formats::ima::model::Rule;
use imalab_formats::ima::{Bank, Record};
use imalab_language::plan::{Action, Form};

const BUSY: Outcome = Outcome::Errno(Errno::EBUSY as i32);

fn does(world: &mut World, ops: Vec<Done>) -> usize {
    world.step("call", Action::SystemCall, ops, vec![])
}

fn one(world: &mut World, op: Op, outcome: Outcome) {
    does(world, vec![(op, outcome, vec![])]);
}

fn open(world: &mut World, slot: u16, name: &str, flags: i32, outcome: Outcome) {
    one(world, Op::Open { slot, path: path(name), flags, mode: 0 }, outcome);
}

fn ask(world: &mut World, slot: u16, text: &str, outcome: Outcome) {
    one(world, Op::Write { slot, bytes: text.as_bytes().to_vec() }, outcome);
}

fn close(world: &mut World, slot: u16) {
    one(world, Op::Close { slot }, value(0));
}

#[rstest]
#[case::nothing_done(&|_: &mut World| {})]
#[case::staged_and_trimmed(&|world: &mut World| {
    world.measure(4);
    world.stage();
    world.measure(3);
    world.trim(2);
    world.checkpoint();
    world.save();
    world.delete();
    world.checkpoint();
})]
#[case::violations(&|world: &mut World| {
    world.violate();
    world.stage_save_delete();
    world.violate();
})]
#[case::refusals(&|world: &mut World| {
    open(world, 1, "staged", 1, value(0));
    open(world, 2, "current", 0, BUSY);
    ask(world, 1, "D\n", Outcome::Errno(Errno::ENOENT as i32));
    ask(world, 1, "x\n", Outcome::Errno(Errno::EINVAL as i32));
    close(world, 1);
})]
#[case::carried_over(&|world: &mut World| {
    world.measure(2);
    world.stage();
    world.save();
    world.measure(2);
    world.load();
    world.execute();
    world.checkpoint();
    world.measure(2);
    world.stage_save_delete();
})]
#[case::removed_unread(&|world: &mut World| {
    world.measure(2);
    world.stage();
    world.delete();
    world.measure(1);
})]
#[case::a_child_that_keeps_the_writer_out(&|world: &mut World| {
    spawned(world);
    open(world, 1, "current", 0, value(0));
    one(world, Op::Fork { task: 1 }, value(7));
    close(world, 1);
    open(world, 2, "staged", 1, BUSY);
    world.task = 1;
    close(world, 1);
    world.task = 0;
    open(world, 2, "staged", 1, value(0));
    close(world, 2);
})]
#[case::a_number_that_was_found(&|world: &mut World| {
    world.measure(3);
    let bytes = crate::world::show(&world.current, Form::Binary, Bank::Sha1);
    open(world, 1, "current", 2, value(0));
    let find = Op::FindQuoted { tpm: "/dev/tpm0".to_owned(), slot: 1, chunk: 9, send: true, account: false };
    does(world, vec![(find, value(2), bytes)]);
    world.current.drain(..2);
    one(world, Op::WriteFound { slot: 1 }, value(2));
    close(world, 1);
    world.measure(1);
})]
fn what_the_interface_promises_passes(#[case] story: &dyn Fn(&mut World)) {
    let mut world = World::new();
    story(&mut world);
    let result = world.verdict(Check::Model);
    passed(&result);
    assert!(matches!(result.facts[..], [Fact::Explained { tasks: 1.., orders: 1.. }]), "{result:#?}");
}

/// The second task is started by the first.
fn spawned(world: &mut World) {
    world.plan.program.tasks[1].start = Start::Spawned;
}

#[rstest]
#[case::succeeds_though_it_must_not(
    &|world: &mut World| {
        open(world, 1, "staged", 1, value(0));
        world.task = 1;
        open(world, 1, "staged", 1, value(0));
        world.task = 0;
        close(world, 1);
    },
    json!({
        "code": "model/unexpected-success", "step": {"id": 1, "text": "call"}, "operation": {"number": 0, "call": "open"},
        "expected": "EBUSY", "found": "success", "promise": {"rule": "one-writer"}, "undecided": false,
    })
)]
#[case::fails_though_it_must_not(
    &|world: &mut World| {
        open(world, 1, "staged", 0, value(0));
        close(world, 1);
        open(world, 1, "staged", 1, BUSY);
    },
    json!({"code": "model/unexpected-error", "step": {"id": 2}, "expected": "success", "found": "EBUSY"})
)]
#[case::fails_otherwise(
    &|world: &mut World| {
        open(world, 1, "staged", 1, value(0));
        ask(world, 1, "D\n", Outcome::Errno(Errno::EINVAL as i32));
        close(world, 1);
    },
    json!({
        "code": "model/unexpected-error", "operation": {"call": "write", "bytes": "D\\n", "slot": 1},
        "expected": "ENOENT", "found": "EINVAL", "promise": {"rule": "delete-nothing"},
    })
)]
#[case::half_taken(
    &|world: &mut World| {
        open(world, 1, "staged", 1, value(0));
        ask(world, 1, "A\n", value(1));
        close(world, 1);
    },
    json!({"code": "model/value", "expected": 2, "found": 1, "promise": {"rule": "request-taken-whole"}})
)]
#[case::too_many_records_in_a_list(
    &|world: &mut World| {
        world.measure(2);
        world.stage();
        world.save();
        world.staged.as_mut().unwrap().push(record("/m/f-9"));
        world.save();
    },
    json!({
        "code": "model/wrong-record", "number": 4, "expected_record": null, "found_record": {"name": "/m/f-9"},
        "list": {"form": "binary", "staged": true}, "expected": 3, "found": 4, "promise": {"rule": "staged-shows-staged"},
    })
)]
#[case::wrong_order_in_a_list(
    &|world: &mut World| {
        world.measure(3);
        world.stage();
        world.save();
        world.staged.as_mut().unwrap().swap(1, 2);
        world.save();
    },
    json!({
        "code": "model/wrong-record", "number": 2, "expected_record": {"name": "/m/f-1"}, "found_record": {"name": "/m/f-2"},
    })
)]
#[case::counter_of_both_lists(
    &|world: &mut World| {
        world.measure(3);
        world.stage();
        world.count_off = 4;
        world.checkpoint();
    },
    json!({"code": "model/value", "expected": 0, "found": 4, "promise": {"rule": "count-is-current"}})
)]
#[case::violations_not_counted(
    &|world: &mut World| {
        world.violate();
        world.violations = 0;
        world.checkpoint();
    },
    json!({"code": "model/value", "expected": 1, "found": 0, "promise": {"rule": "violations-counted"}})
)]
#[case::measured_and_not_recorded(
    &|world: &mut World| {
        world.measure(1);
        let (dir, name, salt) = ("/m".to_owned(), "f".to_owned(), "s".to_owned());
        let op = Op::Measure { dir, name, salt, first: 2, count: 1 };
        world.step("measure", Action::Measure { files: 1 }, vec![(op, value(1), vec![])], vec![]);
        world.checkpoint();
    },
    json!({
        "code": "model/not-recorded", "operation": {"call": "measure", "count": 1, "path": "/m/f-*"}, "file": "/m/f-2",
        "next": null,
    })
)]
#[case::extended_and_not_in_the_list(
    &|world: &mut World| {
        world.measure(2);
        world.current.pop();
        world.checkpoint();
    },
    json!({
        "code": "model/wrong-record", "number": 3, "expected_record": {"name": null}, "found_record": null, "expected": 3,
        "found": 2,
    })
)]
#[case::recorded_again(
    &|world: &mut World| {
        world.measure(2);
        world.log(record("/m/f-2"));
        world.checkpoint();
    },
    json!({
        "code": "model/recorded-again", "record": {"name": "/m/f-2", "template": "ima-ng"},
        "promise": {"rule": "duplicate-suppressed"},
    })
)]
#[case::recorded_by_nobody(
    &|world: &mut World| {
        world.measure(1);
        world.log(record("/m/ghost"));
        world.measure(1);
    },
    json!({"code": "model/not-recorded", "file": "/m/f-2", "next": {"name": "/m/ghost"}})
)]
#[case::recorded_by_nobody_at_last(
    &|world: &mut World| {
        world.measure(1);
        world.log(record("/m/ghost"));
    },
    json!({"found_record": {"name": "/m/ghost"}})
)]
#[case::a_task_that_nobody_started(
    &|world: &mut World| {
        spawned(world);
        world.task = 1;
        open(world, 1, "current", 0, value(0));
    },
    json!({"code": "model/from-nowhere"})
)]
#[case::a_descriptor_that_nobody_sent(
    &|world: &mut World| one(world, Op::ReceiveDescriptor { slot: 1 }, value(0)),
    json!({"code": "model/from-nowhere"})
)]
#[case::carried_in_the_wrong_order(
    &|world: &mut World| {
        world.measure(2);
        world.stage();
        world.save();
        world.measure(2);
        world.execute_with(|staged, current| [current, staged].concat());
        world.checkpoint();
    },
    json!({"promise": {"rule": "staged-carried-first"}})
)]
fn what_the_interface_rules_out_fails(#[case] story: &dyn Fn(&mut World), #[case] finding: Value) {
    let mut world = World::new();
    story(&mut world);
    world.task = 0;
    failed(&world.verdict(Check::Model), &finding);
}

/// Task 1 does something within the second write of task 0's staging.
fn at_once(meanwhile: &dyn Fn(&mut World)) -> World {
    let mut world = World::new();
    world.measure(2);
    let begin = world.now;
    world.takes = 1_000;
    world.stage();
    let end = world.now;
    // The write goes from 1,000 to 2,000 after the begin.
    (world.task, world.takes, world.now) = (1, 10, begin + 1_200);
    meanwhile(&mut world);
    (world.task, world.now) = (0, end + 10_000);
    world.save();
    world
}

#[rstest]
#[case::before_it(3)]
#[case::after_it(0)]
fn what_happens_at_once_may_have_happened_in_any_order(#[case] count: u64) {
    let mut world = at_once(&|world| {
        let (mut ops, mut reads) = (Vec::new(), Vec::new());
        reads.push(imalab_language::plan::Reading { op: 1, of: imalab_language::plan::Observed::Count });
        ops.extend(read("count", format!("{count}\n").into_bytes()));
        world.step("count", Action::SystemCall, ops, reads);
    });
    world.measure(1);
    passed(&world.verdict(Check::Model));
}

#[test]
fn no_order_explains_what_cannot_be() {
    let world = at_once(&|world| {
        for count in [0, 3] {
            let reads =
                vec![imalab_language::plan::Reading { op: 1, of: imalab_language::plan::Observed::Count }];
            world.step("count", Action::SystemCall, read("count", format!("{count}\n").into_bytes()), reads);
        }
    });
    failed(
        &world.verdict(Check::Model),
        &json!({"code": "model/value", "step": {"text": "count"}, "expected": 0, "found": 3}),
    );
}

#[test]
fn what_was_over_before_another_began_comes_before_it() {
    let mut world = World::new();
    world.measure(2);
    world.task = 1;
    open(&mut world, 1, "current", 0, value(0));
    close(&mut world, 1);
    world.task = 0;
    open(&mut world, 1, "staged", 1, BUSY);
    failed(
        &world.verdict(Check::Model),
        &json!({"code": "model/unexpected-error", "step": {"id": 3}, "found": "EBUSY"}),
    );
}

#[test]
fn a_writer_that_opened_meanwhile_explains_a_refusal() {
    let mut world = World::new();
    let begin = world.now;
    world.takes = 1_000;
    open(&mut world, 1, "staged", 1, value(0));
    close(&mut world, 1);
    (world.task, world.now) = (1, begin + 500);
    open(&mut world, 1, "current", 0, BUSY);
    (world.task, world.now) = (0, begin + 50_000);
    passed(&world.verdict(Check::Model));
}

#[test]
fn a_task_killed_in_a_call_may_have_made_it() {
    for took_place in [false, true] {
        let mut world = World::new();
        world.measure(2);
        world.task = 1;
        open(&mut world, 1, "staged", 1, value(0));
        if took_place {
            world.staged = Some(std::mem::take(&mut world.current));
        }
        ask(&mut world, 1, "A\n", Outcome::NotAttempted);
        let step = world.plan.steps.len() as u32 - 1;
        let begin = world.now;
        world.say(Message::OpStarted { task: 1, step, op: 0, at_ns: begin });
        world.task = 0;
        one(&mut world, Op::Kill { task: 1, signal: 9 }, value(0));
        world.checkpoint();
        let (plan, mut trace) = world.finish();
        // It was begun, and nothing came of it.
        trace.events.retain(|event| {
            !matches!(event.what, imalab_trace::What::Guest(Message::OpDone { step: done, .. }) if done == step)
        });
        passed(&result(&plan, &trace, Check::Model));
    }
}

#[test]
fn a_rule_turned_over_is_noticed() {
    let mut world = World::new();
    world.measure(2);
    world.stage_save_delete();
    let (plan, trace) = world.finish();
    passed(&result(&plan, &trace, Check::Model));
    for rule in [Rule::StageMovesWholeList, Rule::DeleteRemovesStaged, Rule::CountIsCurrent] {
        let result = crate::digest(&plan, &trace).model_without(rule);
        let noticed = result.verdict == crate::outcome::Verdict::Failed;
        assert!(noticed || rule == Rule::CountIsCurrent, "{rule:?}: {result:#?}");
    }
}

#[test]
fn nothing_is_said_of_a_run_without_a_checkpoint() {
    let (plan, trace) = World::new().power_off();
    could_not_run(&result(&plan, &trace, Check::Model), &json!({"code": "evidence/no-list-read"}));
}

#[test]
fn files_that_are_nothing_of_the_list_are_counted() {
    let mut world = World::new();
    does(&mut world, write("/m/elsewhere", b"text"));
    let result = world.verdict(Check::Model);
    assert_eq!(result.left_out["operations of which the model says only what they may record"], 1);
}

#[test]
fn without_a_hash_table_everything_is_recorded() {
    let mut world = World::new();
    world.plan.hash_table = false;
    world.measure(1);
    let again: Record = record("/m/f-1");
    world.log(again);
    let op =
        Op::Measure { dir: "/m".to_owned(), name: "f".to_owned(), salt: "s".to_owned(), first: 1, count: 1 };
    world.step("measure", Action::Measure { files: 1 }, vec![(op, value(1), vec![])], vec![]);
    passed(&world.verdict(Check::Model));
}

#[test]
fn what_cannot_be_decided_is_no_pass() {
    let mut world = World::new();
    world.measure(9);
    let (plan, trace) = world.finish();
    let digest = crate::digest(&plan, &trace);
    let (evidence, counters) = (&digest.evidence, &digest.counters);
    let result = judge(evidence, digest.log().as_ref(), (counters, &[]), Rules::default(), 5);
    failed(&result, &json!({"undecided": true}));
}
