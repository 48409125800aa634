//! What a run is judged to be, by all that it showed.

mod children;
mod hang;
mod host;
mod known;

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

/// What a kernel says when it dies of a use of a list entry that was removed.
const DEATH: [&str; 3] = [
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
    "RIP: 0010:ima_queue_delete_partial+0xcb/0x150",
    "---[ end trace 0000000000000000 ]---",
];
