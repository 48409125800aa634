//! What is known of a kernel: a defect or a limit that shows as stated, otherwise, or no more.

use super::*;

fn lost() -> CheckResult {
    let (extend, after, before, totals) = (Part::sample("extend"), None, None, None);
    failed(Check::ExactlyOnce, ExactlyOnce::RecordLost { extend, records: 1, after, before, totals })
}

fn doubled() -> CheckResult {
    let (record, twin, extend_number, totals) = (Part::sample("record"), None, None, None);
    failed(
        Check::ExactlyOnce,
        ExactlyOnce::RecordDoubled { record, twin, extended: 1, extend_number, totals },
    )
}

fn defect(before: Option<Version>) -> KnownDefect {
    KnownDefect {
        kernels: KernelRange { from: None, before },
        breaks: "no record is lost".to_owned(),
        link: None,
        shows: vec![Sign {
            check: Some(Check::ExactlyOnce),
            finding: Pattern::code("exactly-once/record-lost"),
        }],
    }
}

#[rstest]
#[case::as_stated(&[lost()], None, Outcome::KnownDefect, Some("known/defect-shown"), None)]
#[case::gone(&[passes(Check::ExactlyOnce)], None, Outcome::Failed, Some("known/defect-gone"), None)]
#[case::otherwise(
    &[doubled()], None, Outcome::Failed, Some("exactly-once/record-doubled"),
    Some(Unlike::OtherFinding {
        check: Check::ExactlyOnce, finding: "exactly-once/record-doubled".to_owned(),
    })
)]
#[case::more(
    &[lost(), blind(Check::Replay)], None, Outcome::Failed, Some("exactly-once/record-lost"),
    Some(Unlike::CouldNotRun { check: Check::Replay })
)]
#[case::other_kernel(
    &[lost()], Some(Version(7, 2, 0)), Outcome::Failed, Some("exactly-once/record-lost"), None
)]
#[case::other_kernel_sound(
    &[passes(Check::ExactlyOnce)], Some(Version(7, 2, 0)), Outcome::Passed, None, None
)]
fn a_known_defect_counts_when_it_shows_just_so(
    #[case] checks: &[CheckResult],
    #[case] before: Option<Version>,
    #[case] outcome: Outcome,
    #[case] code: Option<&str>,
    #[case] unlike: Option<Unlike>,
) {
    let (mut plan, trace) = sound().finish();
    plan.known_defect = Some(defect(before));
    let judgement = of(&plan, &trace, checks);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
    assert_eq!(judgement.reason.as_ref().map(|reason| reason.finding.code()), code, "{judgement:?}");
    assert_eq!(judgement.reason.and_then(|reason| reason.unlike), unlike);
}

#[rstest]
#[case::has_it(&[lost()], Outcome::KnownDefect, "known/defect-shown")]
#[case::mended(&[passes(Check::ExactlyOnce)], Outcome::Passed, "known/defect-not-present")]
#[case::otherwise(&[doubled()], Outcome::Failed, "exactly-once/record-doubled")]
fn a_kernel_of_ones_own_may_have_a_defect_mended(
    #[case] checks: &[CheckResult],
    #[case] outcome: Outcome,
    #[case] code: &str,
) {
    let (mut plan, trace) = sound().finish();
    plan.known_defect = Some(defect(None));
    plan.stock = false;
    assert_judged(&of(&plan, &trace, checks), outcome, &json!({"code": code}));
}

#[rstest]
#[case::stock(true, Outcome::Failed, Known::LimitGone { why: "no segment".to_owned() }, false)]
#[case::ones_own(false, Outcome::Passed, Known::LimitNotPresent { why: "no segment".to_owned() }, true)]
fn a_kernel_of_ones_own_may_have_a_limit_mended(
    #[case] stock: bool,
    #[case] outcome: Outcome,
    #[case] known: Known,
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
    let judgement = of(&plan, &trace, &[failed(Check::Kexec, nonce(1))]);
    assert_eq!((judgement.outcome, judgement.reason), (outcome, Some(Reason::of(known))));
    // What is shown is what the verdict rests on.
    let sound = |checks: &Vec<CheckResult>| checks.iter().all(|check| !check.verdict.is_bad());
    assert_eq!(judgement.checks.as_ref().is_some_and(sound), passes);
}

#[rstest]
#[case::as_stated("ima_queue_delete_partial", None, true, Outcome::KnownDefect)]
#[case::of_something_else("ima_measurements_show", None, true, Outcome::KernelDied)]
#[case::other_kernel("ima_queue_delete_partial", Some(Version(7, 2, 0)), true, Outcome::KernelDied)]
#[case::it_lives("ima_queue_delete_partial", None, false, Outcome::Failed)]
fn a_kernel_may_die_of_a_known_defect(
    #[case] function: &str,
    #[case] before: Option<Version>,
    #[case] dies: bool,
    #[case] outcome: Outcome,
) {
    let mut fake = sound();
    if dies {
        DEATH.iter().for_each(|line| fake.console(line));
    }
    let (mut plan, trace) = fake.finish();
    plan.known_defect = Some(KnownDefect { shows: vec![dies_in(function)], ..defect(before) });
    let judgement = of(&plan, &trace, &[passes(Check::Steps)]);
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
}

#[rstest]
#[case::has_the_defect(None, Outcome::Failed, "known/defect-gone")]
#[case::never_had_it(Some(Version(7, 2, 0)), Outcome::KnownLimit, "known/limit-shown")]
fn a_limit_does_not_hide_that_a_defect_is_gone(
    #[case] before: Option<Version>,
    #[case] outcome: Outcome,
    #[case] code: &str,
) {
    let (mut plan, trace) = sound().finish();
    let shows = vec![dies_in("ima_update_kexec_buffer")];
    plan.known_defect = Some(KnownDefect { shows, ..defect(before) });
    plan.known_limit = Some(KnownLimit {
        kernels: KernelRange::default(),
        why: "no segment".to_owned(),
        link: None,
        lost: Lost { kexec: 1, records: None },
    });
    assert_judged(&of(&plan, &trace, &[passes(Check::Kexec)]), outcome, &json!({"code": code}));
}

#[test]
fn a_known_defect_does_not_excuse_a_dead_kernel() {
    let mut fake = sound();
    fake.console(PANIC);
    let (mut plan, trace) = fake.finish();
    plan.known_defect = Some(defect(None));
    assert_eq!(of(&plan, &trace, &[lost()]).outcome, Outcome::KernelDied);
}

/// A defect that kills the kernel in this function.
fn dies_in(function: &str) -> Sign {
    let Value::Object(with) = json!({"functions": function}) else { panic!("no map") };
    Sign { check: None, finding: Pattern { code: None, with } }
}
