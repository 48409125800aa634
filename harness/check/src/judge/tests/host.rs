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
#[case::qemu_waited(&[kept(1_500)], Outcome::Infra, json!({
    "code": "run/host-busy", "line": TIMED_OUT, "waited_ms": 1_500, "within_ms": 3_000, "answer_ms": null,
}))]
#[case::swtpm_was_late(&[took(2_000)], Outcome::Infra, json!({
    "code": "run/host-busy", "line": TIMED_OUT, "waited_ms": null, "answer_ms": 2_000,
}))]
// A host with some load, and a TPM that answered at once: it was the kernel.
#[case::nobody_waited_long(&[kept(1_400)], Outcome::Failed, complaint())]
#[case::answered_at_once(&[took(30), kept(10)], Outcome::Failed, complaint())]
#[case::nothing_was_measured(&[], Outcome::Failed, complaint())]
fn the_host_is_blamed_for_a_late_tpm_when_it_was_measured(
    #[case] measured: &[What],
    #[case] outcome: Outcome,
    #[case] reason: Value,
) {
    let seen = |fake: &mut FakeRun| {
        fake.see(What::Console("WARNING: x".into()));
        fake.see(What::Console(TIMED_OUT.into()));
        measured.iter().for_each(|what| fake.see(what.clone()));
    };
    let mut fake = sound();
    seen(&mut fake);
    let (plan, trace) = fake.finish();
    assert_judged(&of(&plan, &trace, &all(&plan, &trace)), outcome, &reason);
    // A run that never came to its end, of which nobody knows why, is the host's in any case.
    let cut = Trace::from(trace.events[..trace.events.len() - 4].to_vec());
    assert_eq!(of(&plan, &cut, &[]).outcome, Outcome::Infra);
}

#[test]
fn a_stall_that_the_host_made_is_the_hosts() {
    let hung = "[   91.1] INFO: task agent:72 blocked for more than 30 seconds.";
    for (waited, outcome) in [(2_900, Outcome::Infra), (100, Outcome::Failed)] {
        let mut fake = sound();
        fake.see(What::Console(hung.into()));
        fake.see(kept(waited));
        assert_eq!(judged(fake).outcome, outcome);
    }
}

#[test]
fn a_command_that_was_made_to_time_out_is_no_trouble_of_the_host() {
    let mut fake = sound();
    let step = fake.plan.steps[0].id;
    fake.plan.marks.push(Mark { number: 9_000, step, does: MarkAction::Hold });
    // Whatever is wrong then, it is not that.
    fake.see(What::Console(TIMED_OUT.into()));
    fake.see(What::Console("WARNING: x".into()));
    assert_ne!(judged(fake).outcome, Outcome::Infra);
}

#[rstest]
#[case::with_proof(2_000, Outcome::Infra, json!({"code": "run/host-busy", "line": GAVE_UP}))]
#[case::without(10, Outcome::Failed, json!({"code": "run/tpm-given-up", "line": GAVE_UP}))]
fn a_guest_without_its_tpm_is_the_kernels_fault_unless_the_host_is_proved_guilty(
    #[case] waited: u64,
    #[case] outcome: Outcome,
    #[case] reason: Value,
) {
    let mut fake = sound();
    fake.see(What::Console(GAVE_UP.into()));
    fake.see(kept(waited));
    let (plan, trace) = fake.finish();
    // A probe, and a run with findings that all come of it.
    for checks in [vec![], vec![failed(Check::Steps, nonce(1))]] {
        assert_judged(&of(&plan, &trace, &checks), outcome, &reason);
    }
}

#[test]
fn a_guest_that_powers_itself_off_too_early_is_no_fault_of_the_host() {
    let (plan, mut trace) = sound().finish();
    trace.events.retain(|event| !matches!(event.what, What::Guest(Message::Done { .. })));
    let finding =
        json!({"code": "run/agent-lost", "said_hello": true, "powered_off": true, "tpm_given_up": null});
    assert_judged(&of(&plan, &trace, &all(&plan, &trace)), Outcome::Failed, &finding);
}
