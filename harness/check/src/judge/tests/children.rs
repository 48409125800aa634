//! How QEMU, swtpm, the agent and the run itself end.

use super::*;

#[test]
fn a_child_that_dies_has_its_last_words() {
    let mut fake = sound();
    fake.see(exited("swtpm", 1));
    let text = "swtpm: could not open\n  the log\n".to_owned();
    fake.see(What::Host(Host::LastWords { child: "swtpm".into(), text }));
    let words = ["swtpm: could not open", "the log"];
    let finding = json!({
        "code": "run/child-ended", "child": "swtpm", "status": 1, "needed_by": "qemu", "last_words": words,
    });
    assert_judged(&judged(fake), Outcome::Infra, &finding);
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
    let mut fake = sound();
    seen.iter().for_each(|what| fake.see(what.clone()));
    let judgement = judged(fake);
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
#[case::it_died_first(&["swtpm", "qemu"], swtpm_ended(137))]
#[case::we_ended_it(&["qemu", "swtpm"], json!({"code": "run/tpm-trouble", "error": "gone"}))]
fn a_tpm_that_died_is_why_it_no_longer_answers(#[case] ended: &[&str], #[case] reason: Value) {
    let mut fake = sound();
    fake.see(What::Host(Host::TpmTrouble { text: "gone".to_owned() }));
    ended.iter().for_each(|child| fake.see(exited(child, 137)));
    assert_judged(&judged(fake), Outcome::Infra, &reason);
}

#[test]
fn swtpm_may_end_when_qemu_has_asked_it_to() {
    let mut fake = sound();
    fake.see(What::Host(Host::EndAsked));
    fake.see(exited("swtpm", 0));
    assert_eq!(judged(fake).outcome, Outcome::Passed);
}

/// A run that ended when the first event of these was about to be seen.
fn cut(fake: FakeRun, before: fn(&What) -> bool) -> Judgement {
    let (plan, trace) = fake.finish();
    let events: Vec<_> = trace.events.into_iter().take_while(|event| !before(&event.what)).collect();
    let trace = Trace::from(events);
    of(&plan, &trace, &all(&plan, &trace))
}

#[rstest]
#[case::no_end(|what: &What| matches!(what, What::Guest(Message::Done { .. })), true)]
#[case::no_start(|what: &What| matches!(what, What::Guest(_)), false)]
fn a_lost_agent_is_no_verdict_on_the_kernel(#[case] before: fn(&What) -> bool, #[case] said_hello: bool) {
    let lost = Run::AgentLost { said_hello, powered_off: false, tpm_given_up: None };
    assert_eq!(cut(sound(), before), Judgement::new(Outcome::Infra, lost));
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
    let finding = json!({"code": "run/child-ended", "child": "qemu", "status": 139, "needed_by": null});
    assert_judged(&of(&plan, &trace, &[]), Outcome::Infra, &finding);
}

#[test]
fn a_shell_may_end_as_its_user_likes() {
    let mut fake = FakeRun::new();
    fake.plan.program.end = End::Shell;
    let judgement = cut(fake, |what| matches!(what, What::Qmp(_)));
    assert_ne!(judgement.outcome, Outcome::Infra, "{judgement:?}");
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
