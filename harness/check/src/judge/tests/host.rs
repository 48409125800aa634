//! What is the host's fault, and what is not though it looks like it.

use super::*;

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
