//! Whether a run shows the defect that its scenario states.

use serde_json::json;

use super::*;
use crate::finding::{Finding, KernelDied, Model, Part, Pattern, Record, Step, Steps, Value};
use crate::verdict::{Check, CheckResult, Unlike, Verdict};

fn sign(check: Check, code: &str, with: serde_json::Value) -> Sign {
    let serde_json::Value::Object(with) = with else { panic!("{with}") };
    Sign { check: Some(check), finding: Pattern { code: Some(code.to_owned()), with } }
}

fn defect() -> KnownDefect {
    KnownDefect {
        kernels: KernelRange { from: Some(Version(7, 2, 0)), before: Some(Version(7, 5, 0)) },
        breaks: "a promise".to_owned(),
        link: None,
        shows: vec![
            sign(Check::Steps, "steps/new-records", json!({"expected": 0, "found": 3})),
            sign(Check::Model, "model/recorded-again", json!({"record": {"name": "/m/f-1"}})),
        ],
    }
}

fn failed(check: Check, findings: Vec<Finding>) -> CheckResult {
    CheckResult::new(check, Verdict::Failed, findings)
}

fn model() -> CheckResult {
    let record = Record { name: Some("/m/f-1".to_owned()), ..Record::sample("record") };
    let (step, operation) = (Some(Step::sample("step")), None);
    let again =
        Model::RecordedAgain { step, operation, record, promise: Part::sample("promise"), undecided: false };
    failed(Check::Model, vec![again.into()])
}

fn grown(found: i64) -> Finding {
    let (expected, found) = (Value::Number(0), Value::Number(found));
    let step = Step::sample("step");
    Steps::NewRecords { step, expected, found, count_before: 3, count_after: 6 }.into()
}

fn replay() -> CheckResult {
    CheckResult::new(Check::Replay, Verdict::Passed, Vec::new())
}

#[test]
fn shows_as_stated_only_when_nothing_else_does() {
    let steps = failed(Check::Steps, vec![grown(3), grown(3)]);
    assert_eq!(defect().judge("7.3.4", &[replay(), steps.clone(), model()]), Showing::AsStated);
    let (check, finding) = (Check::Model, "model/recorded-again".to_owned());
    let missing = Showing::Otherwise(Unlike::NotFound { check, finding });
    assert_eq!(defect().judge("7.3.4", &[replay(), steps]), missing);
    assert_eq!(defect().judge("7.3.4", &[replay()]), Showing::Gone);
}

#[rstest]
#[case::other_check(failed(Check::Replay, vec![grown(3)]), Unlike::OtherCheck { check: Check::Replay })]
#[case::other_way(
    failed(Check::Steps, vec![grown(2)]),
    Unlike::OtherFinding { check: Check::Steps, finding: "steps/new-records".to_owned() }
)]
#[case::more(
    failed(Check::Steps, vec![grown(3), Steps::NotBlocked { step: Step::sample("step") }.into()]),
    Unlike::OtherFinding { check: Check::Steps, finding: "steps/not-blocked".to_owned() }
)]
#[case::more_than_are_kept(
    CheckResult { more: 1, ..failed(Check::Steps, vec![grown(3)]) },
    Unlike::TooMany { check: Check::Steps }
)]
#[case::did_not_run(
    CheckResult::new(Check::Steps, Verdict::CouldNotRun, vec![grown(3)]),
    Unlike::CouldNotRun { check: Check::Steps }
)]
fn anything_else_is_otherwise(#[case] other: CheckResult, #[case] why: Unlike) {
    let also = failed(Check::Steps, vec![grown(3)]);
    assert_eq!(defect().judge("7.3.4", &[also, model(), other]), Showing::Otherwise(why));
}

#[test]
fn a_death_is_told_by_the_functions_of_its_report() {
    let death = |function: &str| -> Finding {
        let functions = vec!["memcpy".to_owned(), function.to_owned()];
        let line = "Oops: general protection fault".to_owned();
        KernelDied::Oops { line, function: None, called_from: None, functions }.into()
    };
    let with = json!({"functions": "ima_queue_delete_partial"});
    let sign = Sign { check: None, ..sign(Check::Steps, "kernel-died/oops", with) };
    let defect = KnownDefect { shows: vec![sign], ..defect() };
    assert!(defect.is_death("7.3.4", &death("ima_queue_delete_partial")));
    assert!(!defect.is_death("7.3.4", &death("ima_queue_delete")));
    assert!(!defect.is_death("7.5.0", &death("ima_queue_delete_partial")));
    assert_eq!(
        defect.judge("7.3.4", &[model()]),
        Showing::Otherwise(Unlike::OtherCheck { check: Check::Model })
    );
}

#[rstest]
#[case::first("7.2.0", true)]
#[case::candidate("7.2-rc1", true)]
#[case::between("7.4.12-imalab+", true)]
#[case::before("7.1.99", false)]
#[case::after("7.5.0", false)]
#[case::unversioned("next-20260101", true)]
fn concerns_its_kernels_alone(#[case] release: &str, #[case] concerned: bool) {
    let steps = failed(Check::Steps, vec![grown(3)]);
    let expected = if concerned { Showing::AsStated } else { Showing::NotConcerned };
    assert_eq!(defect().judge(release, &[steps, model()]), expected);
}
