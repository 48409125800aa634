use chrono::NaiveDate;
use imalab_wire::{End, Message, Op, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

use super::{LIST, List, with_list};
use crate::evidence::Evidence;
use crate::fake_run::{FakeRun, could_not_run, failed, passed, result};
use crate::outcome::{Check, CheckResult};
use imalab_language::finding::{Fact, Finding, KernelHealth};
use imalab_language::plan::{Action, Mark, MarkAction};
use imalab_trace::What;

const WARNING: &str =
    "[    1.5] WARNING: CPU: 0 PID: 44 at security/integrity/ima/ima_fs.c:512 ima_stage+0x3a/0x70";

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

#[test]
fn a_sound_run_passes_and_says_what_it_rests_on() {
    let result = FakeRun::new().verdict(Check::KernelHealth);
    passed(&result);
    assert_eq!((result.compared["console lines"], result.compared["boots"]), (2, 1));
    assert_eq!(result.facts, [Fact::PoweredOff {}]);
}

#[rstest]
#[case("warning", WARNING)]
#[case("lockdep", "WARNING: possible circular locking dependency detected")]
#[case("hung-task", "INFO: task agent:52 blocked for more than 120 seconds.")]
#[case("rcu-stall", "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:")]
#[case("kasan", "BUG: KASAN: slab-use-after-free in ima_lookup_digest_entry+0x1/0x2")]
#[case("out-of-memory", "agent invoked oom-killer: gfp_mask=0xcc0, order=0")]
#[case("panic", "Kernel panic - not syncing: Attempted to kill init!")]
fn a_complaint_on_the_console_fails(#[case] kind: &str, #[case] line: &str) {
    let mut fake = FakeRun::new();
    fake.console(line);
    let title = line.split_once("] ").map_or(line, |(_, title)| title);
    let line = json!({"number": 2, "event": 4, "text": title});
    let finding = json!({"code": "kernel-health/complaint", "line": line, "kind": kind});
    failed(&fake.verdict(Check::KernelHealth), &finding);
}

#[test]
fn what_the_kernel_must_say_is_on_a_line_of_the_console() {
    let mut fake = FakeRun::new();
    fake.console("[    0.1] ima: Hash table not enabled, ignoring request to flush");
    fake.plan.kernel_says = vec!["not enabled, ignoring".to_owned()];
    let result = fake.verdict(Check::KernelHealth);
    passed(&result);
    let said = Fact::Said { line_number: 2, words: "not enabled, ignoring".to_owned() };
    assert_eq!(result.facts, [said, Fact::PoweredOff {}]);

    let mut fake = FakeRun::new();
    fake.console("ima: Hash table not enabled,");
    fake.console("ignoring request to flush");
    fake.plan.kernel_says = vec!["not enabled, ignoring".to_owned()];
    failed(
        &fake.verdict(Check::KernelHealth),
        &json!({"code": "kernel-health/never-said", "words": "not enabled, ignoring"}),
    );
}

#[test]
fn a_second_boot_fails() {
    let mut fake = FakeRun::new();
    fake.hello();
    failed(
        &fake.verdict(Check::KernelHealth),
        &json!({"code": "kernel-health/boots", "expected": 1, "found": 2}),
    );
}

#[test]
fn no_boot_fails() {
    let (plan, mut trace) = FakeRun::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Guest(Message::Hello { .. })));
    failed(&result(&plan, &trace, Check::KernelHealth), &json!({"code": "kernel-health/boots", "found": 0}));
}

#[test]
fn an_end_without_the_last_message_fails() {
    let (plan, mut trace) = FakeRun::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Guest(Message::Done { .. })));
    failed(&result(&plan, &trace, Check::KernelHealth), &json!({"code": "kernel-health/agent-not-done"}));
}

#[rstest]
#[case("guest-reset")]
#[case("host-qmp-quit")]
fn an_end_by_anything_but_powering_off_fails(#[case] reason: &str) {
    let (plan, mut trace) = FakeRun::new().finish();
    for event in &mut trace.events {
        if let What::Qmp(value) = &mut event.what {
            *value = json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": reason}});
        }
    }
    let finding =
        json!({"code": "kernel-health/other-shutdown", "expected": "guest-shutdown", "found": reason});
    failed(&result(&plan, &trace, Check::KernelHealth), &finding);
}

#[test]
fn an_end_that_never_came_fails() {
    let (mut plan, mut trace) = FakeRun::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Qmp(_)));
    failed(&result(&plan, &trace, Check::KernelHealth), &json!({"code": "kernel-health/no-shutdown"}));
    plan.program.end = End::Shell;
    passed(&result(&plan, &trace, Check::KernelHealth));
}

#[test]
fn a_dumb_console_could_not_be_judged() {
    let (plan, mut trace) = FakeRun::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Console(_)));
    could_not_run(&result(&plan, &trace, Check::KernelHealth), &json!({"code": "kernel-health/no-console"}));
}

#[test]
fn a_console_that_went_away_could_not_be_judged() {
    let (plan, mut trace) = FakeRun::new().finish();
    trace.events.retain(|event| !matches!(&event.what, What::Console(line) if line.contains("Power down")));
    could_not_run(
        &result(&plan, &trace, Check::KernelHealth),
        &json!({"code": "kernel-health/no-last-words"}),
    );
}

#[rstest]
#[case::quiet(&["quiet"], Some("quiet"))]
#[case::level(&["loglevel=4"], Some("loglevel=4"))]
#[case::last_of_several(&["quiet", "loglevel=3"], Some("loglevel=3"))]
#[case::and_loud_again(&["quiet", "loglevel=7"], None)]
#[case::loud(&["debug", "crashkernel=128M"], None)]
#[case::nonsense(&["loglevel=x"], Some("loglevel=x"))]
#[case::another_console(&["console=tty0"], Some("console=tty0"))]
fn a_console_without_warnings_could_not_be_judged(#[case] words: &[&str], #[case] by: Option<&str>) {
    let mut fake = FakeRun::new();
    fake.plan.machine.kernel_args = words.iter().map(|word| (*word).to_owned()).collect();
    let result = fake.verdict(Check::KernelHealth);
    match by {
        Some(word) => could_not_run(&result, &json!({"code": "kernel-health/quiet-console", "word": word})),
        None => passed(&result),
    }
}

const ENTRY: &str = "
- kind: warning
  title: ima_fs.c:512
  reason: told by the lists themselves
  link: https://example.org/thread
  expires: \"2027-03-31\"
";

fn judged(list: &str, today: &str) -> CheckResult {
    let mut fake = FakeRun::new();
    fake.console(WARNING);
    let (plan, trace) = fake.finish();
    with_list(&Evidence::of(&plan, &trace), &trace, day(today), list)
}

#[test]
fn what_is_allowed_is_passed_over_until_its_day() {
    let result = judged(ENTRY, "2027-03-30");
    passed(&result);
    assert_eq!(result.left_out["complaints that are allowed"], 1);
    let finding =
        json!({"code": "kernel-health/allowed-no-longer", "kind": "warning", "until": "2027-03-31"});
    failed(&judged(ENTRY, "2027-03-31"), &finding);
}

#[rstest]
#[case::other_kind("kind: warning", "kind: lockdep")]
#[case::other_title("ima_fs.c:512", "ima_fs.c:513")]
fn only_what_is_named_is_allowed(#[case] from: &str, #[case] to: &str) {
    let complaint: Value = json!({"code": "kernel-health/complaint", "kind": "warning"});
    failed(&judged(&ENTRY.replace(from, to), "2027-01-01"), &complaint);
}

#[rstest]
#[case::no_reason("  reason: told by the lists themselves\n", "", "reason")]
#[case::empty_reason("told by the lists themselves", "\" \"", "entry 1: expected a reason, found nothing")]
#[case::empty_title("ima_fs.c:512", "\"\"", "entry 1: expected a title, found nothing")]
#[case::no_link("  link: https://example.org/thread\n", "", "link")]
#[case::bad_link("https://example.org/thread", "the list", "expected a link (https://...), found `the list`")]
#[case::no_day("  expires: \"2027-03-31\"\n", "", "expires")]
#[case::bad_day("2027-03-31", "2027-02-30", "expected a day (YYYY-MM-DD) in expires, found `2027-02-30`")]
#[case::unknown_kind("kind: warning", "kind: nuisance", "nuisance")]
#[case::unknown_field("kind: warning", "kinds: warning", "kinds")]
fn an_entry_without_its_grounds_could_not_be_used(#[case] from: &str, #[case] to: &str, #[case] why: &str) {
    let result = judged(&ENTRY.replace(from, to), "2027-01-01");
    could_not_run(&result, &json!({"code": "kernel-health/allow-list"}));
    let says = |finding: &Finding| matches!(finding, Finding::KernelHealth(KernelHealth::AllowList { error }) if error.contains(why));
    assert!(result.findings.iter().any(says), "{why}: {result:#?}");
}

#[test]
fn the_allow_list_of_this_checkout_can_be_read() {
    List::parse(LIST).expect("a list");
}

#[rstest]
#[case::while_it_was_held(false, "INFO: task agent:52 blocked for more than 30 seconds.", true)]
#[case::after_it_was_released(true, "INFO: task agent:52 blocked for more than 30 seconds.", false)]
#[case::another_complaint(false, "watchdog: BUG: soft lockup - CPU#0 stuck for 41s! [agent:52]", false)]
fn who_waits_for_a_tpm_that_the_plan_holds_is_no_hung_task(
    #[case] released: bool,
    #[case] line: &str,
    #[case] passes: bool,
) {
    let mut fake = FakeRun::new();
    let mark = Op::Mark { path: "/dev/tpm0".into(), number: 9_000 };
    let step = fake.step("hold", Action::SystemCall, vec![(mark, Outcome::Value(0), Vec::new())], vec![]);
    fake.plan.marks.push(Mark { number: 9_000, step: step as u32, does: MarkAction::Hold });
    // Its end comes later.
    let done = fake.trace.events.pop().unwrap();
    if released {
        fake.say(Message::ReleaseHold { task: 0, hold: 9_000 });
    }
    fake.console(line);
    fake.see(done.what);
    let result = fake.verdict(Check::KernelHealth);
    if passes {
        passed(&result);
        let held = "complaints of tasks that waited while the TPM was held";
        assert_eq!(result.left_out[held], 1, "{result:?}");
    } else {
        failed(&result, &json!({"code": "kernel-health/complaint", "line": {"number": 2, "text": line}}));
    }
}
