use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_run::{FakeRun, could_not_run, failed, is, passed, record, result, story, violation};
use crate::outcome::Check;
use imalab_formats::ima::{Bank, Digest};
use imalab_language::finding::Fact;

#[rstest]
#[case::nothing(&|_: &mut FakeRun| {})]
#[case::staged(&|fake: &mut FakeRun| { fake.stage(); })]
#[case::staged_and_saved(&|fake: &mut FakeRun| { fake.stage(); fake.save(); })]
#[case::taken_out(&FakeRun::stage_save_delete)]
#[case::taken_out_twice(&|fake: &mut FakeRun| {
    fake.stage_save_delete();
    fake.measure(3);
    fake.stage_save_delete();
})]
#[case::trimmed(&|fake: &mut FakeRun| { fake.trim(2); })]
#[case::trimmed_all(&|fake: &mut FakeRun| { fake.trim(6); })]
#[case::trimmed_while_staged(&|fake: &mut FakeRun| {
    fake.stage();
    fake.measure(3);
    fake.trim(2);
    fake.save();
    fake.delete();
})]
#[case::violations(&|fake: &mut FakeRun| { fake.violate(); fake.violate(); })]
#[case::measured_again(&|fake: &mut FakeRun| { fake.log(record("/m/f-1")); })]
fn sound_runs_pass(#[case] story_of: &dyn Fn(&mut FakeRun)) {
    passed(&story(story_of).verdict(Check::ExactlyOnce));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let result = story(FakeRun::stage_save_delete).verdict(Check::ExactlyOnce);
    assert_eq!((result.compared["extends"], result.compared["records"]), (8, 8));
    assert_eq!(result.facts, [Fact::Banks { banks: vec!["sha1".to_owned(), "sha256".to_owned()] }]);
}

#[rstest]
#[case::lost(
    &|fake: &mut FakeRun| { fake.current.remove(3); },
    json!({
        "code": "exactly-once/record-lost", "records": 1, "extend": {"number": 4, "record": "/m/f-3"},
        "after": {"number": 3, "name": "/m/f-2", "place": {"list": "current"}}, "before": {"number": 4, "name": "/m/f-4"},
        "totals": {"extends": 8, "records": 7, "lost": 1},
    })
)]
#[case::lost_range(
    &|fake: &mut FakeRun| { fake.current.drain(2..5); },
    json!({
        "code": "exactly-once/record-lost", "records": 3, "extend": {"number": 3},
        "totals": {"lost": 3, "doubled": 0, "never_extended": 0},
    })
)]
#[case::lost_at_the_end(
    &|fake: &mut FakeRun| { fake.extend(&record("/m/gone")); },
    json!({"code": "exactly-once/record-lost", "extend": {"number": 7, "record": null, "violation": false}})
)]
#[case::lost_violation(&|fake: &mut FakeRun| { fake.extend(&violation("/m/v")); }, 
    json!({"code": "exactly-once/record-lost", "extend": {"number": 7, "violation": true}})
)]
#[case::lost_while_staged(
    &|fake: &mut FakeRun| {
        fake.stage();
        fake.staged.as_mut().unwrap().remove(5);
        fake.save();
        fake.delete();
    },
    json!({
        "code": "exactly-once/record-lost", "extend": {"number": 6},
        "after": {"place": {"list": "saved", "number": 5, "step": {"id": 3, "text": "save", "line": 13}}},
    })
)]
#[case::doubled(
    &|fake: &mut FakeRun| { let twin = fake.current[3].clone(); fake.current.insert(3, twin); },
    json!({
        "code": "exactly-once/record-doubled", "record": {"number": 5, "name": "/m/f-3"}, "extended": 1, "extend_number": 4,
        "twin": {"number": 4}, "totals": {"doubled": 1},
    })
)]
#[case::doubled_across_staging(
    &|fake: &mut FakeRun| {
        fake.stage();
        fake.save();
        let twin = fake.staged.as_ref().unwrap()[5].clone();
        fake.delete();
        fake.current.push(twin);
    },
    json!({
        "code": "exactly-once/record-doubled", "record": {"number": 7, "name": "/m/f-5"},
        "twin": {"number": 6, "name": "/m/f-5", "place": {"list": "saved"}},
    })
)]
#[case::swapped(
    &|fake: &mut FakeRun| { fake.current.swap(2, 3); },
    json!({
        "code": "exactly-once/records-swapped", "record": {"number": 3, "name": "/m/f-3"}, "extend_number": 4,
        "other": {"number": 4, "name": "/m/f-2"}, "other_extend_number": 3,
    })
)]
#[case::moved(
    &|fake: &mut FakeRun| { let moved = fake.current.remove(1); fake.current.push(moved); },
    json!({
        "code": "exactly-once/out-of-order", "record": {"number": 2, "name": "/m/f-2"},
        "other": {"number": 6, "name": "/m/f-1"},
    })
)]
#[case::never_extended(
    &|fake: &mut FakeRun| { fake.current.push(record("/m/extra")); },
    json!({"code": "exactly-once/never-extended", "record": {"number": 7, "name": "/m/extra"}})
)]
#[case::extend_failed(
    &|fake: &mut FakeRun| {
        let late = record("/m/late");
        fake.extend_with(10, vec![late.extend_digest(Bank::Sha1), late.extend_digest(Bank::Sha256)], 0x922);
        fake.current.push(late);
    },
    json!({"code": "exactly-once/extend-failed", "record": {"number": 7, "name": "/m/late"}, "response": 0x922})
)]
#[case::wrong_pcr(
    &|fake: &mut FakeRun| {
        let astray = record("/m/astray");
        fake.extend_with(11, vec![astray.extend_digest(Bank::Sha1), astray.extend_digest(Bank::Sha256)], 0);
        fake.current.push(astray);
    },
    json!({"code": "exactly-once/extended-elsewhere", "record": {"number": 7, "name": "/m/astray"}, "pcr": 11})
)]
#[case::wrong_digest_in_one_bank(
    &|fake: &mut FakeRun| {
        let torn = record("/m/torn");
        fake.extend_with(10, vec![torn.extend_digest(Bank::Sha1), Digest::zero(Bank::Sha256)], 0);
        fake.current.push(torn);
    },
    json!({
        "code": "exactly-once/wrong-digest", "record": {"number": 7, "name": "/m/torn"}, "bank": "sha256", "padded_sha1": false,
    })
)]
#[case::padded_sha1(
    &|fake: &mut FakeRun| {
        let padded = record("/m/padded");
        let sha1 = padded.extend_digest(Bank::Sha1);
        let digest = [sha1.as_bytes(), &[0; 12]].concat();
        fake.extend_with(10, vec![sha1, Digest::from_bytes(Bank::Sha256, &digest).unwrap()], 0);
        fake.current.push(padded);
    },
    json!({"code": "exactly-once/wrong-digest", "bank": "sha256", "padded_sha1": true})
)]
#[case::bank_left_out(
    &|fake: &mut FakeRun| {
        let half = record("/m/half");
        fake.extend_with(10, vec![half.extend_digest(Bank::Sha1)], 0);
        fake.current.push(half);
    },
    json!({
        "code": "exactly-once/banks", "extend": {"number": 7}, "missing": ["sha256"], "foreign": [], "affected": 1, "extends": 9,
    })
)]
#[case::bank_too_many(
    &|fake: &mut FakeRun| {
        let more = record("/m/more");
        let digests = [Bank::Sha1, Bank::Sha256, Bank::Sha384].map(|bank| more.extend_digest(bank));
        fake.extend_with(10, digests.to_vec(), 0);
        fake.current.push(more);
    },
    json!({"code": "exactly-once/banks", "missing": [], "foreign": ["0x000c"]})
)]
#[case::violation_extended_as_a_record(
    &|fake: &mut FakeRun| { fake.extend(&record("/m/v")); fake.current.push(violation("/m/v")); },
    json!({"code": "exactly-once/never-extended"})
)]
#[case::deleted_unsaved(
    &|fake: &mut FakeRun| { fake.stage(); fake.delete(); },
    json!({
        "code": "exactly-once/removed-unsaved", "step": {"id": 3, "text": "delete"}, "records": null, "number": 1,
    })
)]
#[case::staged_twice(
    &|fake: &mut FakeRun| { fake.stage(); fake.save(); fake.measure(1); fake.stage(); fake.save(); fake.delete(); },
    json!({"code": "exactly-once/staged-over"})
)]
#[case::deleted_nothing(
    &|fake: &mut FakeRun| { fake.delete(); },
    json!({"code": "exactly-once/deleted-nothing"})
)]
#[case::staged_list_lives_on(
    &|fake: &mut FakeRun| {
        fake.stage_save_delete();
        fake.staged = Some(vec![record("/m/f-1")]);
        fake.checkpoint();
    },
    json!({"code": "exactly-once/staged-from-nowhere", "records": 1})
)]
#[case::staged_list_changes(
    &|fake: &mut FakeRun| {
        fake.stage();
        fake.save();
        fake.staged.as_mut().unwrap().pop();
        fake.save();
        fake.delete();
    },
    json!({"code": "exactly-once/staged-changed", "earlier": {"id": 3, "text": "save"}, "number": 6})
)]
#[case::a_reader_sees_another_record(
    &|fake: &mut FakeRun| {
        let true_one = std::mem::replace(&mut fake.current[4], record("/m/false"));
        fake.trim(2);
        fake.current[2] = true_one;
    },
    json!({
        "code": "exactly-once/misread", "step": {"id": 2, "text": "trim"}, "number": 5,
        "found_record": {"name": "/m/false"}, "expected_record": {"name": "/m/f-4"},
    })
)]
#[case::a_reader_sees_one_too_many(
    &|fake: &mut FakeRun| {
        fake.measure(2);
        fake.current.push(record("/m/false"));
        fake.trim(2);
        fake.current.pop();
    },
    json!({
        "code": "exactly-once/misread", "step": {"id": 3}, "number": 9,
        "found_record": {"name": "/m/false"}, "expected_record": {"name": "/m/f-8"},
    })
)]
#[case::a_checkpoint_sees_another_order(
    &|fake: &mut FakeRun| {
        fake.current.swap(1, 2);
        fake.checkpoint();
        fake.current.swap(1, 2);
    },
    json!({
        "code": "exactly-once/misread", "step": {"id": 2, "text": "checkpoint"}, "number": 2,
        "found_record": {"name": "/m/f-2"}, "expected_record": {"name": "/m/f-1"},
    })
)]
fn every_difference_is_found(#[case] sabotage: &dyn Fn(&mut FakeRun), #[case] finding: Value) {
    failed(&story(sabotage).verdict(Check::ExactlyOnce), &finding);
}

#[test]
fn every_finding_of_a_loss_tells_of_that_loss() {
    let result = story(|fake| {
        fake.current.remove(3);
    })
    .verdict(Check::ExactlyOnce);
    assert_eq!(result.findings.len(), 1, "{result:#?}");
}

#[test]
fn without_a_checkpoint_it_could_not_run() {
    let mut fake = FakeRun::new();
    fake.measure(3);
    let (plan, trace) = fake.power_off();
    could_not_run(&result(&plan, &trace, Check::ExactlyOnce), &json!({"code": "evidence/no-list-read"}));
}

#[test]
fn without_extends_it_could_not_run() {
    let mut fake = FakeRun::new();
    fake.current.clear();
    fake.trace.events.retain(|event| !matches!(event.what, imalab_trace::What::Tpm(_)));
    could_not_run(&fake.verdict(Check::ExactlyOnce), &json!({"code": "exactly-once/no-extend"}));
}

#[test]
fn extends_after_the_last_checkpoint_cannot_be_judged() {
    let mut fake = FakeRun::new();
    fake.checkpoint();
    fake.measure(2);
    let (plan, trace) = fake.power_off();
    could_not_run(
        &result(&plan, &trace, Check::ExactlyOnce),
        &json!({"code": "exactly-once/late-extends", "extends": 2}),
    );
}

#[test]
fn without_the_reading_at_its_mark_it_could_not_run() {
    let (plan, mut trace) = story(|_| {}).finish();
    trace.events.retain(|event| !matches!(event.what, imalab_trace::What::Pcrs(_)));
    could_not_run(
        &result(&plan, &trace, Check::ExactlyOnce),
        &json!({"code": "exactly-once/no-pcr-reading"}),
    );
}

/// Two records of a PCR whose extends the TPM refuses, and what a run shows of them.
fn refused(pcr: u32, code: u32, sent_again: bool) -> FakeRun {
    let mut fake = story(|_| {});
    for name in ["/m/first", "/m/second"] {
        let mut one = record(name);
        one.pcr = pcr;
        let digests = vec![one.extend_digest(Bank::Sha1), one.extend_digest(Bank::Sha256)];
        fake.extend_with(pcr, digests.clone(), code);
        if sent_again {
            fake.extend_with(pcr, digests, 0);
        }
        fake.current.push(one);
    }
    fake
}

#[rstest]
#[case::of_another_locality(17, 0x907)]
#[case::that_is_none(24, 0x184)]
fn the_tpms_refusal_is_the_first_finding_and_the_reason(#[case] pcr: u32, #[case] code: u32) {
    let mut fake = refused(pcr, code, false);
    // The counter that the scenario is about is wrong for the same reason.
    let step = fake.measure(1);
    fake.plan.steps[step].expect = imalab_language::plan::Expect::NewRecords(3);
    let (plan, trace) = fake.finish();
    let results = crate::all(&plan, &trace);
    let first = &results.iter().find(|result| result.check == Check::ExactlyOnce).unwrap().findings[0];
    let refused = json!({"code": "exactly-once/extends-refused", "pcr": pcr, "extends": 2, "response": code});
    assert!(is(first, &refused), "{first:?}");
    let reason = crate::judge::of(&plan, &trace, &results, crate::fake_run::TODAY).reason.unwrap();
    assert_eq!((reason.check, &reason.finding), (Some(Check::ExactlyOnce), first));
}

#[test]
fn an_extend_that_was_sent_again_and_carried_out_was_not_refused() {
    passed(&refused(11, 0x90a, true).verdict(Check::ExactlyOnce));
}
