//! What kernels are known to lose.

use rstest::rstest;
use serde_json::json;

use super::{carried_with, in_order};
use crate::fake_run::{FakeRun, result};
use crate::outcome::{Check, CheckResult, During, Outcome as RunOutcome, Reason, Unlike, Verdict};
use crate::{all, judge};
use imalab_formats::ima::Record;
use imalab_language::finding::{Fact, KernelDied, Known};
use imalab_language::plan::Plan;
use imalab_language::scenario::{KernelRange, KnownLimit, Lost, Version};
use imalab_trace::{Trace, What};

/// What the kernel of the fake run is known to lose.
fn limit(records: Option<u64>, before: Option<Version>) -> KnownLimit {
    KnownLimit {
        kernels: KernelRange { from: None, before },
        why: "the segment is full".to_owned(),
        link: None,
        lost: Lost { kexec: 1, records },
    }
}

/// A kexec that is said to lose `stated` records at the end, and loses what `carry` leaves out.
fn limited(stated: Option<u64>, carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>) -> (Plan, Trace) {
    let mut fake = carried_with(carry);
    fake.plan.known_limit = Some(limit(stated, None));
    fake.measure(1);
    fake.stage_save_delete();
    fake.load();
    fake.execute();
    fake.finish()
}

fn but(lost: usize, staged: Vec<Record>, current: Vec<Record>) -> Vec<Record> {
    let mut all = [staged, current].concat();
    all.truncate(all.len() - lost);
    all
}

#[rstest]
#[case::the_last(Some(1), |staged, current| but(1, staged, current))]
#[case::all_current(Some(4), |staged, current| but(4, staged, current))]
#[case::some_staged(Some(6), |staged, current| but(6, staged, current))]
#[case::all(None, |_, _| Vec::new())]
#[case::all_by_number(Some(8), |_, _| Vec::new())]
fn what_is_known_to_be_lost_is_no_failure_and_no_pass(
    #[case] stated: Option<u64>,
    #[case] carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>,
) {
    let (plan, trace) = limited(stated, carry);
    let results = all(&plan, &trace);
    let passed = |result: &CheckResult| result.verdict == Verdict::Passed || result.check == Check::Mutex;
    assert!(results.iter().all(passed), "{results:#?}");
    let judgement = judge::of(&plan, &trace, &results, crate::fake_run::TODAY);
    let shown = Reason::of(Known::LimitShown { why: "the segment is full".to_owned() });
    assert_eq!((judgement.outcome, judgement.reason), (RunOutcome::KnownLimit, Some(shown)));
    let fact = Fact::LostAsKnown { records: stated.unwrap_or(8), kexec: 1 };
    assert!(result(&plan, &trace, Check::ExactlyOnce).facts.contains(&fact), "{results:#?}");
}

#[rstest]
#[case::more(Some(2), |staged, current| but(3, staged, current), false)]
#[case::less(Some(2), |staged, current| but(1, staged, current), false)]
#[case::others(Some(1), |staged, current: Vec<Record>| [staged, current[1..].to_vec()].concat(), false)]
#[case::all_instead_of_some(Some(2), |_, _| Vec::new(), false)]
#[case::nothing(Some(2), in_order, true)]
fn what_is_lost_otherwise_fails(
    #[case] stated: Option<u64>,
    #[case] carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>,
    #[case] gone: bool,
) {
    let (plan, trace) = limited(stated, carry);
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::Failed, "{judgement:?}");
    let reason = judgement.reason.unwrap();
    assert_eq!(reason.finding.code() == "known/limit-gone", gone, "{reason:?}");
    assert_eq!(reason.unlike == Some(Unlike::BeyondLimit), !gone, "{reason:?}");
}

#[test]
fn a_limit_of_other_kernels_excuses_nothing() {
    let (mut plan, trace) = limited(Some(1), |staged, current| but(1, staged, current));
    plan.known_limit = Some(limit(Some(1), Some(Version(7, 3, 0))));
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::Failed, "{judgement:?}");
    let reason = judgement.reason.unwrap();
    assert!(reason.unlike.is_none() && reason.check.is_some(), "{reason:?}");
}

/// A panic that is asked for, after 3 records were staged and 2 measured; the kernel for it begins with what `carry` makes
/// of them.
fn crashed(carry: fn(Vec<Record>, Vec<Record>) -> Vec<Record>) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.plan.known_limit = Some(limit(None, None));
    fake.measure(3);
    fake.stage();
    fake.save();
    fake.measure(2);
    fake.checkpoint();
    fake.panic();
    fake.arrive(carry);
    fake.measure(1);
    fake.stage_save_delete();
    fake
}

#[test]
fn a_crash_kernel_without_the_list_is_as_stated() {
    let (plan, trace) = crashed(|_, _| Vec::new()).finish();
    let results = all(&plan, &trace);
    let passed = |result: &CheckResult| result.verdict == Verdict::Passed || result.check == Check::Mutex;
    assert!(results.iter().all(passed), "{results:#?}");
    assert_eq!(judge::of(&plan, &trace, &results, crate::fake_run::TODAY).outcome, RunOutcome::KnownLimit);
}

#[test]
fn a_crash_kernel_with_the_list_is_not_as_stated() {
    let (plan, trace) = crashed(in_order).finish();
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::Failed, "{judgement:?}");
}

#[test]
fn a_panic_that_nothing_goes_on_after_is_a_kernel_that_died() {
    let mut fake = FakeRun::new();
    fake.panic();
    let (plan, mut trace) = fake.finish();
    for event in &mut trace.events {
        if let What::Qmp(value) = &mut event.what {
            *value = json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}});
        }
    }
    let judgement = judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY);
    assert_eq!(judgement.outcome, RunOutcome::KernelDied, "{judgement:?}");
    let reason =
        Reason { during: vec![During::BetweenKernels], ..Reason::of(KernelDied::NoKernelAfterPanic {}) };
    assert_eq!(judgement.reason, Some(reason));
}
