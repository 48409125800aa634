//! What a kernel begins with.

use rstest::rstest;
use serde_json::{Value, json};

use super::{carried_with, in_order, loaded, sound};
use crate::fake_run::{FakeRun, failed, passed, record, result};
use crate::outcome::{Check, Verdict};
use imalab_formats::ima::Record;
use imalab_language::finding::Fact;

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
