use imalab_wire::{End, Message};
use rstest::rstest;
use serde_json::json;

use super::Judgement;
use crate::all;
use crate::outcome::{CheckResult, Outcome, Verdict};
use crate::world::{TODAY, World};
use imalab_language::plan::{Mark, MarkDeed, Plan};
use imalab_language::scenario::{KERNEL_DIED, KernelRange, KnownDefect, KnownLimit, Lost, Sign, Version};
use imalab_trace::{Event, Exchange, Host, Origin, Trace, What};

const PANIC: &str = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009";

const GAVE_UP: &str = "tpm_tis MSFT0101:00: probe with driver tpm_tis failed with error -62";

const TIMED_OUT: &str = "[   19.551099] tpm tpm0: Operation Timed out";

fn of(plan: &Plan, trace: &Trace, checks: &[CheckResult]) -> Judgement {
    super::of(plan, trace, checks, TODAY)
}

fn sound() -> World {
    let mut world = World::new();
    world.measure(3);
    world.stage_save_delete();
    world
}

fn judged(world: World) -> Judgement {
    let (plan, trace) = world.finish();
    of(&plan, &trace, &all(&plan, &trace))
}

#[test]
fn a_sound_run_passes() {
    assert_eq!(judged(sound()), Judgement::new(Outcome::Passed, ""));
}

fn kept(longest_ms: u64) -> What {
    What::Host(Host::Kept { longest_ms, within_ms: 3_000 })
}

/// The guest's command took the tap so long, host milliseconds.
fn took(ms: u64) -> What {
    let command = [&[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44][..], &[0, 0]].concat();
    let answer = vec![0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0];
    let (begin_ns, end_ns) = (0, ms * 1_000_000);
    What::Tpm(Exchange { origin: Origin::Guest, locality: 0, command, answer, begin_ns, end_ns })
}

#[rstest]
#[case::qemu_waited(&[kept(1_500)], Outcome::Infra, "; QEMU, swtpm or imalab waited 1500 ms of 3000 ms for a processor")]
#[case::swtpm_was_late(&[took(2_000)], Outcome::Infra, "; swtpm took 2000 ms for an answer")]
// A host with some load, and a TPM that answered at once: it was the kernel.
#[case::nobody_waited_long(&[kept(1_400)], Outcome::Failed, "console line 2")]
#[case::answered_at_once(&[took(30), kept(10)], Outcome::Failed, "console line 2")]
#[case::nothing_was_measured(&[], Outcome::Failed, "console line 2")]
fn the_host_is_blamed_for_a_late_tpm_when_it_was_measured(
    #[case] measured: &[What],
    #[case] outcome: Outcome,
    #[case] reason: &str,
) {
    let seen = |world: &mut World| {
        world.see(What::Console("WARNING: x".into()));
        world.see(What::Console(TIMED_OUT.into()));
        measured.iter().for_each(|what| world.see(what.clone()));
    };
    let mut world = sound();
    seen(&mut world);
    let (plan, trace) = world.finish();
    let judgement = of(&plan, &trace, &all(&plan, &trace));
    assert!(judgement.outcome == outcome && judgement.reason.contains(reason), "{judgement:?}");
    // A run that never came to its end, of which nobody knows why, is the host's in any case.
    let cut = Trace::from(trace.events[..trace.events.len() - 4].to_vec());
    assert_eq!(of(&plan, &cut, &[]).outcome, Outcome::Infra);
}

#[test]
fn a_stall_that_the_host_made_is_the_hosts() {
    let hung = "[   91.1] INFO: task agent:72 blocked for more than 30 seconds.";
    for (waited, outcome) in [(2_900, Outcome::Infra), (100, Outcome::Failed)] {
        let mut world = sound();
        world.see(What::Console(hung.into()));
        world.see(kept(waited));
        assert_eq!(judged(world).outcome, outcome);
    }
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

#[test]
fn a_command_that_was_made_to_time_out_is_no_trouble_of_the_host() {
    let mut world = sound();
    let step = world.plan.steps[0].id;
    world.plan.marks.push(Mark { number: 9_000, step, does: MarkDeed::Hold });
    // Whatever is wrong then, it is not that.
    world.see(What::Console(TIMED_OUT.into()));
    world.see(What::Console("WARNING: x".into()));
    assert_ne!(judged(world).outcome, Outcome::Infra);
}

#[test]
fn a_guest_that_does_nothing_more_is_told_with_its_idle_processors() {
    let mut world = sound();
    world.see(deadline());
    let text = "CPU#0\n HLT=1\nCPU#1\n HLT=0\n".to_owned();
    world.see(What::Host(Host::Processors { text, emulated: true }));
    assert_eq!(judged(world).reason, "no event for 30 s, 1 of 2 processors idle");
}

#[test]
fn what_the_agent_said_before_it_fell_silent_is_not_lost() {
    let mut world = sound();
    world.see(What::Guest(Message::Fault { text: "cannot mount /sys: EBUSY".into() }));
    world.see(deadline());
    let judgement = judged(world);
    assert_eq!(judgement.outcome, Outcome::Timeout);
    assert_eq!(judgement.reason, "agent: cannot mount /sys: EBUSY; then no event for 30 s");
}

#[test]
fn a_child_that_dies_has_its_last_words() {
    let mut world = sound();
    world.see(exited("swtpm", 1));
    let text = "swtpm: could not open\n  the log\n".to_owned();
    world.see(What::Host(Host::LastWords { child: "swtpm".into(), text }));
    let reason = "swtpm ended with status 1 before QEMU was done with it, its last words: swtpm: could not open / the log";
    assert_eq!(judged(world).reason, reason);
}

#[rstest]
#[case::the_signal_first(&[What::Host(Host::Interrupted), exited("qemu", 0)], Outcome::Interrupted)]
#[case::and_what_it_led_to(
    &[What::Host(Host::Interrupted), What::Host(Host::TpmTrouble { text: "gone".into() }), exited("qemu", 137)],
    Outcome::Interrupted
)]
#[case::a_child_that_had_died(&[exited("swtpm", 1), What::Host(Host::Interrupted)], Outcome::Infra)]
#[case::a_kernel_that_had_died(&[What::Console(PANIC.into()), What::Host(Host::Interrupted)], Outcome::KernelDied)]
fn a_signal_ends_only_what_was_under_way(#[case] seen: &[What], #[case] outcome: Outcome) {
    let mut world = sound();
    seen.iter().for_each(|what| world.see(what.clone()));
    let judgement = judged(world);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
}

#[test]
fn a_signal_after_the_end_of_a_run_does_not_take_it_back() {
    let (plan, trace) = sound().finish();
    let mut events = trace.events;
    let seq = events.len() as u64;
    events.push(Event { seq, at_ns: seq * 1_000, what: What::Host(Host::Interrupted) });
    let trace = Trace::from(events);
    assert_eq!(of(&plan, &trace, &all(&plan, &trace)).outcome, Outcome::Passed);
}

#[rstest]
#[case::by_qemu(
    true,
    Outcome::Infra,
    "QEMU lost the end of an interrupt: processor 0 is halted with vector 236 in service"
)]
#[case::by_hardware(false, Outcome::Timeout, "no event for 30 s, 1 of 1 processors idle")]
fn an_interrupt_that_was_never_ended(#[case] emulated: bool, #[case] outcome: Outcome, #[case] reason: &str) {
    let mut world = sound();
    world.see(deadline());
    let text = "CPU#0\nRFL=00000246 HLT=1\ndumping local APIC state for CPU 0\nISR\t 236 \n".to_owned();
    world.see(What::Host(Host::Processors { text, emulated }));
    let judgement = judged(world);
    assert!(judgement.outcome == outcome && judgement.reason.starts_with(reason), "{judgement:?}");
}

#[rstest]
#[case::panic(What::Console(PANIC.into()), Outcome::KernelDied, PANIC)]
#[case::oops(
    What::Console("BUG: kernel NULL pointer dereference, address: 0000000000000008".into()),
    Outcome::KernelDied, "BUG: kernel NULL pointer dereference, address: 0000000000000008"
)]
#[case::bug(What::Console("kernel BUG at mm/slub.c:1!".into()), Outcome::KernelDied, "kernel BUG at mm/slub.c:1!")]
#[case::told(What::Qmp(json!({"event": "GUEST_PANICKED"})), Outcome::KernelDied, "the guest told of a panic")]
#[case::panic_event(shutdown("guest-panic"), Outcome::KernelDied, "the guest panicked")]
#[case::reset(shutdown("guest-reset"), Outcome::KernelDied, "the guest reset itself without a word")]
#[case::deadline(deadline(), Outcome::Timeout, "no event for 30 s")]
#[case::flood(
    What::Host(Host::Flooded { by: imalab_trace::Flood::Console, text: "more than 9 lines".into() }),
    Outcome::Failed, "the guest flooded the run: more than 9 lines"
)]
#[case::frame(
    What::Host(Host::BadFrame { text: "checksum".into() }),
    Outcome::Infra, "the agent's stream cannot be decoded: checksum"
)]
#[case::tpm(What::Host(Host::TpmTrouble { text: "gone".into() }), Outcome::Infra, "TPM: gone")]
#[case::disk(What::Host(Host::Trouble { text: "disk full".into() }), Outcome::Infra, "disk full")]
#[case::agent(What::Guest(Message::Fault { text: "no port".into() }), Outcome::Failed, "agent: no port")]
#[case::interrupted(What::Host(Host::Interrupted), Outcome::Interrupted, "interrupted")]
#[case::qemu(exited("qemu", 1), Outcome::Infra, "qemu ended with status 1 before the guest was done")]
#[case::swtpm(
    exited("swtpm", 137),
    Outcome::Infra,
    "swtpm ended with status 137 before QEMU was done with it"
)]
// By SIGTERM it ends as if it had been asked to.
#[case::swtpm_orderly(
    exited("swtpm", 0),
    Outcome::Infra,
    "swtpm ended with status 0 before QEMU was done with it"
)]
#[case::qemu_by_a_signal(shutdown("host-signal"), Outcome::Infra, "qemu was ended by a signal from outside")]
#[case::no_tpm_and_no_proof(What::Console(GAVE_UP.into()), Outcome::Passed, "")]
#[case::no_time_for_a_command_and_got_over_it(What::Console(TIMED_OUT.into()), Outcome::Passed, "")]
#[case::warning(
    What::Console("WARNING: kernel/x.c:1 at f+0x1/0x2, CPU#0: agent/52".into()),
    Outcome::Failed, "kernel-health: console line 2"
)]
fn what_is_seen_decides(#[case] what: What, #[case] outcome: Outcome, #[case] reason: &str) {
    let mut world = sound();
    world.see(what);
    let judgement = judged(world);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
    assert!(judgement.reason.starts_with(reason), "{judgement:?}");
}

#[rstest]
#[case::death_first(&[deadline(), What::Console(PANIC.into()), exited("qemu", 0)], Outcome::KernelDied)]
#[case::time_before_surroundings(&[What::Host(Host::Trouble { text: "disk full".into() }), exited("qemu", 137), deadline()], Outcome::Timeout)]
#[case::whoever_ended_swtpm_before_time(&[exited("swtpm", 0), deadline()], Outcome::Infra)]
#[case::whoever_ended_swtpm_before_findings(&[exited("swtpm", 143), What::Console("WARNING: x".into())], Outcome::Infra)]
#[case::surroundings_before_checks(&[What::Console("WARNING: x".into()), exited("swtpm", 1)], Outcome::Infra)]
fn what_explains_the_rest_comes_first(#[case] seen: &[What], #[case] outcome: Outcome) {
    let mut world = sound();
    seen.iter().for_each(|what| world.see(what.clone()));
    assert_eq!(judged(world).outcome, outcome);
}

#[rstest]
#[case::it_died_first(&["swtpm", "qemu"], "swtpm ended with status 137 before QEMU was done with it")]
#[case::we_ended_it(&["qemu", "swtpm"], "TPM: gone")]
fn a_tpm_that_died_is_why_it_no_longer_answers(#[case] ended: &[&str], #[case] reason: &str) {
    let mut world = sound();
    world.see(What::Host(Host::TpmTrouble { text: "gone".to_owned() }));
    ended.iter().for_each(|child| world.see(exited(child, 137)));
    let judgement = judged(world);
    assert_eq!((judgement.outcome, judgement.reason.as_str()), (Outcome::Infra, reason));
}

#[test]
fn swtpm_may_end_when_qemu_has_asked_it_to() {
    let mut world = sound();
    world.see(What::Host(Host::EndAsked));
    world.see(exited("swtpm", 0));
    assert_eq!(judged(world).outcome, Outcome::Passed);
}

#[rstest]
#[case::with_proof(2_000, Outcome::Infra, "the host was too busy")]
#[case::without(10, Outcome::Failed, "the kernel gave its TPM up (tpm_tis MSFT0101:00")]
fn a_guest_without_its_tpm_is_the_kernels_fault_unless_the_host_is_proved_guilty(
    #[case] waited: u64,
    #[case] outcome: Outcome,
    #[case] reason: &str,
) {
    let mut world = sound();
    world.see(What::Console(GAVE_UP.into()));
    world.see(kept(waited));
    let (plan, trace) = world.finish();
    // A probe, and a run with findings that all come of it.
    for checks in [vec![], vec![check("steps", Verdict::Failed, "expected success, failed with ENOENT")]] {
        let judgement = of(&plan, &trace, &checks);
        assert!(judgement.outcome == outcome && judgement.reason.starts_with(reason), "{judgement:?}");
    }
}

#[test]
fn a_guest_that_powers_itself_off_too_early_is_no_fault_of_the_host() {
    let (plan, mut trace) = sound().finish();
    trace.events.retain(|event| !matches!(event.what, What::Guest(Message::Done { .. })));
    let judgement = of(&plan, &trace, &all(&plan, &trace));
    assert_eq!(judgement.outcome, Outcome::Failed);
    assert_eq!(judgement.reason, "the agent's last message never came, and the guest powered itself off");
}

/// What a kernel says of a task that waits, and answers to the NMI that asks it.
const HANG: &[&str] = &[
    "[   45.1] INFO: task agent:72 blocked for more than 30 seconds.",
    "[   45.2] INFO: task agent:72 is blocked on a mutex likely owned by task agent:70.",
];
const ANSWER: &[&str] = &[
    "[   47.0] Kernel panic - not syncing: NMI: Not continuing",
    "[   47.1] task:agent           state:D stack:0     pid:70    tgid:70",
    "[   47.1] Call Trace:",
    "[   47.1]  __schedule+0x3f4/0xb20",
    "[   47.1]  ima_pcr_extend+0x5c/0xd0",
    "[   47.2] task:agent           state:D stack:0     pid:72    tgid:72",
    "[   47.2] Call Trace:",
    "[   47.2]  __mutex_lock.constprop.0+0x37f/0x6b0",
    "[   47.2]  ima_queue_stage+0x21/0x130",
];

#[test]
fn a_kernel_that_hangs_is_told_with_the_task_its_function_and_the_holder() {
    let mut world = sound();
    // The last is a thread of the one before.
    for (task, pid) in [(0, 70), (1, 72), (0, 72)] {
        world.see(What::Guest(Message::TaskStarted { task, pid }));
    }
    HANG.iter().for_each(|line| world.console(line));
    world.see(kept(10));
    world
        .see(What::Host(Host::Hang { text: "INFO: task agent:72 blocked for more than 30 seconds.".into() }));
    world.see(What::Host(Host::NmiSent));
    ANSWER.iter().for_each(|line| world.console(line));
    world.see(shutdown("guest-reset"));
    let judgement = judged(world);
    assert_eq!(judgement.outcome, Outcome::Timeout, "{judgement:?}");
    assert_eq!(
        judgement.reason,
        "the kernel hangs: INFO: task agent:72 blocked for more than 30 seconds.; it (task other) waits in ima_queue_stage for a \
         mutex; likely holder: agent:70 (task agent), which waits in ima_pcr_extend"
    );
}

#[test]
fn a_silent_guest_is_told_with_what_its_tasks_wait_for() {
    let mut world = sound();
    world.see(deadline());
    world.see(What::Host(Host::NmiSent));
    ANSWER.iter().for_each(|line| world.console(line));
    let judgement = judged(world);
    assert_eq!(judgement.outcome, Outcome::Timeout);
    let waits = "no event for 30 s; agent:70 waits in ima_pcr_extend; agent:72 waits in ima_queue_stage";
    assert_eq!(judgement.reason, waits);
}

#[test]
fn a_death_is_told_with_its_function_before_anything_that_could_not_run() {
    let mut world = sound();
    DEATH.iter().for_each(|line| world.console(line));
    let (plan, trace) = world.finish();
    let blind = [check("exactly-once", Verdict::CouldNotRun, "no checkpoint read the list")];
    let judgement = of(&plan, &trace, &blind);
    assert_eq!(judgement.outcome, Outcome::KernelDied);
    assert!(judgement.reason.ends_with("[#1] SMP, in ima_queue_delete_partial"), "{judgement:?}");
}

/// A run that ended when the first event of these was about to be seen.
fn cut(world: World, before: fn(&What) -> bool) -> Judgement {
    let (plan, trace) = world.finish();
    let events: Vec<_> = trace.events.into_iter().take_while(|event| !before(&event.what)).collect();
    let trace = Trace::from(events);
    of(&plan, &trace, &all(&plan, &trace))
}

#[rstest]
#[case::no_end(|what: &What| matches!(what, What::Guest(Message::Done { .. })), "the agent's last message never came")]
#[case::no_start(|what: &What| matches!(what, What::Guest(_)), "the agent never said hello")]
fn a_lost_agent_is_no_verdict_on_the_kernel(#[case] before: fn(&What) -> bool, #[case] reason: &str) {
    let judgement = cut(sound(), before);
    assert_eq!(judgement, Judgement::new(Outcome::Infra, reason));
}

#[test]
fn a_child_that_fails_after_the_end_is_no_sound_run() {
    let (plan, mut trace) = sound().finish();
    trace.events.retain(|event| !matches!(event.what, What::Qmp(_)));
    for event in &mut trace.events {
        if let What::Host(Host::Exited { status, .. }) = &mut event.what {
            *status = 139;
        }
    }
    let judgement = of(&plan, &trace, &[]);
    assert_eq!(judgement.outcome, Outcome::Infra);
    assert_eq!(judgement.reason, "qemu ended with status 139");
}

#[test]
fn a_shell_may_end_as_its_user_likes() {
    let mut world = World::new();
    world.plan.program.end = End::Shell;
    let judgement = cut(world, |what| matches!(what, What::Qmp(_)));
    assert_ne!(judgement.outcome, Outcome::Infra, "{judgement:?}");
}

#[test]
fn a_probe_has_to_come_to_its_end_and_nothing_more() {
    let (plan, trace) = sound().finish();
    assert_eq!(of(&plan, &trace, &[]).outcome, Outcome::Passed);
    let trace = Trace::from(trace.events[..4].to_vec());
    assert_eq!(of(&plan, &trace, &[]).outcome, Outcome::Infra);
}

fn check(name: &str, verdict: Verdict, finding: &str) -> CheckResult {
    CheckResult::new(name, verdict, vec![finding.to_owned()])
}

#[rstest]
#[case(&[check("steps", Verdict::CouldNotRun, "why")], "steps could not run: why")]
#[case(&[check("steps", Verdict::Failed, "what")], "steps: what")]
#[case(
    &[check("steps", Verdict::CouldNotRun, "why"), check("quote", Verdict::Failed, "what"), check("replay", Verdict::Passed, "x")],
    "quote: what (also: steps)"
)]
fn the_reason_names_what_was_found(#[case] checks: &[CheckResult], #[case] reason: &str) {
    let (plan, trace) = sound().finish();
    let judgement = of(&plan, &trace, checks);
    assert_eq!(judgement, Judgement::new(Outcome::Failed, reason));
}

fn defect(before: Option<Version>) -> KnownDefect {
    KnownDefect {
        kernels: KernelRange { from: None, before },
        breaks: "no record is lost".to_owned(),
        link: None,
        shows: vec![Sign { check: "exactly-once".to_owned(), finding: "is missing".to_owned() }],
    }
}

#[rstest]
#[case::as_stated(
    &[check("exactly-once", Verdict::Failed, "record 4 is missing")], None,
    Outcome::KnownDefect, "as stated: no record is lost"
)]
#[case::gone(&[check("exactly-once", Verdict::Passed, "")], None, Outcome::Failed, "the kernel seems mended")]
#[case::otherwise(
    &[check("exactly-once", Verdict::Failed, "record 4 is doubled")], None,
    Outcome::Failed, "exactly-once: record 4 is doubled; not the known defect"
)]
#[case::more(
    &[check("exactly-once", Verdict::Failed, "record 4 is missing"), check("replay", Verdict::CouldNotRun, "why")], None,
    Outcome::Failed, "exactly-once: record 4 is missing (also: replay); not the known defect"
)]
#[case::other_kernel(
    &[check("exactly-once", Verdict::Failed, "record 4 is missing")], Some(Version(7, 2, 0)),
    Outcome::Failed, "exactly-once: record 4 is missing"
)]
#[case::other_kernel_sound(&[check("exactly-once", Verdict::Passed, "")], Some(Version(7, 2, 0)), Outcome::Passed, "")]
fn a_known_defect_counts_when_it_shows_just_so(
    #[case] checks: &[CheckResult],
    #[case] before: Option<Version>,
    #[case] outcome: Outcome,
    #[case] reason: &str,
) {
    let (mut plan, trace) = sound().finish();
    plan.known_defect = Some(defect(before));
    let judgement = of(&plan, &trace, checks);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
    assert!(judgement.reason.starts_with(reason), "{judgement:?}");
}

#[rstest]
#[case::has_it(
    &[check("exactly-once", Verdict::Failed, "record 4 is missing")],
    Outcome::KnownDefect, "as stated: no record is lost"
)]
#[case::mended(
    &[check("exactly-once", Verdict::Passed, "")],
    Outcome::Passed, "the known defect is not present in this kernel: no record is lost"
)]
#[case::otherwise(
    &[check("exactly-once", Verdict::Failed, "record 4 is doubled")],
    Outcome::Failed, "exactly-once: record 4 is doubled; not the known defect"
)]
fn a_kernel_of_ones_own_may_have_a_defect_mended(
    #[case] checks: &[CheckResult],
    #[case] outcome: Outcome,
    #[case] reason: &str,
) {
    let (mut plan, trace) = sound().finish();
    plan.known_defect = Some(defect(None));
    plan.stock = false;
    let judgement = of(&plan, &trace, checks);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
    assert!(judgement.reason.starts_with(reason), "{judgement:?}");
}

#[rstest]
#[case::stock(
    true,
    Outcome::Failed,
    "the kernel no longer has the limit, nothing was lost: no segment",
    false
)]
#[case::ones_own(false, Outcome::Passed, "the known limit is not present in this kernel: no segment", true)]
fn a_kernel_of_ones_own_may_have_a_limit_mended(
    #[case] stock: bool,
    #[case] outcome: Outcome,
    #[case] reason: &str,
    #[case] passes: bool,
) {
    let (mut plan, trace) = sound().finish();
    plan.known_limit = Some(KnownLimit {
        kernels: KernelRange::default(),
        why: "no segment".to_owned(),
        link: None,
        lost: Lost { kexec: 1, records: Some(3) },
    });
    plan.stock = stock;
    let judgement = of(&plan, &trace, &[check("kexec", Verdict::Failed, "3 records are said to be lost")]);
    assert_eq!((judgement.outcome, judgement.reason.as_str()), (outcome, reason));
    // What is shown is what the verdict rests on.
    let sound = |checks: &Vec<CheckResult>| checks.iter().all(|check| !check.verdict.is_bad());
    assert_eq!(judgement.checks.as_ref().is_some_and(sound), passes);
}

/// What a kernel says when it dies of a use of a list entry that was removed.
const DEATH: [&str; 3] = [
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
    "RIP: 0010:ima_queue_delete_partial+0xcb/0x150",
    "---[ end trace 0000000000000000 ]---",
];

#[rstest]
#[case::as_stated("ima_queue_delete_partial", None, true, Outcome::KnownDefect)]
#[case::of_something_else("ima_measurements_show", None, true, Outcome::KernelDied)]
#[case::other_kernel("ima_queue_delete_partial", Some(Version(7, 2, 0)), true, Outcome::KernelDied)]
#[case::it_lives("ima_queue_delete_partial", None, false, Outcome::Failed)]
fn a_kernel_may_die_of_a_known_defect(
    #[case] finding: &str,
    #[case] before: Option<Version>,
    #[case] dies: bool,
    #[case] outcome: Outcome,
) {
    let mut world = sound();
    if dies {
        DEATH.iter().for_each(|line| world.console(line));
    }
    let (mut plan, trace) = world.finish();
    let shows = vec![Sign { check: KERNEL_DIED.to_owned(), finding: finding.to_owned() }];
    plan.known_defect = Some(KnownDefect { shows, ..defect(before) });
    let judgement = of(&plan, &trace, &[check("steps", Verdict::Passed, "")]);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
}

#[rstest]
#[case::has_the_defect(None, Outcome::Failed, "the kernel seems mended")]
#[case::never_had_it(Some(Version(7, 2, 0)), Outcome::KnownLimit, "as stated: no segment")]
fn a_limit_does_not_hide_that_a_defect_is_gone(
    #[case] before: Option<Version>,
    #[case] outcome: Outcome,
    #[case] reason: &str,
) {
    let (mut plan, trace) = sound().finish();
    let shows = vec![Sign { check: KERNEL_DIED.to_owned(), finding: "ima_update_kexec_buffer".to_owned() }];
    plan.known_defect = Some(KnownDefect { shows, ..defect(before) });
    plan.known_limit = Some(KnownLimit {
        kernels: KernelRange::default(),
        why: "no segment".to_owned(),
        link: None,
        lost: Lost { kexec: 1, records: None },
    });
    let judgement = of(&plan, &trace, &[check("kexec", Verdict::Passed, "")]);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
    assert!(judgement.reason.starts_with(reason), "{judgement:?}");
}

#[rstest]
#[case::in_order("guest-shutdown", 0, Outcome::Passed)]
#[case::not_in_order("guest-shutdown", 1, Outcome::Infra)]
fn a_child_may_be_told_to_have_ended_before_the_last_message_came(
    #[case] reason: &str,
    #[case] status: i32,
    #[case] outcome: Outcome,
) {
    let (plan, mut trace) = sound().finish();
    let done = |event: &imalab_trace::Event| matches!(event.what, What::Guest(Message::Done { .. }));
    let at = trace.events.iter().position(done).unwrap();
    for what in [exited("swtpm", status), shutdown(reason), What::Host(Host::EndAsked)] {
        let event = imalab_trace::Event { what, ..trace.events[at].clone() };
        trace.events.insert(at, event);
    }
    assert_eq!(of(&plan, &trace, &[]).outcome, outcome);
}

#[test]
fn a_known_defect_does_not_excuse_a_dead_kernel() {
    let mut world = sound();
    world.console(PANIC);
    let (mut plan, trace) = world.finish();
    plan.known_defect = Some(defect(None));
    let checks = [check("exactly-once", Verdict::Failed, "record 4 is missing")];
    assert_eq!(of(&plan, &trace, &checks).outcome, Outcome::KernelDied);
}
