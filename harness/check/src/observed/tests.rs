use imalab_wire::{Message, Observed, Op, Outcome, Start};
use serde_json::json;

use super::with_observed;
use crate::digest;
use crate::fake_run::{FakeRun, TODAY, failed, passed, path, show, value, write};
use crate::outcome::{Check, CheckResult};
use crate::timeline::What;
use imalab_formats::ima::Bank;
use imalab_formats::ima::lists::Request;
use imalab_language::plan::Plan;
use imalab_language::vocabulary::{Action, Form};
use imalab_trace::{Event, Trace, What as Saw};

/// The task that stands for the program.
const PROGRAM: u16 = 1;

/// A call of the program, as a step of one operation.
fn call(fake: &mut FakeRun, op: Op, outcome: Outcome, data: Vec<u8>) {
    fake.task = PROGRAM;
    fake.step("call", Action::SystemCall, vec![(op, outcome, data)], vec![]);
    fake.task = 0;
}

/// Two records are staged, saved and deleted by a program; `saves` tells what its reading of the staged list shows.
fn by_a_program(saves: fn(Vec<u8>) -> Option<Vec<u8>>) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.plan.program.tasks[usize::from(PROGRAM)].start = Start::Observed;
    fake.measure(1);
    let staged = show(&fake.current, Form::Binary, Bank::Sha1);
    fake.staged = Some(std::mem::take(&mut fake.current));
    for (op, outcome, data) in write("staged", b"A\n") {
        call(&mut fake, op, outcome, data);
    }
    if let Some(bytes) = saves(staged) {
        let open = Op::Open { slot: 3, path: path("staged"), flags: 0, mode: 0 };
        call(&mut fake, open, value(0), Vec::new());
        call(&mut fake, Op::ReadThrough { slot: 3 }, value(bytes.len()), bytes);
        call(&mut fake, Op::Close { slot: 3 }, value(0), Vec::new());
    }
    fake.measure(1);
    fake.staged = None;
    for (op, outcome, data) in write("staged", b"D\n") {
        call(&mut fake, op, outcome, data);
    }
    fake
}

/// What the program did is known from the trace alone.
fn unplanned(fake: FakeRun) -> (Plan, Trace) {
    let (mut plan, mut trace) = fake.finish();
    let task = &mut plan.program.tasks[usize::from(PROGRAM)];
    let said: Vec<Message> = std::mem::take(&mut task.steps)
        .into_iter()
        .map(|step| {
            let op = step.ops[0].clone();
            let whole = matches!(op, Op::ReadThrough { .. });
            let observed = Observed { task: PROGRAM, step: step.id, op, path: Some(path("staged")), whole };
            Message::Observed(Box::new(observed))
        })
        .collect();
    plan.steps.retain(|step| step.task != PROGRAM);
    said.into_iter().for_each(|message| say(&mut trace, message));
    (plan, trace)
}

/// The guest says something more, before its last message.
fn say(trace: &mut Trace, message: Message) {
    let done = trace.events.iter().position(|event| matches!(event.what, Saw::Guest(Message::Done { .. })));
    let done = done.expect("a last message");
    trace.events.insert(done, Event { seq: 0, at_ns: 0, what: Saw::Guest(message) });
    for (seq, event) in (0..).zip(&mut trace.events) {
        event.seq = seq;
        if let Saw::Guest(Message::Done { frames, .. }) = &mut event.what {
            *frames += 1;
        }
    }
}

fn checked(plan: &Plan, trace: &Trace) -> Vec<CheckResult> {
    digest(&with_observed(plan, trace), trace).check(TODAY)
}

fn result(plan: &Plan, trace: &Trace, check: Check) -> CheckResult {
    checked(plan, trace).into_iter().find(|result| result.check == check).expect("a result of that check")
}

#[test]
fn what_a_program_did_is_judged_like_what_tasks_did() {
    let (plan, trace) = unplanned(by_a_program(Some));
    let with = with_observed(&plan, &trace);
    let digest = digest(&with, &trace);
    let requests = digest.timeline.iter().filter_map(|operation| match operation.what {
        What::Request(request) => Some(request),
        _ => None,
    });
    assert_eq!(requests.collect::<Vec<_>>(), [Request::StageAll, Request::Delete]);
    digest.check(TODAY).iter().for_each(passed);
    let texts: Vec<&str> =
        with.steps.iter().filter(|step| step.task == PROGRAM).map(|step| step.text.as_str()).collect();
    assert!(texts.contains(&"other: write \"A\\n\" to binary_runtime_measurements_sha1_staged"), "{texts:?}");
}

/// Without it the same run proves nothing: each call is about a step that nobody knows.
#[test]
fn without_what_was_observed_there_is_nothing_to_judge_by() {
    let (plan, trace) = unplanned(by_a_program(Some));
    let results = digest(&plan, &trace).check(TODAY);
    let steps = results.iter().find(|result| result.check == Check::Steps).expect("that check");
    failed(steps, &json!({"code": "trace/unknown-step"}));
}

#[test]
fn what_a_program_removed_and_did_not_read_is_lost() {
    let (plan, trace) = unplanned(by_a_program(|_| None));
    let results = checked(&plan, &trace);
    assert!(results.iter().any(|result| result.check == Check::ExactlyOnce && result.verdict.is_bad()));
}

#[test]
fn what_a_program_read_is_compared() {
    let (plan, trace) = unplanned(by_a_program(|mut bytes| {
        let last = bytes.len() - 1;
        bytes.truncate(last / 2);
        Some(bytes)
    }));
    assert!(checked(&plan, &trace).iter().any(|result| result.verdict.is_bad()));
    let (plan, trace) = unplanned(by_a_program(|mut bytes| {
        *bytes.last_mut().expect("a byte") ^= 1;
        Some(bytes)
    }));
    for check in [Check::Replay, Check::ExactlyOnce] {
        assert!(result(&plan, &trace, check).verdict.is_bad(), "{check:?}");
    }
}

/// A kernel that takes a second writer breaks its promise, whoever the writers are.
#[test]
fn the_model_holds_for_programs() {
    let mut fake = by_a_program(Some);
    let open = |slot| Op::Open { slot, path: path("staged"), flags: 1, mode: 0 };
    fake.step("open", Action::SystemCall, vec![(open(7), value(0), Vec::new())], vec![]);
    call(&mut fake, open(9), value(0), Vec::new());
    call(&mut fake, Op::Close { slot: 9 }, value(0), Vec::new());
    fake.step("close", Action::SystemCall, vec![(Op::Close { slot: 7 }, value(0), Vec::new())], vec![]);
    let (plan, trace) = unplanned(fake);
    assert!(result(&plan, &trace, Check::Model).verdict.is_bad());
}

#[test]
fn what_was_not_observed_fails_the_run() {
    let (plan, mut trace) = unplanned(by_a_program(Some));
    say(&mut trace, Message::Unobserved { task: PROGRAM, text: "it moved bytes".to_owned() });
    let found = result(&plan, &trace, Check::Steps);
    failed(&found, &json!({"code": "steps/unobserved", "task": "other", "error": "it moved bytes"}));
}

/// The guest is not trusted: it cannot say that a planned step was something else, or that a task of the scenario did more.
#[test]
fn what_programs_cannot_have_done_is_left_out() {
    let (plan, trace) = by_a_program(Some).finish();
    let planned = plan.steps[0].id;
    let close = Op::Close { slot: 0 };
    for (task, step, op) in [
        (PROGRAM, planned, close.clone()),
        (0, 1_000, close.clone()),
        (9, 1_000, close),
        (PROGRAM, 1_000, Op::Panic),
        (PROGRAM, 1_000, Op::Fork { task: 0 }),
    ] {
        let mut trace = trace.clone();
        say(&mut trace, Message::Observed(Box::new(Observed { task, step, op, path: None, whole: false })));
        assert_eq!(*with_observed(&plan, &trace), plan);
    }
}
