//! Evidence that is missing, check by check: none of it may make a pass. Each invariant declares the tests that show it.

use std::path::Path;

use imalab_wire::{Message, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

use crate::all;
use crate::fake_run::{FakeRun, has, record, result};
use crate::outcome::{Check, Verdict};
use imalab_language::plan::{Action, Expect, Observed, Plan};
use imalab_trace::{Host, MutexHold, Origin, Trace, What};

/// A run that shows something to every check.
fn rich() -> (Plan, Trace) {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.violate();
    fake.stage();
    fake.save();
    fake.measure(2);
    fake.checkpoint();
    fake.quote();
    fake.load();
    fake.execute();
    fake.checkpoint();
    fake.measure(2);
    let hold = |appends| MutexHold {
        function: "ima_queue_stage".to_owned(),
        appends,
        waited: 20,
        held: 100,
        blocks: 4,
    };
    fake.see(What::Host(Host::Holds { holds: [8, 16, 24, 536, 1048, 1560].map(hold).to_vec() }));
    fake.finish()
}

fn drop_events(trace: &mut Trace, lost: impl Fn(&What) -> bool) {
    trace.events.retain(|event| !lost(&event.what));
}

fn is_extend(what: &What) -> bool {
    matches!(what, What::Tpm(exchange) if exchange.origin == Origin::Guest)
}

/// What the guest said of a step.
fn of_step(what: &What, at: u32) -> bool {
    let What::Guest(message) = what else { return false };
    match message {
        Message::OpStarted { step, .. } | Message::OpDone { step, .. } => *step == at,
        Message::Data(piece) => piece.step == at,
        _ => false,
    }
}

fn last_checkpoint(plan: &Plan) -> u32 {
    let mut checkpoints = plan.steps.iter().filter(|step| step.action == Action::Checkpoint);
    checkpoints.next_back().map(|step| step.id).expect("a checkpoint")
}

#[test]
fn with_all_evidence_every_check_compares_something() {
    let (plan, trace) = rich();
    for result in all(&plan, &trace) {
        assert_eq!(result.verdict, Verdict::Passed, "{result:#?}");
        assert!(result.compared.values().any(|number| *number > 0), "{result:#?}");
    }
}

type Tamper = fn(&mut Plan, &mut Trace);

fn without_readings(_: &mut Plan, trace: &mut Trace) {
    drop_events(trace, |what| matches!(what, What::Pcrs(_)));
}

fn without_extends(_: &mut Plan, trace: &mut Trace) {
    drop_events(trace, is_extend);
}

fn without_the_last_extend(_: &mut Plan, trace: &mut Trace) {
    let at = trace.events.iter().rposition(|event| is_extend(&event.what)).expect("an extend");
    trace.events.remove(at);
}

fn without_banks(_: &mut Plan, trace: &mut Trace) {
    for event in &mut trace.events {
        if let What::Pcrs(reading) = &mut event.what {
            reading.values.clear();
        }
    }
}

fn without_marks(plan: &mut Plan, _: &mut Trace) {
    plan.steps.iter_mut().for_each(|step| step.mark = None);
}

fn without_violations(plan: &mut Plan, _: &mut Trace) {
    plan.steps.iter_mut().for_each(|step| step.reads.retain(|reading| reading.of != Observed::Violations));
}

fn without_lists(plan: &mut Plan, _: &mut Trace) {
    plan.steps.iter_mut().for_each(|step| step.reads.clear());
}

fn without_lists_at_the_end(plan: &mut Plan, _: &mut Trace) {
    plan.steps.iter_mut().rev().take(3).for_each(|step| step.reads.clear());
}

fn without_a_view(plan: &mut Plan, trace: &mut Trace) {
    let at = last_checkpoint(plan);
    let read = plan.steps[at as usize].reads[1].op;
    for event in &mut trace.events {
        if let What::Guest(Message::OpDone { step, op, outcome, .. }) = &mut event.what
            && (*step, *op) == (at, read)
        {
            *outcome = Outcome::NotAttempted;
        }
    }
}

fn without_quotes(_: &mut Plan, trace: &mut Trace) {
    drop_events(trace, |what| matches!(what, What::Quote(_)));
}

fn without_console(_: &mut Plan, trace: &mut Trace) {
    drop_events(trace, |what| matches!(what, What::Console(_)));
}

fn without_hello(_: &mut Plan, trace: &mut Trace) {
    drop_events(trace, |what| matches!(what, What::Guest(Message::Hello { .. })));
}

fn without_expectations(plan: &mut Plan, _: &mut Trace) {
    plan.steps.iter_mut().for_each(|step| step.expect = Expect::Any);
}

fn without_a_checkpoint(plan: &mut Plan, trace: &mut Trace) {
    let at = last_checkpoint(plan);
    drop_events(trace, |what| of_step(what, at));
}

#[rstest]
#[case::no_pcr_reading(Check::Replay, without_readings, json!({"code": "replay/pcr-not-read"}))]
#[case::no_extend_seen(Check::Replay, without_extends, json!({"code": "replay/changed-behind-the-tap", "extends": 0}))]
#[case::no_bank_compared(Check::Replay, without_banks, json!({"code": "replay/banks", "found": []}))]
#[case::no_quiescent_point(Check::Replay, without_marks, json!({"code": "replay/no-quiescent-checkpoint"}))]
#[case::no_counter_of_violations(Check::Replay, without_violations, json!({"code": "replay/violations-not-read"}))]
#[case::no_extend_seen(Check::ExactlyOnce, without_extends, json!({"code": "exactly-once/no-extend"}))]
#[case::an_extend_not_seen(
    Check::ExactlyOnce, without_the_last_extend, json!({"code": "exactly-once/never-extended"})
)]
#[case::no_list_read(Check::ExactlyOnce, without_lists, json!({"code": "evidence/no-list-read"}))]
#[case::no_list_read(Check::Model, without_lists, json!({"code": "evidence/no-list-read"}))]
#[case::no_list_read(Check::Readers, without_lists, json!({"code": "evidence/no-list-read"}))]
#[case::no_list_read(Check::ViewsAgree, without_lists, json!({"code": "views-agree/no-full-checkpoint"}))]
#[case::a_view_not_read(Check::ViewsAgree, without_a_view, json!({"code": "views-agree/not-all-read", "views": 8}))]
#[case::no_quote_taken(Check::Quote, without_quotes, json!({"code": "quote/not-taken"}))]
#[case::nothing_quoted(Check::Quote, without_extends, json!({"code": "evidence/none-of", "of": "records"}))]
#[case::no_console(Check::KernelHealth, without_console, json!({"code": "kernel-health/no-console"}))]
#[case::no_boot_seen(Check::KernelHealth, without_hello, json!({"code": "kernel-health/boots", "found": 0}))]
#[case::no_list_read_after_it(
    Check::Kexec, without_lists_at_the_end, json!({"code": "evidence/none-of", "of": "lists that a kernel began with"})
)]
#[case::nothing_expected(Check::Steps, without_expectations, json!({"code": "evidence/none-of", "of": "steps"}))]
#[case::a_checkpoint_that_did_not_happen(
    Check::Steps, without_a_checkpoint, json!({"code": "steps/no-result", "operation": {"number": 0}})
)]
fn evidence_that_is_missing_makes_no_pass(
    #[case] check: Check,
    #[case] tamper: Tamper,
    #[case] finding: Value,
) {
    let (mut plan, mut trace) = rich();
    tamper(&mut plan, &mut trace);
    let result = result(&plan, &trace, check);
    assert!(result.verdict.is_bad(), "{result:#?}");
    assert!(has(&result, &finding), "no {finding}: {result:#?}");
}

#[test]
fn a_list_that_lost_all_records_of_a_pcr_is_found_by_the_policy_that_names_it() {
    let mut fake = FakeRun::new();
    fake.measure(3);
    let mut lost = record("/m/lost");
    lost.pcr = 11;
    fake.extend(&lost);
    let (mut plan, trace) = fake.finish();
    // An extend that nobody can relate to IMA is told, and no finding.
    let before = result(&plan, &trace, Check::ExactlyOnce);
    assert_eq!(before.left_out["extends of PCRs that nothing of IMA names"], 1, "{before:#?}");
    plan.program.setup.policy.extend_from_slice(b"measure func=MMAP_CHECK pcr=11\n");
    assert_eq!(result(&plan, &trace, Check::ExactlyOnce).verdict, Verdict::Failed);
}

#[test]
fn lists_without_a_record_have_no_views_that_could_agree() {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.stage_save_delete();
    let result = fake.verdict(Check::ViewsAgree);
    assert_eq!(result.verdict, Verdict::NotApplicable, "{result:#?}");
}

/// Each invariant declares what a pass rests on, and which tests show what comes of nothing: those are there.
#[test]
fn the_tests_that_invariants_declare_are_there() {
    let mut sources = String::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    for check in Check::INVARIANTS {
        let rests = check.invariant().expect("an invariant").rests;
        assert!(!rests.tests.is_empty(), "{check} names no test");
        for test in rests.tests {
            let is_there =
                sources.contains(&format!("fn {test}(")) || sources.contains(&format!("#[case::{test}("));
            assert!(is_there, "{check}: no test `{test}`");
        }
    }
}

fn read_all(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => read_all(&path, text),
            false => text.push_str(&std::fs::read_to_string(&path).unwrap_or_default()),
        }
    }
}
