use imalab_wire::{Message, Op, Outcome};
use rstest::rstest;

use crate::world::{World, failed, passed, read, record, result, value, write};
use imalab_formats::ima::Bank;
use imalab_language::plan::{Action, Expect, Form, Observed, Reading};
use imalab_trace::{Host, What};

const EEXIST: i32 = 17;
const EPERM: i32 = 1;

/// A world whose one step of interest gives what `outcomes` say.
fn refused(expect: Expect, errno: Option<i32>) -> World {
    let mut world = World::new();
    let mut ops = write("staged", b"A\n");
    if let Some(errno) = errno {
        ops[1].1 = Outcome::Errno(errno);
    }
    let step = world.step("stage", Action::SystemCall, ops, vec![]);
    world.plan.steps[step].expect = expect;
    world
}

#[rstest]
#[case(Expect::Ok, None)]
#[case(Expect::Errno(EEXIST), Some(EEXIST))]
#[case(Expect::Any, Some(EPERM))]
#[case(Expect::Any, None)]
fn what_is_expected_passes(#[case] expect: Expect, #[case] errno: Option<i32>) {
    passed(&refused(expect, errno).verdict("steps"));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let result = refused(Expect::Errno(EEXIST), Some(EEXIST)).verdict("steps");
    assert_eq!(result.findings, ["2 steps as expected (1 refused)"]);
}

#[rstest]
#[case(Expect::Ok, Some(EPERM), "expected success, operation 1, write \"A\\n\" to slot 0, failed with EPERM")]
#[case(
    Expect::Errno(EEXIST),
    Some(EPERM),
    "expected EEXIST, operation 1, write \"A\\n\" to slot 0, failed with EPERM"
)]
#[case(Expect::Errno(EEXIST), None, "expected EEXIST, every operation succeeded")]
#[case(Expect::NewRecords(1), Some(EPERM), "expected success")]
#[case(Expect::NewRecords(1), None, "the counter of records was not read before and after")]
#[case(Expect::Records(1), None, "no list was read")]
#[case(Expect::Ok, Some(4000), "failed with errno 4000")]
fn what_is_not_expected_fails(#[case] expect: Expect, #[case] errno: Option<i32>, #[case] finding: &str) {
    failed(&refused(expect, errno).verdict("steps"), &["step 0 `stage` (line 10)", finding]);
}

#[rstest]
#[case::right(3, None)]
#[case::wrong(4, Some("expected 4 as the counter's value, found 3"))]
fn a_counter_has_a_value(#[case] expected: i64, #[case] finding: Option<&str>) {
    let mut world = World::new();
    let reads = vec![Reading { op: 1, of: Observed::Violations }];
    let step = world.step("view", Action::SystemCall, read("violations", b"3\n".to_vec()), reads);
    world.plan.steps[step].expect = Expect::Counter(expected);
    let result = world.verdict("steps");
    match finding {
        Some(finding) => failed(&result, &[finding]),
        None => passed(&result),
    }
}

/// `read: {from: violations, expect: {bytes: 2}}` is about bytes, whatever number they show.
#[test]
fn a_call_that_reads_a_counter_has_the_value_of_the_call() {
    let mut world = World::new();
    let call = vec![(
        Op::Read { slot: 0, chunk: 64, limit: Some(64), send: true, nothing: None },
        value(2),
        b"1\n".to_vec(),
    )];
    let reads = vec![Reading { op: 0, of: Observed::Violations }];
    let step = world.step("read", Action::SystemCall, call, reads);
    world.plan.steps[step].expect = Expect::Value(2);
    passed(&world.verdict("steps"));
}

#[rstest]
#[case::short_write(Op::Write { slot: 0, bytes: b"A\n".to_vec() }, 1, "expected 2 bytes written, found 1")]
#[case::files_left_out(
    Op::Measure { dir: "/m".into(), name: "f".into(), salt: String::new(), first: 0, count: 5 }, 4,
    "expected 5 files measured, found 4"
)]
#[case::tpm_said_no(Op::Mark { path: "/dev/tpm0".into(), number: 1 }, 0x101, "expected 0 as TPM response code, found 257")]
fn success_has_its_value(#[case] op: Op, #[case] found: usize, #[case] finding: &str) {
    let mut world = World::new();
    world.step("odd", Action::SystemCall, vec![(op, value(found), Vec::new())], vec![]);
    failed(&world.verdict("steps"), &[finding]);
}

#[test]
fn success_leaves_nothing_unattempted() {
    let mut world = World::new();
    let mut ops = write("staged", b"A\n");
    ops[1].1 = Outcome::NotAttempted;
    world.step("odd", Action::SystemCall, ops, vec![]);
    failed(&world.verdict("steps"), &["operation 1, write \"A\\n\" to slot 0, was not attempted"]);
}

fn counted(before: u64, after: u64, expected: u64) -> World {
    let mut world = World::new();
    let mut ops = read("count", format!("{before}\n").into_bytes());
    ops.extend(read("count", format!("{after}\n").into_bytes()));
    let reads = [1, 4].map(|op| Reading { op, of: Observed::Count }).to_vec();
    let step = world.step("measure", Action::SystemCall, ops, reads);
    world.plan.steps[step].expect = Expect::NewRecords(expected);
    world
}

#[test]
fn new_records_are_counted() {
    passed(&counted(7, 9, 2).verdict("steps"));
    failed(&counted(7, 9, 3).verdict("steps"), &["expected 3 new records, the counter went from 7 to 9"]);
    failed(&counted(7, 6, 1).verdict("steps"), &["the counter went from 7 to 6"]);
}

#[test]
fn records_of_a_list_are_counted() {
    for (expected, passes) in [(1, true), (2, false)] {
        let mut world = World::new();
        let (ops, reads) = world.reads(&[(Form::Ascii, Bank::Sha1, false)]);
        let step = world.step("read", Action::SystemCall, ops, reads);
        world.plan.steps[step].expect = Expect::Records(expected);
        let result = world.verdict("steps");
        if passes {
            passed(&result);
        } else {
            failed(&result, &["expected 2 records in the ascii sha1 list, found 1"]);
        }
    }
}

#[test]
fn a_task_that_dies_is_a_finding() {
    let mut world = World::new();
    world.say(Message::TaskEnded { task: 1, status: 139 });
    let (plan, mut trace) = world.finish();
    // The made-up end of the tasks says that all is well.
    trace
        .events
        .retain(|event| !matches!(event.what, What::Guest(Message::TaskEnded { task: 1, status: 0 })));
    failed(&result(&plan, &trace, "steps"), &["task `other` ended with status 139, expected 0"]);
}

#[test]
fn a_guest_that_stops_in_an_operation_is_found_there() {
    let mut world = World::new();
    world.measure(2);
    world.stage();
    world.save();
    let (plan, mut trace) = world.finish();
    let stuck = trace
        .events
        .iter()
        .position(|event| matches!(event.what, What::Guest(Message::OpStarted { step: 1, op: 1, .. })));
    trace.events.truncate(stuck.unwrap() + 1);
    let result = result(&plan, &trace, "steps");
    failed(&result, &["step 1 `stage` (line 11)", "the guest was in operation 1, write \"A\\n\" to slot 0"]);
    failed(&result, &["nor of 1 step after it"]);
    failed(&result, &["step 3 `checkpoint`", "operation 0, open /sys/kernel/security", "was not reached"]);
}

#[test]
fn a_fault_that_never_happened_is_a_finding() {
    let mut world = World::new();
    world.log_kept(record("/m/kept"), 0x101);
    world.trace.events.retain(|event| !matches!(event.what, What::Host(Host::Fault { .. })));
    failed(&world.verdict("steps"), &["happen to 1 TPM command", "it happened to 0"]);
}

/// A world with a task that `ends` while it is at its one step, and one that does `op` to it.
fn ended(op: Op, outcome: Outcome, status: i32) -> World {
    let mut world = World::new();
    world.task = 1;
    world.step("wait", Action::SystemCall, read("list", Vec::new()), vec![]);
    let done = |event: &imalab_trace::Event| {
        matches!(event.what, What::Guest(Message::OpDone { step: 0, op: 1.., .. }))
    };
    world.trace.events.retain(|event| !done(event));
    world.task = 0;
    world.step("end it", Action::SystemCall, vec![(op, outcome, Vec::new())], vec![]);
    world.say(Message::TaskEnded { task: 1, status });
    world
}

/// The verdict, without the made-up message that the other task ends well.
fn verdict(world: World) -> crate::outcome::CheckResult {
    let (plan, mut trace) = world.finish();
    let well = |what: &What| matches!(what, What::Guest(Message::TaskEnded { task: 1, status: 0 }));
    let at = trace.events.iter().rposition(|event| well(&event.what)).unwrap();
    trace.events.remove(at);
    let mut verdict = result(&plan, &trace, "steps");
    // What is left out here is missing in the count of messages too.
    verdict.findings.retain(|finding| !finding.contains("frames before its last"));
    verdict
}

#[rstest]
#[case::killed(Op::Kill { task: 1, signal: 9 }, value(0), 137, &[])]
#[case::otherwise(Op::Kill { task: 1, signal: 9 }, value(0), 139, &["ended with status 139, expected 137"])]
#[case::in_vain(Op::Kill { task: 1, signal: 9 }, Outcome::Errno(EPERM), 0, &["step 0 `wait`", "no result"])]
#[case::never_started(Op::Fork { task: 1 }, Outcome::Errno(11), 0, &[])]
#[case::started(Op::Fork { task: 1 }, value(7), 0, &["step 0 `wait`", "no result"])]
fn a_task_that_the_scenario_ends_owes_nothing_more(
    #[case] op: Op,
    #[case] outcome: Outcome,
    #[case] status: i32,
    #[case] findings: &[&str],
) {
    let mut world = ended(op, outcome, status);
    // That the one operation is not as expected is another matter.
    world.plan.steps[1].expect = Expect::Any;
    let found = verdict(world).findings.join("\n");
    for finding in findings {
        assert!(found.contains(finding), "{found}");
    }
    assert_eq!(found.contains("no result"), findings.contains(&"no result"), "{found}");
    assert_eq!(
        found.contains("ended with"),
        findings.iter().any(|finding| finding.contains("ended with")),
        "{found}"
    );
}

#[rstest]
#[case::as_said(3, None)]
#[case::otherwise(0, Some("task `other` ended with status 0, expected 3"))]
fn a_task_that_exits_has_its_status(#[case] status: i32, #[case] finding: Option<&str>) {
    let mut world = World::new();
    world.task = 1;
    world.step("exit 3", Action::SystemCall, vec![(Op::Exit { status: 3 }, value(0), Vec::new())], vec![]);
    world.trace.events.pop();
    world.task = 0;
    world.say(Message::TaskEnded { task: 1, status });
    let found = verdict(world).findings.join("\n");
    assert!(!found.contains("no result"), "{found}");
    assert_eq!(found.contains("ended with"), finding.is_some(), "{found}");
    assert!(found.contains(finding.unwrap_or_default()), "{found}");
}

#[rstest]
#[case::as_said(Op::Poll { slot: 1, events: 1 }, 5, 5, None)]
#[case::otherwise(Op::Poll { slot: 1, events: 1 }, 5, 1, Some("expected 5 as its value, found 1"))]
#[case::negative(Op::Seek { slot: 1, offset: 0, whence: 1 }, -3, 0, Some("expected -3 as its value, found 0"))]
#[case::short_write_that_is_expected(Op::Write { slot: 1, bytes: vec![0; 9] }, 4, 4, None)]
fn a_value_is_as_expected(
    #[case] op: Op,
    #[case] expected: i64,
    #[case] found: i64,
    #[case] finding: Option<&str>,
) {
    let mut world = World::new();
    let step = world.step("call", Action::SystemCall, vec![(op, Outcome::Value(found), Vec::new())], vec![]);
    world.plan.steps[step].expect = Expect::Value(expected);
    match finding {
        None => passed(&world.verdict("steps")),
        Some(finding) => failed(&world.verdict("steps"), &[finding]),
    }
}

#[rstest]
#[case::by_a_clock(Some(0), true)]
#[case::without(None, false)]
fn steps_whose_clock_ran_out_are_not_attempted(#[case] clock: Option<u16>, #[case] passes: bool) {
    let mut world = World::new();
    let mut ops = write("staged", b"A\n");
    for op in &mut ops {
        op.1 = Outcome::NotAttempted;
    }
    world.step("late", Action::Stage, ops, vec![]);
    world.plan.program.tasks[0].steps[0].clock = clock;
    let result = world.verdict("steps");
    if passes {
        passed(&result);
    } else {
        failed(&result, &["was not attempted"]);
    }
}

#[test]
fn the_earliest_finding_comes_first_whichever_task_it_is_of() {
    let mut world = World::new();
    let refused = |name| {
        let mut ops = write("staged", b"A\n");
        ops[1].1 = Outcome::Errno(EPERM);
        (name, ops)
    };
    // The plan has the first task's steps before the other's.
    let (name, ops) = refused("late");
    world.now = 9_000_000;
    world.step(name, Action::SystemCall, ops, vec![]);
    let (name, ops) = refused("early");
    (world.task, world.now) = (1, 2_000_000);
    world.step(name, Action::SystemCall, ops, vec![]);
    (world.task, world.now) = (0, 10_000_000);
    let findings = world.verdict("steps").findings;
    let place = |name: &str| findings.iter().position(|finding| finding.contains(name)).unwrap();
    assert!(place("`early`") < place("`late`"), "{findings:?}");
}
