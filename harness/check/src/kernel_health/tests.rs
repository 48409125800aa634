use chrono::NaiveDate;
use imalab_wire::{End, Message, Op, Outcome};
use rstest::rstest;
use serde_json::json;

use super::{LIST, List, with_list};
use crate::evidence::Evidence;
use crate::outcome::CheckResult;
use crate::world::{World, could_not_run, failed, passed, result};
use imalab_language::plan::{Action, Mark, MarkDeed};
use imalab_trace::What;

const WARNING: &str =
    "[    1.5] WARNING: CPU: 0 PID: 44 at security/integrity/ima/ima_fs.c:512 ima_stage+0x3a/0x70";

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

#[test]
fn a_sound_run_passes_and_says_what_it_rests_on() {
    let result = World::new().verdict("kernel-health");
    passed(&result);
    assert_eq!(result.findings, ["2 console lines, powered off, 1 boot"]);
}

#[rstest]
#[case::warning(WARNING)]
#[case::lockdep("WARNING: possible circular locking dependency detected")]
#[case::hung_task("INFO: task agent:52 blocked for more than 120 seconds.")]
#[case::rcu_stall("rcu: INFO: rcu_sched detected stalls on CPUs/tasks:")]
#[case::kasan("BUG: KASAN: slab-use-after-free in ima_lookup_digest_entry+0x1/0x2")]
#[case::oom("agent invoked oom-killer: gfp_mask=0xcc0, order=0")]
#[case::panic("Kernel panic - not syncing: Attempted to kill init!")]
fn a_complaint_on_the_console_fails(#[case] line: &str) {
    let mut world = World::new();
    world.console(line);
    let title = line.split_once("] ").map_or(line, |(_, title)| title);
    failed(&world.verdict("kernel-health"), &["console line 2, event 4", title]);
}

#[test]
fn what_the_kernel_must_say_is_on_a_line_of_the_console() {
    let mut world = World::new();
    world.console("[    0.1] ima: Hash table not enabled, ignoring request to flush");
    world.plan.kernel_says = vec!["not enabled, ignoring".to_owned()];
    let result = world.verdict("kernel-health");
    passed(&result);
    let findings = ["3 console lines, console line 2 says `not enabled, ignoring`, powered off, 1 boot"];
    assert_eq!(result.findings, findings);

    let mut world = World::new();
    world.console("ima: Hash table not enabled,");
    world.console("ignoring request to flush");
    world.plan.kernel_says = vec!["not enabled, ignoring".to_owned()];
    failed(&world.verdict("kernel-health"), &["the kernel never said `not enabled, ignoring`"]);
}

#[test]
fn a_second_boot_fails() {
    let mut world = World::new();
    world.hello();
    failed(&world.verdict("kernel-health"), &["the agent said hello 2 times, expected 1"]);
}

#[test]
fn no_boot_fails() {
    let (plan, mut trace) = World::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Guest(Message::Hello { .. })));
    failed(&result(&plan, &trace, "kernel-health"), &["the agent said hello 0 times"]);
}

#[test]
fn an_end_without_the_last_message_fails() {
    let (plan, mut trace) = World::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Guest(Message::Done { .. })));
    failed(&result(&plan, &trace, "kernel-health"), &["the agent's last message never came"]);
}

#[rstest]
#[case("guest-reset", "the machine went down by guest-reset, expected guest-shutdown")]
#[case("host-qmp-quit", "the machine went down by host-qmp-quit")]
fn an_end_by_anything_but_powering_off_fails(#[case] reason: &str, #[case] finding: &str) {
    let (plan, mut trace) = World::new().finish();
    for event in &mut trace.events {
        if let What::Qmp(value) = &mut event.what {
            *value = json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": reason}});
        }
    }
    failed(&result(&plan, &trace, "kernel-health"), &[finding]);
}

#[test]
fn an_end_that_never_came_fails() {
    let (mut plan, mut trace) = World::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Qmp(_)));
    failed(&result(&plan, &trace, "kernel-health"), &["the guest never powered off"]);
    plan.program.end = End::Shell;
    passed(&result(&plan, &trace, "kernel-health"));
}

#[test]
fn a_dumb_console_could_not_be_judged() {
    let (plan, mut trace) = World::new().finish();
    trace.events.retain(|event| !matches!(event.what, What::Console(_)));
    could_not_run(&result(&plan, &trace, "kernel-health"), &["the console printed nothing"]);
}

#[test]
fn a_console_that_went_away_could_not_be_judged() {
    let (plan, mut trace) = World::new().finish();
    trace.events.retain(|event| !matches!(&event.what, What::Console(line) if line.contains("Power down")));
    could_not_run(&result(&plan, &trace, "kernel-health"), &["did not show the kernel's last words"]);
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
    let mut world = World::new();
    world.plan.machine.kernel_args = words.iter().map(|word| (*word).to_owned()).collect();
    let result = world.verdict("kernel-health");
    match by {
        Some(word) => could_not_run(&result, &[&format!("the kernel was told `{word}`")]),
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
    let mut world = World::new();
    world.console(WARNING);
    let (plan, trace) = world.finish();
    with_list(&Evidence::of(&plan, &trace), &trace, day(today), list)
}

#[test]
fn what_is_allowed_is_passed_over_until_its_day() {
    let result = judged(ENTRY, "2027-03-30");
    passed(&result);
    assert_eq!(result.findings, ["3 console lines, 1 allowed, powered off, 1 boot"]);
    failed(&judged(ENTRY, "2027-03-31"), &["WARNING: ", "(allowed until 2027-03-31: look again)"]);
}

#[rstest]
#[case::other_kind("kind: warning", "kind: lockdep")]
#[case::other_title("ima_fs.c:512", "ima_fs.c:513")]
fn only_what_is_named_is_allowed(#[case] from: &str, #[case] to: &str) {
    failed(&judged(&ENTRY.replace(from, to), "2027-01-01"), &["WARNING: "]);
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
    could_not_run(&judged(&ENTRY.replace(from, to), "2027-01-01"), &["the allow list cannot be read", why]);
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
    let mut world = World::new();
    let mark = Op::Mark { path: "/dev/tpm0".into(), number: 9_000 };
    let step = world.step("hold", Action::SystemCall, vec![(mark, Outcome::Value(0), Vec::new())], vec![]);
    world.plan.marks.push(Mark { number: 9_000, step: step as u32, does: MarkDeed::Hold });
    // Its end comes later.
    let done = world.trace.events.pop().unwrap();
    if released {
        world.say(Message::ReleaseHold { task: 0, hold: 9_000 });
    }
    world.console(line);
    world.see(done.what);
    let result = world.verdict("kernel-health");
    if passes {
        passed(&result);
        assert!(result.findings[0].contains("1 of tasks that waited while the TPM was held"), "{result:?}");
    } else {
        failed(&result, &["console line 2", line]);
    }
}
