//! What is known of a kernel: a defect or a limit that shows as stated, otherwise, or no more.

use super::*;

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

#[test]
fn a_known_defect_does_not_excuse_a_dead_kernel() {
    let mut world = sound();
    world.console(PANIC);
    let (mut plan, trace) = world.finish();
    plan.known_defect = Some(defect(None));
    let checks = [check("exactly-once", Verdict::Failed, "record 4 is missing")];
    assert_eq!(of(&plan, &trace, &checks).outcome, Outcome::KernelDied);
}
