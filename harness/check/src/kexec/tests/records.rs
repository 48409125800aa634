//! What records of kexec say.

use rstest::rstest;
use serde_json::{Value, json};

use super::{in_order, sound};
use crate::fake_run::{FakeRun, failed};
use crate::outcome::Check;

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
