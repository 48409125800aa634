//! Whatever a guest sends becomes a finding of `steps`, and never a panic.

use imalab_wire::{Message, Op, Outcome, Piece};
use rstest::rstest;
use serde_json::{Value, json};

use super::Evidence;
use crate::fake_run::{FakeRun, failed, read, result, value, write};
use crate::outcome::{Check, CheckResult, Verdict};
use imalab_language::plan::{Action, Observed, Reading};
use imalab_trace::{Event, Origin, Trace, What};

fn fake() -> FakeRun {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.stage_save_delete();
    fake
}

fn done(task: u16, step: u32, op: u16) -> Message {
    Message::OpDone { task, step, op, begin_ns: 1_000, end_ns: 1_001, outcome: Outcome::Value(0) }
}

fn data(step: u32, op: u16, offset: u64) -> Message {
    Message::Data(Piece { task: 0, step, op, offset, bytes: vec![1, 2, 3] })
}

#[rstest]
#[case::unknown_step(done(0, 77, 0), json!({"code": "trace/unknown-step", "step_id": 77}))]
#[case::unknown_step_started(Message::OpStarted { task: 0, step: 77, op: 0, at_ns: 0 }, json!({"code": "trace/unknown-step"}))]
#[case::unknown_step_data(data(77, 0, 0), json!({"code": "trace/unknown-step", "step_id": 77}))]
#[case::unknown_op(done(0, 1, 9), json!({"code": "trace/unknown-operation", "step_id": 1, "operation_number": 9, "operations": 3}))]
#[case::wrong_task(done(1, 1, 0), json!({"code": "trace/wrong-task", "step_id": 1, "expected": 0, "found": 1}))]
#[case::unknown_task(Message::TaskEnded { task: 8, status: 0 }, json!({"code": "trace/unknown-task", "task_id": 8}))]
#[case::unknown_task_started(Message::TaskStarted { task: 8, pid: 1 }, json!({"code": "trace/unknown-task", "task_id": 8}))]
#[case::ended_twice(done(0, 1, 1), json!({"code": "trace/ended-twice", "step_id": 1, "operation_number": 1}))]
#[case::data_of_a_write(data(1, 1, 0), json!({"code": "trace/unexpected-data", "step_id": 1, "operation_number": 1}))]
#[case::data_too_late(data(2, 1, 0), json!({"code": "trace/unexpected-data", "step_id": 2, "operation_number": 1}))]
#[case::version(
    Message::Hello { version: 9, token: 7, boot: 0, release: String::new(), at_ns: 0 },
    json!({"code": "trace/agent-version", "found": 9, "expected": imalab_wire::VERSION})
)]
#[case::token(
    Message::Hello { version: imalab_wire::VERSION, token: 8, boot: 0, release: String::new(), at_ns: 0 },
    json!({"code": "trace/other-program", "found": "0x8", "expected": "0x7"})
)]
#[case::done_early(Message::Done { ops: 0, frames: 0 }, json!({"code": "trace/after-done"}))]
#[case::done_counts(Message::Done { ops: 0, frames: 0 }, json!({"code": "trace/sent-count", "of": "operations", "expected": 0, "found": 10}))]
#[case::done_frames(Message::Done { ops: 0, frames: 0 }, json!({"code": "trace/sent-count", "of": "frames before its last", "expected": 0}))]
fn what_does_not_fit_is_a_finding(#[case] message: Message, #[case] finding: Value) {
    let mut fake = fake();
    fake.say(message);
    failed(&fake.verdict(Check::Steps), &finding);
}

#[rstest]
#[case::no_hello(
    &|event: &Event| !matches!(event.what, What::Guest(Message::Hello { .. })),
    json!({"code": "trace/before-hello"})
)]
#[case::lost_piece(
    &|event: &Event| !matches!(&event.what, What::Guest(Message::Data(piece)) if piece.offset == 700),
    json!({"code": "trace/data-gap", "expected": 700, "found": 1400})
)]
#[case::lost_last_piece(
    &|event: &Event| !matches!(&event.what, What::Guest(Message::Data(piece)) if piece.offset >= 700),
    json!({"code": "trace/data-short", "found": 700})
)]
#[case::lost_frame(
    &|event: &Event| !matches!(event.what, What::Guest(Message::OpStarted { step: 1, op: 1, .. })),
    json!({"code": "trace/sent-count", "of": "frames before its last"})
)]
fn what_is_lost_is_a_finding(#[case] stays: &dyn Fn(&Event) -> bool, #[case] finding: Value) {
    let mut fake = fake();
    fake.measure(10);
    let (plan, mut trace) = fake.finish();
    trace.events.retain(stays);
    failed(&result(&plan, &trace, Check::Steps), &finding);
}

#[test]
fn a_clock_that_runs_backwards_is_a_finding() {
    let mut fake = fake();
    fake.now = 0;
    fake.measure(1);
    failed(&fake.verdict(Check::Steps), &json!({"code": "trace/backwards", "begin_ns": 0}));
}

#[rstest]
#[case(b"seven\n", "seven")]
#[case(b"-1\n", "-1")]
#[case(b"", "")]
#[case(b"99999999999999999999999\n", "99999999999999999999999")]
#[case(b"9\n1", "9\\n1")]
#[case(b"9\nx\n", "9\\nx")]
#[case(b"\n9\n", "\\n9")]
fn a_counter_is_a_number(#[case] text: &[u8], #[case] words: &str) {
    let mut fake = FakeRun::new();
    let reads = vec![Reading { op: 1, of: Observed::Violations }];
    fake.step("count", Action::SystemCall, read("violations", text.to_vec()), reads);
    failed(&fake.verdict(Check::Steps), &json!({"code": "trace/not-decimal", "words": words}));
}

#[rstest]
#[case::nine_became_ten(b"9\n\n", 9)]
#[case::nine_became_a_hundred(b"9\n0\n", 9)]
fn a_counter_may_have_more_digits_at_the_second_read(#[case] text: &[u8], #[case] value: u64) {
    let run = || {
        let mut fake = FakeRun::new();
        let reads = vec![Reading { op: 1, of: Observed::Violations }];
        fake.step("count", Action::SystemCall, read("violations", text.to_vec()), reads);
        fake
    };
    assert_eq!(run().verdict(Check::Steps).verdict, Verdict::Passed);
    let (plan, trace) = run().finish();
    let evidence = Evidence::of(&plan, &trace);
    assert!(evidence.counters.iter().any(|seen| seen.of == Observed::Violations && seen.value == value));
}

#[rstest]
#[case::read_at(Op::ReadAt { slot: 0, offset: 7, bytes: 9, send: true }, 9, true)]
#[case::splice(Op::SpliceOut { slot: 0, bytes: 9 }, 9, true)]
#[case::search(Op::FindQuoted { tpm: String::new(), slot: 0, chunk: 9, send: true, account: true }, 2, false)]
fn every_operation_that_reads_may_send(#[case] op: Op, #[case] number: usize, #[case] bytes: bool) {
    let mut whole = FakeRun::new();
    whole.step("read", Action::SystemCall, vec![(op.clone(), value(number), vec![1; 9])], Vec::new());
    assert_eq!(whole.verdict(Check::Steps).verdict, Verdict::Passed);
    let mut short = FakeRun::new();
    short.step("read", Action::SystemCall, vec![(op, value(number), vec![1; 8])], Vec::new());
    // Only the number of a search is not one of bytes.
    match bytes {
        true => failed(
            &short.verdict(Check::Steps),
            &json!({"code": "trace/data-short", "expected": 9, "found": 8}),
        ),
        false => assert_eq!(short.verdict(Check::Steps).verdict, Verdict::Passed),
    }
}

#[test]
fn a_reading_has_to_be_sent() {
    let mut fake = FakeRun::new();
    let reads = vec![Reading { op: 0, of: Observed::Count }];
    fake.step("count", Action::SystemCall, read("count", b"1\n".to_vec()), reads);
    failed(&fake.verdict(Check::Steps), &json!({"code": "trace/not-sent", "step_id": 0}));
}

#[test]
fn a_plan_that_is_not_its_program_is_a_finding() {
    let mut fake = FakeRun::new();
    fake.measure(1);
    fake.plan.program.tasks[0].steps.clear();
    failed(&fake.verdict(Check::Steps), &json!({"code": "trace/not-in-program", "step_id": 0}));
}

#[test]
fn marks_are_planned_and_read_once() {
    let mut fake = FakeRun::new();
    fake.checkpoint();
    fake.read_pcrs(1);
    fake.read_pcrs(8);
    let result = fake.verdict(Check::Steps);
    failed(&result, &json!({"code": "trace/mark-twice", "mark": 1}));
    failed(&result, &json!({"code": "trace/unknown-mark", "mark": 8}));
}

const PCR_10: [u8; 4] = [0, 0, 0, 10];
const EMPTY_AUTH: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];

#[rstest]
#[case::event(0x8002, 0x13c, [&PCR_10[..], &EMPTY_AUTH, &[0, 1, 7]].concat(), foreign("TPM2_PCR_Event for PCR 10"))]
#[case::sequence(
    0x8002, 0x185,
    [&PCR_10[..], &[0x80, 0, 0, 1], &[0, 0, 0, 18], &EMPTY_AUTH[4..], &EMPTY_AUTH[4..], &[0, 1, 7]].concat(),
    foreign("TPM2_EventSequenceComplete for PCR 10")
)]
#[case::reset(0x8002, 0x13d, [&PCR_10[..], &EMPTY_AUTH].concat(), foreign("TPM2_PCR_Reset for PCR 10"))]
#[case::startup(0x8001, 0x144, vec![0, 0], json!({"code": "trace/tpm-reset"}))]
#[case::malformed(0x8002, 0x182, PCR_10.to_vec(), json!({"code": "trace/malformed-extend"}))]
fn the_guest_leaves_the_pcr_to_ima(
    #[case] tag: u16,
    #[case] code: u32,
    #[case] body: Vec<u8>,
    #[case] finding: Value,
) {
    for (answer, refused) in [(0, false), (0x101, true)] {
        let mut fake = fake();
        fake.tpm(Origin::Guest, tag, code, &body, answer);
        let result = fake.verdict(Check::Steps);
        if refused {
            crate::fake_run::passed(&result);
        } else {
            failed(&result, &finding);
        }
    }
}

fn foreign(command: &str) -> Value {
    json!({"code": "trace/foreign-command", "command": command})
}

#[test]
fn a_run_that_was_cut_off_never_passes() {
    let (plan, trace) = fake().finish();
    // The last event, QEMU's own end, says nothing about the guest.
    for length in 0..trace.events.len() - 1 {
        let part = Trace::from(trace.events[..length].to_vec());
        let results = crate::all(&plan, &part);
        let other = |result: &CheckResult| result.verdict != Verdict::Passed && result.check != Check::Mutex;
        assert!(results.iter().any(other), "{length}");
    }
}

#[test]
fn a_trace_without_any_one_event_is_judged() {
    let (plan, trace) = fake().finish();
    for left_out in 0..trace.events.len() {
        let mut part = trace.clone();
        part.events.remove(left_out);
        assert_eq!(crate::all(&plan, &part).len(), Check::INVARIANTS.len());
    }
}

#[rstest]
#[case::killed(true, 137, true)]
// Whoever says that a task is gone has to have killed it, or to be PID 1 after all of them.
#[case::still_there(false, 0, false)]
fn a_task_that_was_killed_measures_nothing_more(
    #[case] kill: bool,
    #[case] status: i32,
    #[case] quiescent: bool,
) {
    let mut fake = FakeRun::new();
    fake.task = 1;
    fake.step("open", Action::SystemCall, write("list", b"x"), vec![]);
    let unfinished = |what: &What| {
        matches!(
            what,
            What::Guest(
                Message::OpDone { step: 0, op: 1.., .. } | Message::OpStarted { step: 0, op: 2.., .. }
            )
        )
    };
    fake.trace.events.retain(|event| !unfinished(&event.what));
    fake.task = 0;
    if kill {
        fake.step(
            "kill",
            Action::SystemCall,
            vec![(Op::Kill { task: 1, signal: 9 }, value(0), vec![])],
            vec![],
        );
        fake.say(Message::TaskEnded { task: 1, status });
    }
    let checkpoint = fake.checkpoint();
    let (plan, trace) = fake.finish();
    assert_eq!(Evidence::of(&plan, &trace).quiescent(checkpoint), quiescent);
}

/// A guest may send so many extends that the TPM refuses, or that have no digest of a bank: memory is not for them.
#[rstest]
#[case::refused(0x101, false, "more than 10000 extends of the guest were refused")]
#[case::odd(0, true, "more than 10000 extends of the guest have not just one digest for each bank")]
fn extends_without_end_are_cut_off_and_told(#[case] code: u32, #[case] odd: bool, #[case] why: &str) {
    let mut fake = FakeRun::new();
    fake.measure(1);
    let digest = crate::fake_run::record("/m/x").extend_digest(imalab_formats::ima::Bank::Sha256);
    for _ in 0..10_001 {
        let digests = if odd { Vec::new() } else { vec![digest] };
        fake.extend_with(11, digests, code);
    }
    let (plan, trace) = fake.finish();
    let evidence = Evidence::of(&plan, &trace);
    assert!(evidence.trouble.as_ref().is_some_and(|told| told.starts_with(why)), "{:?}", evidence.trouble);
    let results = crate::all(&plan, &trace);
    assert!(results.iter().all(|result| result.verdict != Verdict::Passed), "{results:?}");
}
