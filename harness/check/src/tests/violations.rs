//! The counter of violations over a kexec: both behaviours are known, and a kernel is held to the one that it showed.

use rstest::rstest;
use serde_json::json;

use crate::all;
use crate::fake_run::{FakeRun, failed, has, passed, result};
use crate::outcome::Check;
use imalab_language::finding::{CounterAtKexec, Fact};

/// A fake run with two violations in its list that goes on in another kernel, whose counter then shows `shows`.
fn carried(shows: u64) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.violate();
    fake.violate();
    fake.checkpoint();
    next(&mut fake, shows);
    fake
}

fn next(fake: &mut FakeRun, shows: u64) {
    fake.load();
    fake.execute();
    fake.violations = shows;
    fake.checkpoint();
}

#[rstest]
#[case::afresh(0, 0, CounterAtKexec::BeginsAfresh)]
#[case::taken_over(2, 3, CounterAtKexec::CountsCarried)]
fn a_kernel_may_begin_afresh_or_take_over(
    #[case] first: u64,
    #[case] second: u64,
    #[case] counter: CounterAtKexec,
) {
    let mut fake = carried(first);
    fake.violate();
    fake.checkpoint();
    next(&mut fake, second);
    let (plan, trace) = fake.finish();
    all(&plan, &trace).iter().for_each(passed);
    let result = result(&plan, &trace, Check::Replay);
    assert!(result.facts.contains(&Fact::ViolationsAtKexec { counter }), "{result:#?}");
}

/// Two violations are saved and deleted before a third is carried.
#[rstest]
#[case::afresh(0, CounterAtKexec::BeginsAfresh)]
#[case::carried(1, CounterAtKexec::CountsCarried)]
#[case::total(3, CounterAtKexec::GoesOn)]
fn what_was_deleted_may_count_or_not(#[case] shows: u64, #[case] counter: CounterAtKexec) {
    let mut fake = FakeRun::new();
    fake.violate();
    fake.violate();
    fake.stage_save_delete();
    fake.violate();
    fake.checkpoint();
    next(&mut fake, shows);
    let (plan, trace) = fake.finish();
    all(&plan, &trace).iter().for_each(passed);
    let result = result(&plan, &trace, Check::Replay);
    assert!(result.facts.contains(&Fact::ViolationsAtKexec { counter }), "{result:#?}");
}

#[rstest]
#[case::neither(1)]
#[case::too_many(3)]
fn anything_else_is_found(#[case] shows: u64) {
    let (plan, trace) = carried(shows).finish();
    let finding =
        json!({"code": "replay/violations", "boot": 1, "expected": 0, "found": shows, "from_before": 0});
    failed(&result(&plan, &trace, Check::Replay), &finding);
    let model = result(&plan, &trace, Check::Model);
    assert!(has(&model, &json!({"promise": {"rule": "violations-counted"}})), "{model:#?}");
}

#[test]
fn what_was_taken_over_is_not_forgotten() {
    let mut fake = carried(2);
    fake.violations = 0;
    fake.checkpoint();
    let (plan, trace) = fake.finish();
    failed(
        &result(&plan, &trace, Check::Replay),
        &json!({"code": "replay/violations", "expected": 2, "found": 0, "from_before": 2}),
    );
}

#[test]
fn one_kernel_does_the_same_at_each_kexec() {
    let mut fake = carried(2);
    next(&mut fake, 0);
    let (plan, trace) = fake.finish();
    failed(
        &result(&plan, &trace, Check::Replay),
        &json!({"code": "replay/violations", "expected": 2, "found": 0, "from_before": 2}),
    );
}
