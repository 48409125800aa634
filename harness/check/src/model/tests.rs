use imalab_wire::{Message, Op, Outcome, Start};
use nix::errno::Errno;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fake_run::{
    Done, FakeRun, could_not_run, failed, passed, path, read, record, result, value, write,
};
use imalab_formats::ima::model::Rule;
use imalab_formats::ima::{Bank, Record};
use imalab_language::plan::{Action, Form};

const BUSY: Outcome = Outcome::Errno(Errno::EBUSY as i32);

fn does(fake: &mut FakeRun, ops: Vec<Done>) -> usize {
    fake.step("call", Action::SystemCall, ops, vec![])
}

fn one(fake: &mut FakeRun, op: Op, outcome: Outcome) {
    does(fake, vec![(op, outcome, vec![])]);
}

fn open(fake: &mut FakeRun, slot: u16, name: &str, flags: i32, outcome: Outcome) {
    one(fake, Op::Open { slot, path: path(name), flags, mode: 0 }, outcome);
}

fn ask(fake: &mut FakeRun, slot: u16, text: &str, outcome: Outcome) {
    one(fake, Op::Write { slot, bytes: text.as_bytes().to_vec() }, outcome);
}

fn close(fake: &mut FakeRun, slot: u16) {
    one(fake, Op::Close { slot }, value(0));
}

#[rstest]
#[case::nothing_done(&|_: &mut FakeRun| {})]
#[case::staged_and_trimmed(&|fake: &mut FakeRun| {
    fake.measure(4);
    fake.stage();
    fake.measure(3);
    fake.trim(2);
    fake.checkpoint();
    fake.save();
    fake.delete();
    fake.checkpoint();
})]
#[case::violations(&|fake: &mut FakeRun| {
    fake.violate();
    fake.stage_save_delete();
    fake.violate();
})]
#[case::refusals(&|fake: &mut FakeRun| {
    open(fake, 1, "staged", 1, value(0));
    open(fake, 2, "current", 0, BUSY);
    ask(fake, 1, "D\n", Outcome::Errno(Errno::ENOENT as i32));
    ask(fake, 1, "x\n", Outcome::Errno(Errno::EINVAL as i32));
    close(fake, 1);
})]
#[case::carried_over(&|fake: &mut FakeRun| {
    fake.measure(2);
    fake.stage();
    fake.save();
    fake.measure(2);
    fake.load();
    fake.execute();
    fake.checkpoint();
    fake.measure(2);
    fake.stage_save_delete();
})]
#[case::removed_unread(&|fake: &mut FakeRun| {
    fake.measure(2);
    fake.stage();
    fake.delete();
    fake.measure(1);
})]
#[case::a_child_that_keeps_the_writer_out(&|fake: &mut FakeRun| {
    spawned(fake);
    open(fake, 1, "current", 0, value(0));
    one(fake, Op::Fork { task: 1 }, value(7));
    close(fake, 1);
    open(fake, 2, "staged", 1, BUSY);
    fake.task = 1;
    close(fake, 1);
    fake.task = 0;
    open(fake, 2, "staged", 1, value(0));
    close(fake, 2);
})]
#[case::a_number_that_was_found(&|fake: &mut FakeRun| {
    fake.measure(3);
    let bytes = crate::fake_run::show(&fake.current, Form::Binary, Bank::Sha1);
    open(fake, 1, "current", 2, value(0));
    let find = Op::FindQuoted { tpm: "/dev/tpm0".to_owned(), slot: 1, chunk: 9, send: true, account: false };
    does(fake, vec![(find, value(2), bytes)]);
    fake.current.drain(..2);
    one(fake, Op::WriteFound { slot: 1 }, value(2));
    close(fake, 1);
    fake.measure(1);
})]
fn what_the_interface_promises_passes(#[case] story: &dyn Fn(&mut FakeRun)) {
    let mut fake = FakeRun::new();
    story(&mut fake);
    let result = fake.verdict(Check::Model);
    passed(&result);
    assert!(matches!(result.facts[..], [Fact::Explained { tasks: 1.., orders: 1.. }]), "{result:#?}");
}

/// The second task is started by the first.
fn spawned(fake: &mut FakeRun) {
    fake.plan.program.tasks[1].start = Start::Spawned;
}

#[rstest]
#[case::succeeds_though_it_must_not(
    &|fake: &mut FakeRun| {
        open(fake, 1, "staged", 1, value(0));
        fake.task = 1;
        open(fake, 1, "staged", 1, value(0));
        fake.task = 0;
        close(fake, 1);
    },
    json!({
        "code": "model/unexpected-success", "step": {"id": 1, "text": "call"}, "operation": {"number": 0, "call": "open"},
        "expected": "EBUSY", "found": "success", "promise": {"rule": "one-writer"}, "undecided": false,
    })
)]
#[case::fails_though_it_must_not(
    &|fake: &mut FakeRun| {
        open(fake, 1, "staged", 0, value(0));
        close(fake, 1);
        open(fake, 1, "staged", 1, BUSY);
    },
    json!({"code": "model/unexpected-error", "step": {"id": 2}, "expected": "success", "found": "EBUSY"})
)]
#[case::fails_otherwise(
    &|fake: &mut FakeRun| {
        open(fake, 1, "staged", 1, value(0));
        ask(fake, 1, "D\n", Outcome::Errno(Errno::EINVAL as i32));
        close(fake, 1);
    },
    json!({
        "code": "model/unexpected-error", "operation": {"call": "write", "bytes": "D\\n", "slot": 1},
        "expected": "ENOENT", "found": "EINVAL", "promise": {"rule": "delete-nothing"},
    })
)]
#[case::half_taken(
    &|fake: &mut FakeRun| {
        open(fake, 1, "staged", 1, value(0));
        ask(fake, 1, "A\n", value(1));
        close(fake, 1);
    },
    json!({"code": "model/value", "expected": 2, "found": 1, "promise": {"rule": "request-taken-whole"}})
)]
#[case::too_many_records_in_a_list(
    &|fake: &mut FakeRun| {
        fake.measure(2);
        fake.stage();
        fake.save();
        fake.staged.as_mut().unwrap().push(record("/m/f-9"));
        fake.save();
    },
    json!({
        "code": "model/wrong-record", "number": 4, "expected_record": null, "found_record": {"name": "/m/f-9"},
        "list": {"form": "binary", "staged": true}, "expected": 3, "found": 4, "promise": {"rule": "staged-shows-staged"},
    })
)]
#[case::wrong_order_in_a_list(
    &|fake: &mut FakeRun| {
        fake.measure(3);
        fake.stage();
        fake.save();
        fake.staged.as_mut().unwrap().swap(1, 2);
        fake.save();
    },
    json!({
        "code": "model/wrong-record", "number": 2, "expected_record": {"name": "/m/f-1"}, "found_record": {"name": "/m/f-2"},
    })
)]
#[case::counter_of_both_lists(
    &|fake: &mut FakeRun| {
        fake.measure(3);
        fake.stage();
        fake.count_off = 4;
        fake.checkpoint();
    },
    json!({"code": "model/value", "expected": 0, "found": 4, "promise": {"rule": "count-is-current"}})
)]
#[case::violations_not_counted(
    &|fake: &mut FakeRun| {
        fake.violate();
        fake.violations = 0;
        fake.checkpoint();
    },
    json!({"code": "model/value", "expected": 1, "found": 0, "promise": {"rule": "violations-counted"}})
)]
#[case::measured_and_not_recorded(
    &|fake: &mut FakeRun| {
        fake.measure(1);
        let (dir, name, salt) = ("/m".to_owned(), "f".to_owned(), "s".to_owned());
        let op = Op::Measure { dir, name, salt, first: 2, count: 1 };
        fake.step("measure", Action::Measure { files: 1 }, vec![(op, value(1), vec![])], vec![]);
        fake.checkpoint();
    },
    json!({
        "code": "model/not-recorded", "operation": {"call": "measure", "count": 1, "path": "/m/f-*"}, "file": "/m/f-2",
        "next": null,
    })
)]
#[case::extended_and_not_in_the_list(
    &|fake: &mut FakeRun| {
        fake.measure(2);
        fake.current.pop();
        fake.checkpoint();
    },
    json!({
        "code": "model/wrong-record", "number": 3, "expected_record": {"name": null}, "found_record": null, "expected": 3,
        "found": 2,
    })
)]
#[case::recorded_again(
    &|fake: &mut FakeRun| {
        fake.measure(2);
        fake.log(record("/m/f-2"));
        fake.checkpoint();
    },
    json!({
        "code": "model/recorded-again", "record": {"name": "/m/f-2", "template": "ima-ng"},
        "promise": {"rule": "duplicate-suppressed"},
    })
)]
#[case::recorded_by_nobody(
    &|fake: &mut FakeRun| {
        fake.measure(1);
        fake.log(record("/m/ghost"));
        fake.measure(1);
    },
    json!({"code": "model/not-recorded", "file": "/m/f-2", "next": {"name": "/m/ghost"}})
)]
#[case::recorded_by_nobody_at_last(
    &|fake: &mut FakeRun| {
        fake.measure(1);
        fake.log(record("/m/ghost"));
    },
    json!({"found_record": {"name": "/m/ghost"}})
)]
#[case::a_task_that_nobody_started(
    &|fake: &mut FakeRun| {
        spawned(fake);
        fake.task = 1;
        open(fake, 1, "current", 0, value(0));
    },
    json!({"code": "model/from-nowhere"})
)]
#[case::a_descriptor_that_nobody_sent(
    &|fake: &mut FakeRun| one(fake, Op::ReceiveDescriptor { slot: 1 }, value(0)),
    json!({"code": "model/from-nowhere"})
)]
#[case::a_descriptor_of_nobodys_call(
    &|fake: &mut FakeRun| {
        open(fake, 1, "current", 0, value(0));
        one(fake, Op::TakeDescriptor { slot: 2, from: 0 }, value(0));
    },
    json!({"code": "model/from-nowhere"})
)]
#[case::carried_in_the_wrong_order(
    &|fake: &mut FakeRun| {
        fake.measure(2);
        fake.stage();
        fake.save();
        fake.measure(2);
        fake.execute_with(|staged, current| [current, staged].concat());
        fake.checkpoint();
    },
    json!({"promise": {"rule": "staged-carried-first"}})
)]
fn what_the_interface_rules_out_fails(#[case] story: &dyn Fn(&mut FakeRun), #[case] finding: Value) {
    let mut fake = FakeRun::new();
    story(&mut fake);
    fake.task = 0;
    failed(&fake.verdict(Check::Model), &finding);
}

/// Task 1 does something within the second write of task 0's staging.
fn at_once(meanwhile: &dyn Fn(&mut FakeRun)) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.measure(2);
    let begin = fake.now;
    fake.takes = 1_000;
    fake.stage();
    let end = fake.now;
    // The write goes from 1,000 to 2,000 after the begin.
    (fake.task, fake.takes, fake.now) = (1, 10, begin + 1_200);
    meanwhile(&mut fake);
    (fake.task, fake.now) = (0, end + 10_000);
    fake.save();
    fake
}

#[test]
fn a_taken_descriptor_keeps_the_file_open() {
    let busy_when_its_owner_closed_it = |fake: &mut FakeRun| {
        fake.now += 5_000;
        open(fake, 1, "current", 0, BUSY);
    };
    let fake = at_once(&|fake| {
        one(fake, Op::TakeDescriptor { slot: 9, from: 0 }, value(0));
        busy_when_its_owner_closed_it(fake);
        close(fake, 9);
    });
    passed(&fake.verdict(Check::Model));
    let nobody_has_it = at_once(&busy_when_its_owner_closed_it).verdict(Check::Model);
    failed(
        &nobody_has_it,
        &json!({"code": "model/unexpected-error", "expected": "success", "found": "EBUSY"}),
    );
}

#[rstest]
#[case::before_it(3)]
#[case::after_it(0)]
fn what_happens_at_once_may_have_happened_in_any_order(#[case] count: u64) {
    let mut fake = at_once(&|fake| {
        let (mut ops, mut reads) = (Vec::new(), Vec::new());
        reads.push(imalab_language::plan::Reading { op: 1, of: imalab_language::plan::Observed::Count });
        ops.extend(read("count", format!("{count}\n").into_bytes()));
        fake.step("count", Action::SystemCall, ops, reads);
    });
    fake.measure(1);
    passed(&fake.verdict(Check::Model));
}

#[test]
fn no_order_explains_what_cannot_be() {
    let fake = at_once(&|fake| {
        for count in [0, 3] {
            let reads =
                vec![imalab_language::plan::Reading { op: 1, of: imalab_language::plan::Observed::Count }];
            fake.step("count", Action::SystemCall, read("count", format!("{count}\n").into_bytes()), reads);
        }
    });
    failed(
        &fake.verdict(Check::Model),
        &json!({"code": "model/value", "step": {"text": "count"}, "expected": 0, "found": 3}),
    );
}

#[test]
fn what_was_over_before_another_began_comes_before_it() {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.task = 1;
    open(&mut fake, 1, "current", 0, value(0));
    close(&mut fake, 1);
    fake.task = 0;
    open(&mut fake, 1, "staged", 1, BUSY);
    failed(
        &fake.verdict(Check::Model),
        &json!({"code": "model/unexpected-error", "step": {"id": 3}, "found": "EBUSY"}),
    );
}

#[test]
fn a_writer_that_opened_meanwhile_explains_a_refusal() {
    let mut fake = FakeRun::new();
    let begin = fake.now;
    fake.takes = 1_000;
    open(&mut fake, 1, "staged", 1, value(0));
    close(&mut fake, 1);
    (fake.task, fake.now) = (1, begin + 500);
    open(&mut fake, 1, "current", 0, BUSY);
    (fake.task, fake.now) = (0, begin + 50_000);
    passed(&fake.verdict(Check::Model));
}

#[test]
fn a_task_killed_in_a_call_may_have_made_it() {
    for took_place in [false, true] {
        let mut fake = FakeRun::new();
        fake.measure(2);
        fake.task = 1;
        open(&mut fake, 1, "staged", 1, value(0));
        if took_place {
            fake.staged = Some(std::mem::take(&mut fake.current));
        }
        ask(&mut fake, 1, "A\n", Outcome::NotAttempted);
        let step = fake.plan.steps.len() as u32 - 1;
        let begin = fake.now;
        fake.say(Message::OpStarted { task: 1, step, op: 0, at_ns: begin });
        fake.task = 0;
        one(&mut fake, Op::Kill { task: 1, signal: 9 }, value(0));
        fake.checkpoint();
        let (plan, mut trace) = fake.finish();
        // It was begun, and nothing came of it.
        trace.events.retain(|event| {
            !matches!(event.what, imalab_trace::What::Guest(Message::OpDone { step: done, .. }) if done == step)
        });
        passed(&result(&plan, &trace, Check::Model));
    }
}

#[test]
fn a_rule_turned_over_is_noticed() {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.stage_save_delete();
    let (plan, trace) = fake.finish();
    passed(&result(&plan, &trace, Check::Model));
    for rule in [Rule::StageMovesWholeList, Rule::DeleteRemovesStaged, Rule::CountIsCurrent] {
        let result = crate::digest(&plan, &trace).model_without(rule);
        let noticed = result.verdict == crate::outcome::Verdict::Failed;
        assert!(noticed || rule == Rule::CountIsCurrent, "{rule:?}: {result:#?}");
    }
}

#[test]
fn nothing_is_said_of_a_run_without_a_checkpoint() {
    let (plan, trace) = FakeRun::new().power_off();
    could_not_run(&result(&plan, &trace, Check::Model), &json!({"code": "evidence/no-list-read"}));
}

#[test]
fn files_that_are_nothing_of_the_list_are_counted() {
    let mut fake = FakeRun::new();
    does(&mut fake, write("/m/elsewhere", b"text"));
    let result = fake.verdict(Check::Model);
    assert_eq!(result.left_out["operations for which the model only restricts what they may record"], 1);
}

#[test]
fn without_a_hash_table_everything_is_recorded() {
    let mut fake = FakeRun::new();
    fake.plan.hash_table = false;
    fake.measure(1);
    let again: Record = record("/m/f-1");
    fake.log(again);
    let op =
        Op::Measure { dir: "/m".to_owned(), name: "f".to_owned(), salt: "s".to_owned(), first: 1, count: 1 };
    fake.step("measure", Action::Measure { files: 1 }, vec![(op, value(1), vec![])], vec![]);
    passed(&fake.verdict(Check::Model));
}

#[test]
fn what_cannot_be_decided_is_no_pass() {
    let mut fake = FakeRun::new();
    fake.measure(9);
    let (plan, trace) = fake.finish();
    let digest = crate::digest(&plan, &trace);
    let (evidence, counters) = (&digest.evidence, &digest.counters);
    let result = judge(evidence, digest.log().as_ref(), (counters, &[]), Rules::default(), 5);
    failed(&result, &json!({"undecided": true}));
}
