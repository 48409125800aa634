use rstest::rstest;
use serde_json::json;

use crate::fake_run::{FakeRun, failed, not_applicable, passed};
use crate::outcome::{Check, CheckResult, Verdict};
use imalab_trace::{Host, MutexHold, What};

/// A trim after so many appends that held the mutex for so many blocks.
fn hold(appends: u64, blocks: u64) -> MutexHold {
    MutexHold {
        function: "ima_queue_delete_partial".to_owned(),
        appends,
        waited: 20,
        held: 9 * blocks,
        blocks,
    }
}

/// What a run tells of them: how many were appended so far, by whichever function.
fn told(mut holds: Vec<MutexHold>) -> What {
    let mut appended = 0;
    for hold in &mut holds {
        appended += hold.appends;
        hold.appends = appended;
    }
    What::Host(Host::Holds { holds })
}

fn judged(holds: Vec<MutexHold>) -> CheckResult {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.see(told(holds));
    fake.verdict(Check::Mutex)
}

/// As often as is needed.
fn thrice(hold: MutexHold) -> impl Iterator<Item = MutexHold> {
    std::iter::repeat_n(hold, 3)
}

#[test]
fn a_hold_that_does_not_grow_passes_and_says_what_it_rests_on() {
    let result = judged(thrice(hold(8, 100)).chain(thrice(hold(512, 104))).collect());
    passed(&result);
    assert_eq!(result.compared["holds of the mutex"], 6);
}

#[test]
fn a_hold_that_grows_with_the_list_fails() {
    let result = judged(thrice(hold(8, 100)).chain(thrice(hold(512, 4096))).collect());
    failed(
        &result,
        &json!({
            "code": "mutex/grows", "asked_by": "ima_queue_delete_partial", "few_appends": 8, "held_after_few": 100,
            "many_appends": 512, "held_after_many": 4096, "growth": 89,
        }),
    );
}

#[rstest]
#[case::trim("ima_queue_delete_partial", false)]
#[case::delete("ima_queue_staged_delete_all", true)]
fn a_delete_may_not_grow_at_all(#[case] function: &str, #[case] fails: bool) {
    let by = |hold: MutexHold| thrice(MutexHold { function: function.to_owned(), ..hold });
    let result = judged(by(hold(8, 100)).chain(by(hold(512, 110))).collect());
    assert_eq!(result.verdict == Verdict::Failed, fails, "{result:#?}");
}

#[test]
fn the_shortest_of_several_counts() {
    let sound =
        judged(thrice(hold(8, 100)).chain([9000, 8000, 100].map(|blocks| hold(512, blocks))).collect());
    passed(&sound);
    assert_eq!(sound.compared["holds of the mutex"], 6);
}

#[test]
fn what_else_ran_meanwhile_does_not_count() {
    let preempted = MutexHold { held: 90_000, ..hold(512, 100) };
    let sound = judged(thrice(hold(8, 100)).chain(thrice(preempted)).collect());
    passed(&sound);
    assert_eq!(sound.compared["holds of the mutex"], 6);
}

#[rstest]
#[case::too_few_of_one(vec![hold(512, 4096), hold(512, 4096)])]
#[case::much_the_same_length(thrice(hold(32, 4096)).collect())]
#[case::none_appended(thrice(hold(0, 4096)).collect())]
#[case::of_another_function(thrice(MutexHold { function: "ima_queue_stage".to_owned(), ..hold(512, 4096) }).collect())]
fn lists_of_one_length_show_no_growth(#[case] others: Vec<MutexHold>) {
    let result = judged(thrice(hold(8, 100)).chain(others).collect());
    not_applicable(&result, &json!({"code": "mutex/one-length"}));
}

#[test]
fn what_nobody_counted_is_none_of_its_business() {
    let mut fake = FakeRun::new();
    fake.measure(3);
    not_applicable(&fake.verdict(Check::Mutex), &json!({"code": "mutex/not-counted"}));
}

#[test]
fn who_promised_nothing_is_not_held_to_it() {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.see(told(thrice(hold(8, 1)).chain(thrice(hold(512, 999))).collect()));
    let (mut plan, trace) = fake.finish();
    plan.interface = imalab_language::plan::Interface::RFC_V2;
    let result = crate::fake_run::result(&plan, &trace, Check::Mutex);
    not_applicable(&result, &json!({"code": "mutex/not-promised"}));
}
