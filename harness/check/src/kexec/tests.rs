use imalab_wire::Outcome;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_run::{FakeRun, failed, not_applicable, passed, record, result, write};
use crate::outcome::{Check, During, Outcome as RunOutcome, Reason, Unlike, Verdict};
use crate::{all, judge};
use imalab_formats::ima::Record;
use imalab_language::finding::{Fact, KernelDied, Known};
use imalab_language::plan::{Action, Expect, Plan};
use imalab_language::scenario::{KernelRange, KnownLimit, Lost, Version};
use imalab_trace::{Trace, What};

const EACCES: i32 = 13;
const ESTALE: i32 = 116;

/// A run that has staged 3 of 5 files, and a kernel loaded.
fn loaded() -> FakeRun {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.stage();
    fake.save();
    fake.measure(2);
    fake.checkpoint();
    fake.load();
    fake
}

/// The same after its kexec.
fn carried_with(carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>) -> FakeRun {
    let mut fake = loaded();
    fake.execute_with(carry);
    fake.checkpoint();
    fake
}

fn in_order(staged: Vec<Record>, current: Vec<Record>) -> Vec<Record> {
    [staged, current].concat()
}

/// Asserts that every check passes.
#[track_caller]
fn sound(fake: FakeRun) -> Vec<Fact> {
    let (plan, trace) = fake.finish();
    let results = all(&plan, &trace);
    assert!(results.iter().all(|result| !result.verdict.is_bad()), "{results:#?}");
    result(&plan, &trace, Check::Kexec).facts
}

#[test]
fn a_run_without_kexec_is_none_of_its_business_and_it_says_so() {
    not_applicable(&FakeRun::new().verdict(Check::Kexec), &json!({"code": "kexec/no-kexec-step"}));
}

#[test]
fn every_check_stands_on_one_log_over_kernels() {
    let mut fake = carried_with(in_order);
    fake.measure(2);
    fake.stage_save_delete();
    fake.measure(1);
    fake.load();
    fake.execute();
    let facts = sound(fake);
    // 4 staged, 2 and what a load and an execution record; then 1, and again those two.
    assert!(facts.contains(&Fact::Carried { records: vec![8, 3] }), "{facts:?}");
    assert!(facts.contains(&Fact::Spare { kib: 2 }), "{facts:?}");
    assert!(facts.contains(&Fact::TrueRecords { records: 4 }), "{facts:?}");
    assert!(facts.contains(&Fact::KexecTimes { ms: vec![0, 0] }), "{facts:?}");
}

#[test]
fn records_saved_before_a_kexec_count_once() {
    let (plan, trace) = carried_with(in_order).finish();
    let result = result(&plan, &trace, Check::ExactlyOnce);
    passed(&result);
    assert!(result.facts.contains(&Fact::SavedAgain { records: 4 }), "{result:?}");
}

#[test]
fn a_trim_while_records_were_staged_leaves_a_hole_in_what_is_carried() {
    let mut fake = loaded();
    fake.trim(1);
    fake.execute();
    fake.measure(1);
    fake.checkpoint();
    fake.trim(6);
    fake.load();
    fake.execute();
    sound(fake);
}

#[test]
fn kernels_that_nobody_reads_in_between_are_proved_by_the_last() {
    let mut fake = loaded();
    for _ in 0..10 {
        fake.execute();
        fake.measure(1);
        fake.load();
    }
    let facts = sound(fake);
    let carried = facts.iter().find_map(|fact| match fact {
        Fact::Carried { records } => Some(records.len()),
        _ => None,
    });
    assert_eq!(carried, Some(10), "{facts:?}");
}

#[test]
fn violations_are_carried_and_not_counted_again() {
    let mut fake = loaded();
    fake.violate();
    fake.execute();
    fake.violate();
    sound(fake);
}

#[rstest]
#[case::current_first(|staged: Vec<Record>, current: Vec<Record>| [current, staged].concat(), json!({"number": 1}))]
#[case::staged_lost(|_, current| current, json!({"number": 1}))]
#[case::current_lost(|staged, _| staged, json!({"number": 5}))]
#[case::last_lost(|staged: Vec<Record>, current: Vec<Record>| [staged, current[..3].to_vec()].concat(), json!({"number": 8, "expected_record": null}))]
#[case::one_lost(|staged: Vec<Record>, current: Vec<Record>| [&staged[..], &current[1..]].concat(), json!({"expected_record": {"name": "/m/f-4"}}))]
#[case::doubled(|staged: Vec<Record>, current: Vec<Record>| [&staged[..], &staged[3..], &current].concat(), json!({"found_record": {"name": "/m/f-3"}}))]
#[case::all_lost(|_, _| Vec::new(), json!({"number": 2, "found_record": null, "expected_record": {"name": "/m/f-1"}}))]
#[case::one_more(
    |staged, current| [staged, current, vec![record("/m/new")]].concat(),
    json!({"code": "kexec/no-aggregate", "found_record": {"name": "/m/new", "template": "ima-ng"}})
)]
fn another_list_than_was_left_fails(
    #[case] carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>,
    #[case] mut finding: Value,
) {
    let (plan, trace) = carried_with(carry).finish();
    finding["boot"] = 1.into();
    if finding["code"].is_null() {
        finding["code"] = "kexec/carried-otherwise".into();
    }
    failed(&result(&plan, &trace, Check::Kexec), &finding);
    // Lost, doubled or swapped: the tap saw it too.
    assert_eq!(result(&plan, &trace, Check::ExactlyOnce).verdict, Verdict::Failed);
}

#[test]
fn a_carried_record_may_be_shown_under_another_name_of_its_template() {
    let rename = |staged: Vec<Record>, current: Vec<Record>| {
        let renamed = |record: Record| match &*record.template {
            "d-ng|n-ng" => Record { template: "ima-ng".to_owned(), ..record },
            _ => record,
        };
        [staged, current].concat().into_iter().map(renamed).collect()
    };
    let mut fake = FakeRun::new();
    fake.log(Record { template: "d-ng|n-ng".to_owned(), ..record("/m/other") });
    fake.checkpoint();
    fake.execute_with(rename);
    fake.checkpoint();
    let (plan, trace) = fake.finish();
    for check in [Check::Kexec, Check::ExactlyOnce, Check::Replay] {
        let result = result(&plan, &trace, check);
        let told = serde_json::to_string(&result.findings).unwrap();
        assert!(!told.contains("/m/other"), "{result:#?}");
    }
}

#[test]
fn a_kernel_without_its_aggregate_fails() {
    let mut fake = loaded();
    fake.leave();
    fake.arrive_with(&[], in_order);
    failed(&fake.verdict(Check::Kexec), &json!({"code": "kexec/aggregates", "numbers": [1], "boots": 2}));
}

#[test]
fn a_second_aggregate_fails() {
    let mut fake = carried_with(in_order);
    fake.log(record("boot_aggregate"));
    failed(&fake.verdict(Check::Kexec), &json!({"code": "kexec/aggregates", "numbers": [1, 9, 10]}));
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
#[case::more_bytes(|text: String| with_number(&text, BYTES, |n| n + 1), json!({"code": "kexec/bytes"}))]
#[case::no_header(|text: String| with_number(&text, BYTES, |n| n - 24), json!({"code": "kexec/bytes"}))]
#[case::count(|text: String| with_number(&text, RECORDS, |n| n + 1),
    json!({"code": "kexec/records", "boot": 0, "expected": 6, "found": 7}))]
#[case::small_segment(|text: String| with_number(&text, SEGMENT, |_| 0), json!({"code": "kexec/segment-too-small", "found": 0}))]
#[case::odd_segment(|text: String| with_number(&text, SEGMENT, |n| n + 1), json!({"code": "kexec/odd-segment"}))]
#[case::missing(|text: String| text.replace("count=", "counts="), json!({"code": "kexec/no-numbers"}))]
#[case::more(|text: String| text + "more", json!({"code": "kexec/no-numbers"}))]
#[case::sign(|text: String| text.replace("count=6", "count=+6"), json!({"code": "kexec/no-numbers"}))]
#[case::empty(|_| String::new(), json!({"code": "kexec/no-numbers", "words": ""}))]
fn a_number_that_is_not_true_fails(#[case] tell: fn(String) -> String, #[case] finding: Value) {
    let mut fake = FakeRun::new();
    fake.measure(5);
    fake.tell = tell;
    fake.load();
    fake.execute();
    failed(&fake.verdict(Check::Kexec), &finding);
}

#[test]
fn an_execution_tells_the_segment_of_the_last_load() {
    let mut fake = FakeRun::new();
    fake.measure(1);
    fake.load();
    fake.measure(40);
    fake.load();
    fake.tell = |text| with_number(&text, SEGMENT, |n| n - 4096);
    fake.execute();
    failed(
        &fake.verdict(Check::Kexec),
        &json!({"code": "kexec/other-segment", "record": {"name": "kexec_execute"}}),
    );
}

#[test]
fn segments_of_one_kernel_have_the_same_to_spare() {
    let mut fake = FakeRun::new();
    fake.measure(1);
    fake.load();
    // A load without two pages that the one before it had to spare.
    fake.tell = |text| with_number(&text, SEGMENT, |n| n + 8192);
    fake.load();
    failed(&fake.verdict(Check::Kexec), &json!({"code": "kexec/spare-bytes"}));
}

#[rstest]
#[case::none_made(&|fake: &mut FakeRun| {
    fake.load();
    fake.plan_load();
}, json!({"code": "kexec/loads", "expected": 2, "found": 1}))]
#[case::one_too_many(&|fake: &mut FakeRun| {
    fake.load();
    fake.say_load();
}, json!({"code": "kexec/loads", "expected": 1, "found": 2}))]
#[case::no_execution(&|fake: &mut FakeRun| {
    fake.load();
    fake.leave_silently();
    fake.arrive(in_order);
}, json!({"code": "kexec/executions", "expected": 1, "found": 0}))]
fn each_call_makes_its_record(#[case] story: &dyn Fn(&mut FakeRun), #[case] mut finding: Value) {
    finding["boot"] = 0.into();
    let mut fake = FakeRun::new();
    story(&mut fake);
    failed(&fake.verdict(Check::Kexec), &finding);
}

#[test]
fn a_kernel_that_records_nothing_of_kexec_passes() {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.plan_load();
    fake.leave_silently();
    fake.arrive(in_order);
    sound(fake);
}

fn request(fake: &mut FakeRun, action: Action, text: &[u8], errno: i32) -> usize {
    let mut ops = write("list", text);
    ops[1].1 = Outcome::Errno(errno);
    let step = fake.step("request", action, ops, vec![]);
    fake.plan.steps[step].expect = Expect::Errno(errno);
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
    let mut fake = loaded();
    request(&mut fake, action, text, errno);
    fake.execute();
    failed(&fake.verdict(Check::Kexec), &json!({"code": "kexec/refused-early", "step": {"text": "request"}}));

    let mut fake = loaded();
    fake.leave();
    fake.task = 1;
    request(&mut fake, action, text, errno);
    fake.arrive(in_order);
    let facts = sound(fake);
    assert!(facts.contains(&Fact::RefusedWhileSuspended { requests: 1 }), "{facts:?}");
}

#[test]
fn what_was_refused_once_is_not_granted_later() {
    let mut fake = loaded();
    fake.leave();
    fake.task = 1;
    request(&mut fake, Action::Trim { records: 1 }, b"1\n", ESTALE);
    fake.delete();
    fake.arrive(in_order);
    let result = fake.verdict(Check::Kexec);
    let finding =
        json!({"code": "kexec/granted-late", "step": {"text": "delete"}, "refused": {"text": "request"}});
    failed(&result, &finding);
}

#[rstest]
#[case::won(true)]
#[case::lost(false)]
fn a_delete_that_never_answered_is_told_by_what_was_carried(#[case] won: bool) {
    let mut fake = loaded();
    fake.task = 1;
    fake.delete_unanswered();
    fake.task = 0;
    fake.execute_with(if won { |_, current| current } else { in_order });
    sound(fake);
}

#[test]
fn a_delete_that_was_granted_and_carried_doubles() {
    let mut fake = loaded();
    let staged = fake.staged.clone().unwrap_or_default();
    fake.delete();
    fake.leave();
    fake.staged = Some(staged);
    fake.arrive(in_order);
    let (plan, trace) = fake.finish();
    failed(
        &result(&plan, &trace, Check::Kexec),
        &json!({"code": "kexec/carried-otherwise", "boot": 1, "number": 1}),
    );
    failed(&result(&plan, &trace, Check::ExactlyOnce), &json!({"code": "exactly-once/record-doubled"}));
}

/// What the kernel of the fake run is known to lose.
fn limit(records: Option<u64>, before: Option<Version>) -> KnownLimit {
    KnownLimit {
        kernels: KernelRange { from: None, before },
        why: "the segment is full".to_owned(),
        link: None,
        lost: Lost { kexec: 1, records },
    }
}

/// A kexec that is said to lose `stated` records at the end, and loses what `carry` leaves out.
fn limited(stated: Option<u64>, carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>) -> (Plan, Trace) {
    let mut fake = carried_with(carry);
    fake.plan.known_limit = Some(limit(stated, None));
    fake.measure(1);
    fake.stage_save_delete();
    fake.load();
    fake.execute();
    fake.finish()
}

fn but(lost: usize, staged: Vec<Record>, current: Vec<Record>) -> Vec<Record> {
    let mut all = [staged, current].concat();
    all.truncate(all.len() - lost);
    all
}

#[rstest]
#[case::the_last(Some(1), |staged, current| but(1, staged, current))]
#[case::all_current(Some(4), |staged, current| but(4, staged, current))]
#[case::some_staged(Some(6), |staged, current| but(6, staged, current))]
#[case::all(None, |_, _| Vec::new())]
#[case::all_by_number(Some(8), |_, _| Vec::new())]
fn what_is_known_to_be_lost_is_no_failure_and_no_pass(
    #[case] stated: Option<u64>,
    #[case] carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>,
) {
    let (plan, trace) = limited(stated, carry);
    let results = all(&plan, &trace);
    assert!(results.iter().all(|result| result.verdict == Verdict::Passed), "{results:#?}");
    let judgement = judge::of(&plan, &trace, &results, crate::fake_run::TODAY);
    let shown = Reason::of(Known::LimitShown { why: "the segment is full".to_owned() });
    assert_eq!((judgement.outcome, judgement.reason), (RunOutcome::KnownLimit, Some(shown)));
    let fact = Fact::LostAsKnown { records: stated.unwrap_or(8), kexec: 1 };
    assert!(result(&plan, &trace, Check::ExactlyOnce).facts.contains(&fact), "{results:#?}");
}

#[rstest]
#[case::more(Some(2), |staged, current| but(3, staged, current), false)]
#[case::less(Some(2), |staged, current| but(1, staged, current), false)]
#[case::others(Some(1), |staged, current: Vec<Record>| [staged, current[1..].to_vec()].concat(), false)]
#[case::all_instead_of_some(Some(2), |_, _| Vec::new(), false)]
#[case::nothing(Some(2), in_order, true)]
fn what_is_lost_otherwise_fails(
    #[case] stated: Option<u64>,
    #[case] carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>,
    #[case] gone: bool,
) {
    let (plan, trace) = limited(stated, carry);
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::Failed, "{judgement:?}");
    let reason = judgement.reason.unwrap();
    assert_eq!(reason.finding.code() == "known/limit-gone", gone, "{reason:?}");
    assert_eq!(reason.unlike == Some(Unlike::BeyondLimit), !gone, "{reason:?}");
}

#[test]
fn a_limit_of_other_kernels_excuses_nothing() {
    let (mut plan, trace) = limited(Some(1), |staged, current| but(1, staged, current));
    plan.known_limit = Some(limit(Some(1), Some(Version(7, 3, 0))));
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::Failed, "{judgement:?}");
    let reason = judgement.reason.unwrap();
    assert!(reason.unlike.is_none() && reason.check.is_some(), "{reason:?}");
}

/// A panic that is asked for, after 3 records were staged and 2 measured; the kernel for it begins with what `carry` makes
/// of them.
fn crashed(carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.plan.known_limit = Some(limit(None, None));
    fake.measure(3);
    fake.stage();
    fake.save();
    fake.measure(2);
    fake.checkpoint();
    fake.panic();
    fake.arrive(carry);
    fake.measure(1);
    fake.stage_save_delete();
    fake
}

#[test]
fn a_crash_kernel_without_the_list_is_as_stated() {
    let (plan, trace) = crashed(|_, _| Vec::new()).finish();
    let results = all(&plan, &trace);
    assert!(results.iter().all(|result| result.verdict == Verdict::Passed), "{results:#?}");
    assert_eq!(judge::of(&plan, &trace, &results, crate::fake_run::TODAY).outcome, RunOutcome::KnownLimit);
}

#[test]
fn a_crash_kernel_with_the_list_is_not_as_stated() {
    let (plan, trace) = crashed(in_order).finish();
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::Failed, "{judgement:?}");
}

#[test]
fn a_panic_that_nothing_goes_on_after_is_a_kernel_that_died() {
    let mut fake = FakeRun::new();
    fake.panic();
    let (plan, mut trace) = fake.finish();
    for event in &mut trace.events {
        if let What::Qmp(value) = &mut event.what {
            *value = json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}});
        }
    }
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::KernelDied, "{judgement:?}");
    let reason =
        Reason { during: vec![During::BetweenKernels], ..Reason::of(KernelDied::NoKernelAfterPanic {}) };
    assert_eq!(judgement.reason, Some(reason));
}
