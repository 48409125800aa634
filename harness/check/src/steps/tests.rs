use imalab_wire::{Message, Op, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_run::{FakeRun, failed, has, passed, read, record, result, value, write};
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::Bank;
use imalab_language::finding::{Fact, Finding, Step, Steps};
use imalab_language::plan::{Action, Expect, Form, Observed, Reading};
use imalab_trace::{Host, What};

const EEXIST: i32 = 17;
const EPERM: i32 = 1;

/// A fake run whose one step of interest gives what `outcomes` say.
fn refused(expect: Expect, errno: Option<i32>) -> FakeRun {
    let mut fake = FakeRun::new();
    let mut ops = write("staged", b"A\n");
    if let Some(errno) = errno {
        ops[1].1 = Outcome::Errno(errno);
    }
    let step = fake.step("stage", Action::SystemCall, ops, vec![]);
    fake.plan.steps[step].expect = expect;
    fake
}

#[rstest]
#[case(Expect::Ok, None)]
#[case(Expect::Errno(EEXIST), Some(EEXIST))]
#[case(Expect::Any, Some(EPERM))]
#[case(Expect::Any, None)]
fn what_is_expected_passes(#[case] expect: Expect, #[case] errno: Option<i32>) {
    passed(&refused(expect, errno).verdict(Check::Steps));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let result = refused(Expect::Errno(EEXIST), Some(EEXIST)).verdict(Check::Steps);
    assert_eq!((result.compared["steps"], &result.facts[..]), (2, &[Fact::Refused { steps: 1 }][..]));
}

#[rstest]
#[case(
    Expect::Ok,
    Some(EPERM),
    json!({
        "code": "steps/unexpected-error", "expected": "success", "found": "EPERM",
        "operation": {"number": 1, "call": "write", "bytes": "A\\n", "slot": 0},
    })
)]
#[case(
    Expect::Errno(EEXIST),
    Some(EPERM),
    json!({"code": "steps/unexpected-error", "expected": "EEXIST", "found": "EPERM", "operation": {"number": 1}})
)]
#[case(Expect::Errno(EEXIST), None, json!({"code": "steps/unexpected-success", "expected": "EEXIST"}))]
#[case(Expect::NewRecords(1), Some(EPERM), json!({"code": "steps/unexpected-error", "expected": "success"}))]
#[case(Expect::NewRecords(1), None, json!({"code": "steps/counter-not-read"}))]
#[case(Expect::Counter(1), None, json!({"code": "steps/counter-not-read"}))]
#[case(Expect::Records(1), None, json!({"code": "steps/list-not-read"}))]
#[case(Expect::Ok, Some(4000), json!({"code": "steps/unexpected-error", "found": "errno 4000"}))]
fn what_is_not_expected_fails(
    #[case] expect: Expect,
    #[case] errno: Option<i32>,
    #[case] mut finding: Value,
) {
    finding["step"] = json!({"id": 0, "text": "stage", "line": 10, "task": "agent", "boot": 0});
    failed(&refused(expect, errno).verdict(Check::Steps), &finding);
}

#[rstest]
#[case::right(3, None)]
#[case::wrong(4, Some(json!({"code": "steps/counter", "expected": 4, "found": 3})))]
fn a_counter_has_a_value(#[case] expected: i64, #[case] finding: Option<Value>) {
    let mut fake = FakeRun::new();
    let reads = vec![Reading { op: 1, of: Observed::Violations }];
    let step = fake.step("view", Action::SystemCall, read("violations", b"3\n".to_vec()), reads);
    fake.plan.steps[step].expect = Expect::Counter(expected);
    let result = fake.verdict(Check::Steps);
    match finding {
        Some(finding) => failed(&result, &finding),
        None => passed(&result),
    }
}

/// `read: {from: violations, expect: {bytes: 2}}` is about bytes, whatever number they show.
#[test]
fn a_call_that_reads_a_counter_has_the_value_of_the_call() {
    let mut fake = FakeRun::new();
    let call = vec![(
        Op::Read { slot: 0, chunk: 64, limit: Some(64), send: true, nothing: None },
        value(2),
        b"1\n".to_vec(),
    )];
    let reads = vec![Reading { op: 0, of: Observed::Violations }];
    let step = fake.step("read", Action::SystemCall, call, reads);
    fake.plan.steps[step].expect = Expect::Value(2);
    passed(&fake.verdict(Check::Steps));
}

#[rstest]
#[case::short_write(Op::Write { slot: 0, bytes: b"A\n".to_vec() }, 1,
    json!({"of": "bytes-written", "expected": 2, "found": 1})
)]
#[case::files_left_out(
    Op::Measure { dir: "/m".into(), name: "f".into(), salt: String::new(), first: 0, count: 5 }, 4,
    json!({"of": "files-measured", "expected": 5, "found": 4})
)]
#[case::tpm_said_no(Op::Mark { path: "/dev/tpm0".into(), number: 1 }, 0x101,
    json!({"of": "response-code", "expected": 0, "found": 0x101})
)]
fn success_has_its_value(#[case] op: Op, #[case] found: usize, #[case] mut finding: Value) {
    finding["code"] = "steps/value".into();
    let mut fake = FakeRun::new();
    fake.step("odd", Action::SystemCall, vec![(op, value(found), Vec::new())], vec![]);
    failed(&fake.verdict(Check::Steps), &finding);
}

#[test]
fn success_leaves_nothing_unattempted() {
    let mut fake = FakeRun::new();
    let mut ops = write("staged", b"A\n");
    ops[1].1 = Outcome::NotAttempted;
    fake.step("odd", Action::SystemCall, ops, vec![]);
    failed(&fake.verdict(Check::Steps), &json!({"code": "steps/not-attempted", "operation": {"number": 1}}));
}

fn counted(before: u64, after: u64, expected: u64) -> FakeRun {
    let mut fake = FakeRun::new();
    let mut ops = read("count", format!("{before}\n").into_bytes());
    ops.extend(read("count", format!("{after}\n").into_bytes()));
    let reads = [1, 4].map(|op| Reading { op, of: Observed::Count }).to_vec();
    let step = fake.step("measure", Action::SystemCall, ops, reads);
    fake.plan.steps[step].expect = Expect::NewRecords(expected);
    fake
}

#[test]
fn new_records_are_counted() {
    passed(&counted(7, 9, 2).verdict(Check::Steps));
    let less = json!({
        "code": "steps/new-records", "expected": 3, "found": 2, "count_before": 7, "count_after": 9,
    });
    failed(&counted(7, 9, 3).verdict(Check::Steps), &less);
    failed(&counted(7, 6, 1).verdict(Check::Steps), &json!({"code": "steps/new-records", "found": -1}));
}

#[test]
fn records_of_a_list_are_counted() {
    for (expected, passes) in [(1, true), (2, false)] {
        let mut fake = FakeRun::new();
        let (ops, reads) = fake.reads(&[(Form::Ascii, Bank::Sha1, false)]);
        let step = fake.step("read", Action::SystemCall, ops, reads);
        fake.plan.steps[step].expect = Expect::Records(expected);
        let result = fake.verdict(Check::Steps);
        if passes {
            passed(&result);
        } else {
            let list = json!({"form": "ascii", "bank": "sha1", "staged": false});
            let finding =
                json!({"code": "steps/records", "expected": 2, "found": 1, "list": list, "malformed": null});
            failed(&result, &finding);
        }
    }
}

#[test]
fn a_task_that_dies_is_a_finding() {
    let mut fake = FakeRun::new();
    fake.say(Message::TaskEnded { task: 1, status: 139 });
    let (plan, mut trace) = fake.finish();
    // The made-up end of the tasks says that all is well.
    trace
        .events
        .retain(|event| !matches!(event.what, What::Guest(Message::TaskEnded { task: 1, status: 0 })));
    failed(
        &result(&plan, &trace, Check::Steps),
        &json!({"code": "steps/task-status", "task": "other", "expected": 0, "found": 139}),
    );
}

#[test]
fn a_guest_that_stops_in_an_operation_is_found_there() {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.stage();
    fake.save();
    let (plan, mut trace) = fake.finish();
    let stuck = trace
        .events
        .iter()
        .position(|event| matches!(event.what, What::Guest(Message::OpStarted { step: 1, op: 1, .. })));
    trace.events.truncate(stuck.unwrap() + 1);
    let result = result(&plan, &trace, Check::Steps);
    let stage = json!({"code": "steps/no-result", "step": {"id": 1}, "operation": {"number": 1}, "more": 1});
    failed(&result, &stage);
    assert!(!has(&result, &json!({"step": {"id": 1}, "since_ms": null})), "{result:#?}");
    let checkpoint = json!({
        "code": "steps/no-result", "step": {"id": 3, "text": "checkpoint"}, "operation": {"number": 0, "call": "open"},
        "since_ms": null,
    });
    failed(&result, &checkpoint);
}

#[test]
fn a_fault_that_never_happened_is_a_finding() {
    let mut fake = FakeRun::new();
    fake.log_kept(record("/m/kept"), 0x101);
    fake.trace.events.retain(|event| !matches!(event.what, What::Host(Host::Fault { .. })));
    failed(&fake.verdict(Check::Steps), &json!({"code": "steps/tpm-faults", "expected": 1, "found": 0}));
}

/// A fake run with a task that `ends` while it is at its one step, and one that does `op` to it.
fn ended(op: Op, outcome: Outcome, status: i32) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.task = 1;
    fake.step("wait", Action::SystemCall, read("list", Vec::new()), vec![]);
    let done = |event: &imalab_trace::Event| {
        matches!(event.what, What::Guest(Message::OpDone { step: 0, op: 1.., .. }))
    };
    fake.trace.events.retain(|event| !done(event));
    fake.task = 0;
    fake.step("end it", Action::SystemCall, vec![(op, outcome, Vec::new())], vec![]);
    fake.say(Message::TaskEnded { task: 1, status });
    fake
}

/// The verdict, without the made-up message that the other task ends well.
fn verdict(fake: FakeRun) -> CheckResult {
    let (plan, mut trace) = fake.finish();
    let well = |what: &What| matches!(what, What::Guest(Message::TaskEnded { task: 1, status: 0 }));
    let at = trace.events.iter().rposition(|event| well(&event.what)).unwrap();
    trace.events.remove(at);
    let mut verdict = result(&plan, &trace, Check::Steps);
    // What is left out here is missing in the count of messages too.
    verdict.findings.retain(|finding| finding.code() != "trace/sent-count");
    verdict
}

#[rstest]
#[case::killed(Op::Kill { task: 1, signal: 9 }, value(0), 137, None)]
#[case::otherwise(
    Op::Kill { task: 1, signal: 9 }, value(0), 139, Some(json!({"code": "steps/task-status", "expected": 137, "found": 139}))
)]
#[case::in_vain(
    Op::Kill { task: 1, signal: 9 }, Outcome::Errno(EPERM), 0,
    Some(json!({"code": "steps/no-result", "step": {"id": 0, "text": "wait"}}))
)]
#[case::never_started(Op::Fork { task: 1 }, Outcome::Errno(11), 0, None)]
#[case::started(
    Op::Fork { task: 1 }, value(7), 0, Some(json!({"code": "steps/no-result", "step": {"id": 0, "text": "wait"}}))
)]
fn a_task_that_the_scenario_ends_owes_nothing_more(
    #[case] op: Op,
    #[case] outcome: Outcome,
    #[case] status: i32,
    #[case] finding: Option<Value>,
) {
    let mut fake = ended(op, outcome, status);
    // That the one operation is not as expected is another matter.
    fake.plan.steps[1].expect = Expect::Any;
    owes(&verdict(fake), finding.as_ref());
}

/// Fails unless this is all that is said of missing results and of how tasks ended.
#[track_caller]
fn owes(result: &CheckResult, finding: Option<&Value>) {
    let of = |code: &str| finding.is_some_and(|finding| finding["code"] == code);
    for code in ["steps/no-result", "steps/task-status"] {
        assert_eq!(has(result, &json!({"code": code})), of(code), "{code}: {result:#?}");
    }
    assert!(finding.is_none_or(|finding| has(result, finding)), "{finding:?}: {result:#?}");
}

#[rstest]
#[case::as_said(3, None)]
#[case::otherwise(0, Some(json!({"code": "steps/task-status", "task": "other", "expected": 3, "found": 0})))]
fn a_task_that_exits_has_its_status(#[case] status: i32, #[case] finding: Option<Value>) {
    let mut fake = FakeRun::new();
    fake.task = 1;
    fake.step("exit 3", Action::SystemCall, vec![(Op::Exit { status: 3 }, value(0), Vec::new())], vec![]);
    fake.trace.events.pop();
    fake.task = 0;
    fake.say(Message::TaskEnded { task: 1, status });
    owes(&verdict(fake), finding.as_ref());
}

#[rstest]
#[case::as_said(Op::Poll { slot: 1, events: 1 }, 5, 5, None)]
#[case::otherwise(Op::Poll { slot: 1, events: 1 }, 5, 1, Some(json!({"expected": 5, "found": 1})))]
#[case::negative(Op::Seek { slot: 1, offset: 0, whence: 1 }, -3, 0, Some(json!({"expected": -3, "found": 0})))]
#[case::short_write_that_is_expected(Op::Write { slot: 1, bytes: vec![0; 9] }, 4, 4, None)]
fn a_value_is_as_expected(
    #[case] op: Op,
    #[case] expected: i64,
    #[case] found: i64,
    #[case] finding: Option<Value>,
) {
    let mut fake = FakeRun::new();
    let step = fake.step("call", Action::SystemCall, vec![(op, Outcome::Value(found), Vec::new())], vec![]);
    fake.plan.steps[step].expect = Expect::Value(expected);
    match finding {
        None => passed(&fake.verdict(Check::Steps)),
        Some(mut finding) => {
            (finding["code"], finding["of"]) = ("steps/value".into(), "returned".into());
            failed(&fake.verdict(Check::Steps), &finding);
        }
    }
}

#[rstest]
#[case::by_a_clock(Some(0), true)]
#[case::without(None, false)]
fn steps_whose_clock_ran_out_are_not_attempted(#[case] clock: Option<u16>, #[case] passes: bool) {
    let mut fake = FakeRun::new();
    let mut ops = write("staged", b"A\n");
    for op in &mut ops {
        op.1 = Outcome::NotAttempted;
    }
    fake.step("late", Action::Stage, ops, vec![]);
    fake.plan.program.tasks[0].steps[0].clock = clock;
    let result = fake.verdict(Check::Steps);
    if passes {
        passed(&result);
    } else {
        failed(&result, &json!({"code": "steps/not-attempted"}));
    }
}

#[test]
fn the_earliest_finding_comes_first_whichever_task_it_is_of() {
    let mut fake = FakeRun::new();
    let refused = |name| {
        let mut ops = write("staged", b"A\n");
        ops[1].1 = Outcome::Errno(EPERM);
        (name, ops)
    };
    // The plan has the first task's steps before the other's.
    let (name, ops) = refused("late");
    fake.now = 9_000_000;
    fake.step(name, Action::SystemCall, ops, vec![]);
    let (name, ops) = refused("early");
    (fake.task, fake.now) = (1, 2_000_000);
    fake.step(name, Action::SystemCall, ops, vec![]);
    (fake.task, fake.now) = (0, 10_000_000);
    let findings = fake.verdict(Check::Steps).findings;
    let is_of = |finding: &Finding, name: &str| matches!(finding, Finding::Steps(Steps::UnexpectedError { step: Step { text, .. }, .. }) if text == name);
    let place = |name: &str| findings.iter().position(|finding| is_of(finding, name)).unwrap();
    assert!(place("early") < place("late"), "{findings:?}");
}
