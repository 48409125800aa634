mod carried;
mod limits;
mod records;
mod suspended;

use serde_json::json;

use crate::all;
use crate::fake_run::{FakeRun, not_applicable, result};
use crate::outcome::Check;
use imalab_formats::ima::Record;
use imalab_language::finding::Fact;

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
