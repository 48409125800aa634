//! What a run is judged to be, by all that it showed.

mod children;
mod hang;
mod host;
mod known;

use imalab_wire::{End, Message};
use rstest::rstest;
use serde_json::{Value, json};

use super::Judgement;
use crate::all;
use crate::fake_run::{FakeRun, TODAY, is};
use crate::outcome::{Check, CheckResult, Outcome, Reason, Unlike, Verdict};
use imalab_language::finding::{ExactlyOnce, Finding, Known, Part, Pattern, Quote, Run};
use imalab_language::plan::{Mark, MarkAction, Plan};
use imalab_language::scenario::{KernelRange, KnownDefect, KnownLimit, Lost, Sign, Version};
use imalab_trace::{Event, Exchange, Host, Origin, Trace, What};

const PANIC: &str = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009";

const GAVE_UP: &str = "tpm_tis MSFT0101:00: probe with driver tpm_tis failed with error -62";

const TIMED_OUT: &str = "[   19.551099] tpm tpm0: Operation Timed out";

fn of(plan: &Plan, trace: &Trace, checks: &[CheckResult]) -> Judgement {
    super::of(plan, trace, checks, TODAY)
}

/// Fails unless the run was judged so, for a reason whose finding has these fields; null: for none.
#[track_caller]
fn assert_judged(judgement: &Judgement, outcome: Outcome, finding: &Value) {
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
    match (&judgement.reason, finding) {
        (None, Value::Null) => {}
        (Some(reason), finding) => assert!(is(&reason.finding, finding), "{finding}: {judgement:?}"),
        (None, _) => panic!("{finding}: {judgement:?}"),
    }
}

/// What the check of the console finds of a warning on its second line.
fn complaint() -> Value {
    json!({"code": "kernel-health/complaint", "line": {"number": 2}, "kind": "warning"})
}

fn swtpm_ended(status: i32) -> Value {
    json!({"code": "run/child-ended", "child": "swtpm", "status": status, "needed_by": "qemu"})
}

/// Some finding, told by a number.
fn nonce(mark: u64) -> Finding {
    Quote::NonceReused { mark }.into()
}

fn failed(check: Check, finding: impl Into<Finding>) -> CheckResult {
    CheckResult::new(check, Verdict::Failed, vec![finding.into()])
}

fn blind(check: Check) -> CheckResult {
    CheckResult::new(check, Verdict::CouldNotRun, vec![nonce(9)])
}

fn passes(check: Check) -> CheckResult {
    CheckResult::new(check, Verdict::Passed, Vec::new())
}

fn sound() -> FakeRun {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.stage_save_delete();
    fake
}

fn judged(fake: FakeRun) -> Judgement {
    let (plan, trace) = fake.finish();
    of(&plan, &trace, &all(&plan, &trace))
}

#[test]
fn a_sound_run_passes() {
    assert_eq!(judged(sound()), Judgement::passed());
}

fn kept(longest_ms: u64) -> What {
    What::Host(Host::Kept { longest_ms, within_ms: 3_000 })
}

fn deadline() -> What {
    What::Host(Host::Deadline { text: "no event for 30 s".to_owned() })
}

fn exited(child: &str, status: i32) -> What {
    What::Host(Host::Exited { child: child.to_owned(), status })
}

fn shutdown(reason: &str) -> What {
    What::Qmp(json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": reason}}))
}

#[rstest]
#[case::panic(What::Console(PANIC.into()), Outcome::KernelDied, json!({"code": "kernel-died/panic", "line": PANIC}))]
#[case::oops(
    What::Console("BUG: kernel NULL pointer dereference, address: 0000000000000008".into()), Outcome::KernelDied,
    json!({"code": "kernel-died/oops", "line": "BUG: kernel NULL pointer dereference, address: 0000000000000008"})
)]
#[case::bug(
    What::Console("kernel BUG at mm/slub.c:1!".into()), Outcome::KernelDied,
    json!({"code": "kernel-died/bug", "line": "kernel BUG at mm/slub.c:1!"})
)]
#[case::told(
    What::Qmp(json!({"event": "GUEST_PANICKED"})), Outcome::KernelDied, json!({"code": "kernel-died/told-of-a-panic"})
)]
#[case::panic_event(shutdown("guest-panic"), Outcome::KernelDied, json!({"code": "kernel-died/panicked"}))]
#[case::reset(shutdown("guest-reset"), Outcome::KernelDied, json!({"code": "kernel-died/reset"}))]
#[case::deadline(deadline(), Outcome::Timeout, json!({"code": "run/no-progress", "deadline": "no event for 30 s"}))]
#[case::flood(
    What::Host(Host::Flooded { by: imalab_trace::Flood::Console, text: "more than 9 lines".into() }),
    Outcome::Failed, json!({"code": "run/flooded", "limit": "more than 9 lines"})
)]
#[case::frame(
    What::Host(Host::BadFrame { text: "checksum".into() }),
    Outcome::Infra, json!({"code": "run/bad-frame", "error": "checksum"})
)]
#[case::tpm(
    What::Host(Host::TpmTrouble { text: "gone".into() }), Outcome::Infra, json!({"code": "run/tpm-trouble", "error": "gone"})
)]
#[case::disk(
    What::Host(Host::Trouble { text: "disk full".into() }), Outcome::Infra, json!({"code": "run/trouble", "error": "disk full"})
)]
#[case::agent(
    What::Guest(Message::Fault { text: "no port".into() }), Outcome::Failed,
    json!({"code": "run/agent-error", "error": "no port"})
)]
#[case::interrupted(What::Host(Host::Interrupted), Outcome::Interrupted, json!({"code": "run/interrupted"}))]
#[case::qemu(
    exited("qemu", 1), Outcome::Infra, json!({"code": "run/child-ended", "child": "qemu", "status": 1, "needed_by": "guest"})
)]
#[case::swtpm(exited("swtpm", 137), Outcome::Infra, swtpm_ended(137))]
// By SIGTERM it ends as if it had been asked to.
#[case::swtpm_orderly(exited("swtpm", 0), Outcome::Infra, swtpm_ended(0))]
#[case::qemu_by_a_signal(shutdown("host-signal"), Outcome::Infra, json!({"code": "run/qemu-killed"}))]
#[case::no_tpm_and_no_proof(What::Console(GAVE_UP.into()), Outcome::Passed, Value::Null)]
#[case::no_time_for_a_command_and_got_over_it(What::Console(TIMED_OUT.into()), Outcome::Passed, Value::Null)]
#[case::warning(
    What::Console("WARNING: kernel/x.c:1 at f+0x1/0x2, CPU#0: agent/52".into()), Outcome::Failed, complaint()
)]
fn what_is_seen_decides(#[case] what: What, #[case] outcome: Outcome, #[case] reason: Value) {
    let mut fake = sound();
    fake.see(what);
    assert_judged(&judged(fake), outcome, &reason);
}

#[rstest]
#[case::death_first(&[deadline(), What::Console(PANIC.into()), exited("qemu", 0)], Outcome::KernelDied)]
#[case::time_before_surroundings(&[What::Host(Host::Trouble { text: "disk full".into() }), exited("qemu", 137), deadline()], Outcome::Timeout)]
#[case::whoever_ended_swtpm_before_time(&[exited("swtpm", 0), deadline()], Outcome::Infra)]
#[case::whoever_ended_swtpm_before_findings(&[exited("swtpm", 143), What::Console("WARNING: x".into())], Outcome::Infra)]
#[case::surroundings_before_checks(&[What::Console("WARNING: x".into()), exited("swtpm", 1)], Outcome::Infra)]
fn what_explains_the_rest_comes_first(#[case] seen: &[What], #[case] outcome: Outcome) {
    let mut fake = sound();
    seen.iter().for_each(|what| fake.see(what.clone()));
    assert_eq!(judged(fake).outcome, outcome);
}

fn not_ordered() -> What {
    let [task, place, until, end] =
        ["b", "mutex_lock", "`main` has ended its step 1", "stuck"].map(String::from);
    What::Host(Host::NotOrdered { line: 7, task, place, until, end })
}

#[rstest]
#[case::passed(&[passes(Check::Steps)], Outcome::NotOrdered)]
// What a step gives is expected of the order that was asked for.
#[case::steps(&[failed(Check::Steps, nonce(9)), passes(Check::Replay)], Outcome::NotOrdered)]
// Every other invariant holds in any order.
#[case::others(&[failed(Check::Steps, nonce(9)), failed(Check::Replay, nonce(9))], Outcome::Failed)]
#[case::blind(&[blind(Check::Quote)], Outcome::Failed)]
fn what_could_not_be_ordered_is_no_pass_and_no_failure(
    #[case] checks: &[CheckResult],
    #[case] outcome: Outcome,
) {
    let mut fake = sound();
    fake.see(not_ordered());
    let (plan, trace) = fake.finish();
    let judgement = of(&plan, &trace, checks);
    assert_eq!(judgement.outcome, outcome);
    if outcome == Outcome::NotOrdered {
        let reason = json!({
            "code": "run/not-ordered", "scenario_line": 7, "task": "b", "place": "mutex_lock",
            "awaits": "`main` has ended its step 1", "held": "stuck",
        });
        assert_judged(&judgement, outcome, &reason);
    }
}

#[test]
fn a_death_is_a_death_in_any_order() {
    let mut fake = sound();
    fake.see(not_ordered());
    fake.see(What::Console(PANIC.into()));
    assert_eq!(judged(fake).outcome, Outcome::KernelDied);
}

#[test]
fn a_death_is_told_with_its_function_before_anything_that_could_not_run() {
    let mut fake = sound();
    DEATH.iter().for_each(|line| fake.console(line));
    let (plan, trace) = fake.finish();
    let blind = [CheckResult::new(Check::ExactlyOnce, Verdict::CouldNotRun, vec![nonce(1)])];
    let finding =
        json!({"code": "kernel-died/oops", "line": DEATH[0], "function": "ima_queue_delete_partial"});
    assert_judged(&of(&plan, &trace, &blind), Outcome::KernelDied, &finding);
}

#[test]
fn a_probe_has_to_come_to_its_end_and_nothing_more() {
    let (plan, trace) = sound().finish();
    assert_eq!(of(&plan, &trace, &[]).outcome, Outcome::Passed);
    let trace = Trace::from(trace.events[..4].to_vec());
    assert_eq!(of(&plan, &trace, &[]).outcome, Outcome::Infra);
}

#[rstest]
#[case(&[blind(Check::Steps)], Check::Steps, true, &[])]
#[case(&[failed(Check::Steps, nonce(9))], Check::Steps, false, &[])]
#[case(
    &[blind(Check::Steps), failed(Check::Quote, nonce(9)), passes(Check::Replay)],
    Check::Quote, false, &[Check::Steps]
)]
fn the_reason_names_what_was_found(
    #[case] checks: &[CheckResult],
    #[case] check: Check,
    #[case] could_not_run: bool,
    #[case] also: &[Check],
) {
    let (plan, trace) = sound().finish();
    let judgement = of(&plan, &trace, checks);
    let also = also.to_vec();
    let reason = Reason { check: Some(check), could_not_run, also, ..Reason::of(nonce(9)) };
    assert_eq!((judgement.outcome, judgement.reason), (Outcome::Failed, Some(reason)));
}

/// What a kernel says when it dies of a use of a list entry that was removed.
const DEATH: [&str; 3] = [
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
    "RIP: 0010:ima_queue_delete_partial+0xcb/0x150",
    "---[ end trace 0000000000000000 ]---",
];
