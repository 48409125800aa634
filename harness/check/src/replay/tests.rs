use imalab_wire::Op;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_run::{FakeRun, could_not_run, failed, has, passed, record, result, story, value, violation};
use crate::outcome::Check;
use imalab_formats::ima::Bank;
use imalab_language::finding::Fact;
use imalab_language::plan::{Action, Observed};
use imalab_trace::What;

/// Another task measures while the next checkpoint reads.
fn measuring_meanwhile(fake: &mut FakeRun, records: u64) {
    let (now, task) = (fake.now, fake.task);
    (fake.task, fake.takes) = (1, 5_000);
    fake.measure(records);
    (fake.task, fake.takes, fake.now) = (task, 10, now);
}

#[rstest]
#[case::nothing(&|_: &mut FakeRun| {})]
#[case::taken_out(&FakeRun::stage_save_delete)]
#[case::trimmed_while_staged(&|fake: &mut FakeRun| {
    fake.stage();
    fake.measure(3);
    fake.trim(2);
    fake.checkpoint();
    fake.save();
    fake.delete();
})]
#[case::violations(&|fake: &mut FakeRun| { fake.violate(); fake.checkpoint(); })]
#[case::another_pcr(&|fake: &mut FakeRun| {
    let mut other = record("/m/other");
    other.pcr = 11;
    fake.log(other);
})]
fn sound_runs_pass(#[case] story_of: &dyn Fn(&mut FakeRun)) {
    passed(&story(story_of).verdict(Check::Replay));
}

/// An extend that somebody sent by the harness's port is neither in the list nor the kernel's fault.
#[test]
fn an_extend_through_the_port_is_not_blamed_on_the_kernel() {
    let fake = || {
        story(|fake| {
            fake.extend(&record("/m/stranger"));
            let last = fake.trace.events.last_mut().map(|event| &mut event.what);
            let Some(What::Tpm(exchange)) = last else { panic!("{last:?}") };
            exchange.origin = imalab_trace::Origin::Harness;
            fake.checkpoint();
        })
    };
    for check in [Check::Replay, Check::Quote] {
        could_not_run(&fake().verdict(check), &json!({"code": "evidence/pcr-not-the-guests", "more": 0}));
    }
    passed(&fake().verdict(Check::ExactlyOnce));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let result = story(FakeRun::violate).verdict(Check::Replay);
    let numbers = ["quiescent points", "records", "violations", "banks"].map(|of| result.compared[of]);
    assert_eq!(numbers, [2, 10, 1, 2]);
    assert_eq!(result.facts, [Fact::Banks { banks: vec!["sha1".to_owned(), "sha256".to_owned()] }]);
}

#[rstest]
#[case::lost(
    &|fake: &mut FakeRun| { fake.current.pop(); },
    json!({"code": "replay/pcr-differs", "bank": "sha256", "records": 7, "extends": 8, "prefix": null})
)]
#[case::leads(
    &|fake: &mut FakeRun| { fake.current.push(record("/m/late")); fake.checkpoint(); },
    json!({"code": "replay/pcr-differs", "step": {"id": 2, "text": "checkpoint"}, "mark": 2, "prefix": 6})
)]
#[case::one_bank_differs(
    &|fake: &mut FakeRun| {
        let torn = record("/m/torn");
        let digests = vec![torn.extend_digest(Bank::Sha1), violation("/m/torn").extend_digest(Bank::Sha256)];
        fake.extend_with(10, digests, 0);
        fake.current.push(torn);
    },
    json!({"code": "replay/pcr-differs", "bank": "sha256", "records": 9})
)]
#[case::behind_the_tap(
    &|fake: &mut FakeRun| {
        fake.extend(&record("/m/hidden"));
        let at = fake.trace.events.len() - 1;
        fake.trace.events.remove(at);
    },
    json!({"code": "replay/changed-behind-the-tap", "mark": 2, "bank": "sha1", "extends": 8})
)]
#[case::violation_not_counted(
    &|fake: &mut FakeRun| { fake.violate(); fake.violations -= 1; },
    json!({"code": "replay/violations", "expected": 1, "found": 0, "boot": 0})
)]
#[case::violation_not_logged(
    &|fake: &mut FakeRun| { fake.violations += 1; },
    json!({"code": "replay/violations", "expected": 0, "found": 1})
)]
fn a_log_that_is_not_the_pcr_fails(#[case] sabotage: &dyn Fn(&mut FakeRun), #[case] finding: Value) {
    failed(&story(sabotage).verdict(Check::Replay), &finding);
}

#[test]
fn an_equal_first_bank_does_not_hide_the_second() {
    let result = story(|fake| {
        let torn = record("/m/torn");
        let digests = vec![torn.extend_digest(Bank::Sha1), violation("/m/torn").extend_digest(Bank::Sha256)];
        fake.extend_with(10, digests, 0);
        fake.current.push(torn);
    })
    .verdict(Check::Replay);
    assert!(
        has(&result, &json!({"bank": "sha256"})) && !has(&result, &json!({"bank": "sha1"})),
        "{result:#?}"
    );
}

#[test]
fn a_bank_that_was_not_read_is_a_finding() {
    let (plan, mut trace) = story(|_| {}).finish();
    for event in &mut trace.events {
        if let What::Pcrs(reading) = &mut event.what {
            reading.values.pop();
        }
    }
    failed(
        &result(&plan, &trace, Check::Replay),
        &json!({"code": "replay/banks", "mark": 1, "found": ["sha1"]}),
    );
}

#[test]
fn while_another_task_measures_the_log_may_be_older_than_the_pcr() {
    let mut fake = FakeRun::new();
    fake.measure(5);
    let before = fake.current.clone();
    measuring_meanwhile(&mut fake, 3);
    let after = std::mem::replace(&mut fake.current, before);
    fake.checkpoint();
    fake.current = after;
    fake.now += 10_000;
    let result = fake.verdict(Check::Replay);
    passed(&result);
    assert_eq!((result.compared["quiescent points"], result.compared["sampled points"]), (1, 1));
}

#[test]
fn while_another_task_measures_one_record_may_be_in_flight() {
    let mut fake = FakeRun::new();
    measuring_meanwhile(&mut fake, 3);
    let flying = record("/m/flying");
    fake.current.push(flying.clone());
    fake.checkpoint();
    fake.extend(&flying);
    fake.now += 10_000;
    passed(&fake.verdict(Check::Replay));
}

#[rstest]
#[case::two_in_flight(
    &|fake: &mut FakeRun| fake.current.extend([record("/m/one"), record("/m/two")]),
    json!({"code": "replay/too-far-ahead", "records": 6, "extends": 4, "most": 1})
)]
#[case::lost(&|fake: &mut FakeRun| { fake.current.remove(1); },
    json!({"code": "replay/sampled-differs", "number": 2, "record": {"number": 2, "name": "/m/f-2"}})
)]
fn even_while_another_task_measures(#[case] sabotage: &dyn Fn(&mut FakeRun), #[case] finding: Value) {
    let mut fake = FakeRun::new();
    measuring_meanwhile(&mut fake, 3);
    sabotage(&mut fake);
    fake.checkpoint();
    fake.now += 10_000;
    failed(&fake.verdict(Check::Replay), &finding);
}

#[test]
fn a_task_at_a_barrier_does_not_measure() {
    let mut fake = FakeRun::new();
    (fake.task, fake.takes) = (1, 5_000);
    let barrier = Op::Barrier { id: 1, parties: 2 };
    fake.step("barrier", Action::Barrier, vec![(barrier, value(0), Vec::new())], vec![]);
    (fake.task, fake.takes, fake.now) = (0, 10, 2_000);
    fake.current.pop();
    fake.checkpoint();
    fake.now += 10_000;
    failed(
        &fake.verdict(Check::Replay),
        &json!({"code": "replay/pcr-differs", "step": {"id": 1}, "records": 0}),
    );
}

#[test]
fn without_a_checkpoint_it_could_not_run() {
    let mut fake = FakeRun::new();
    fake.measure(3);
    let (plan, trace) = fake.power_off();
    could_not_run(&result(&plan, &trace, Check::Replay), &json!({"code": "replay/no-quiescent-checkpoint"}));
}

#[test]
fn without_a_reading_at_the_mark_it_could_not_run() {
    let (plan, mut trace) = story(|_| {}).finish();
    trace.events.retain(|event| !matches!(&event.what, What::Pcrs(reading) if reading.mark == 2));
    could_not_run(&result(&plan, &trace, Check::Replay), &json!({"code": "replay/pcr-not-read", "mark": 2}));
}

#[test]
fn with_a_gap_it_could_not_run() {
    let result = story(|fake| {
        fake.stage();
        fake.delete();
    })
    .verdict(Check::Replay);
    could_not_run(&result, &json!({"code": "replay/gap"}));
}

#[test]
fn without_the_counter_of_violations_it_could_not_run() {
    let (mut plan, trace) = story(|_| {}).finish();
    for step in &mut plan.steps {
        step.reads.retain(|reading| reading.of != Observed::Violations);
    }
    could_not_run(&result(&plan, &trace, Check::Replay), &json!({"code": "replay/violations-not-read"}));
}

#[test]
fn without_a_mark_it_could_not_run() {
    let (mut plan, trace) = story(|_| {}).finish();
    plan.steps[1].mark = None;
    could_not_run(
        &result(&plan, &trace, Check::Replay),
        &json!({"code": "replay/no-mark", "step": {"id": 1}}),
    );
}

#[test]
fn a_record_whose_extend_the_tap_kept_is_in_the_log_and_not_in_the_pcr() {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.log_kept(record("/m/kept"), 0x101);
    fake.measure(2);
    fake.quote();
    fake.stage_save_delete();
    let (plan, trace) = fake.finish();
    for check in [Check::Steps, Check::ExactlyOnce, Check::Replay, Check::Quote] {
        passed(&result(&plan, &trace, check));
    }
}

#[test]
fn an_extend_that_the_kernel_sent_again_counts_once() {
    let mut fake = FakeRun::new();
    fake.log_kept(record("/m/again"), 0x922);
    fake.extend(&record("/m/again"));
    fake.measure(1);
    let (plan, trace) = fake.finish();
    for check in [Check::Steps, Check::ExactlyOnce, Check::Replay, Check::Quote] {
        passed(&result(&plan, &trace, check));
    }
}

#[test]
fn a_kernel_that_takes_back_what_it_could_not_extend_is_found_out() {
    let mut fake = FakeRun::new();
    fake.log_kept(record("/m/kept"), 0x101);
    fake.current.pop();
    fake.measure(1);
    let (plan, trace) = fake.finish();
    failed(&result(&plan, &trace, Check::ExactlyOnce), &json!({"code": "exactly-once/record-lost"}));
}
