//! Whether a run shows the defect that its scenario states.

use super::*;
use crate::verdict::{CheckResult, Verdict};

fn defect() -> KnownDefect {
    KnownDefect {
        kernels: KernelRange { from: Some(Version(7, 2, 0)), before: Some(Version(7, 5, 0)) },
        breaks: "a promise".to_owned(),
        link: None,
        shows: vec![
            Sign { check: "steps".to_owned(), finding: "expected 0 new records, found 3".to_owned() },
            Sign { check: "model".to_owned(), finding: "was recorded again".to_owned() },
        ],
    }
}

fn result(check: &str, verdict: Verdict, findings: &[&str]) -> CheckResult {
    let findings = findings.iter().map(|finding| (*finding).to_owned()).collect();
    CheckResult::new(check, verdict, findings)
}

fn model() -> CheckResult {
    result("model", Verdict::Failed, &["step 5: /m/f-1 was recorded again"])
}

const SHOWS: &str = "step 5: expected 0 new records, found 3";

#[test]
fn shows_as_stated_only_when_nothing_else_does() {
    let replay = result("replay", Verdict::Passed, &["all"]);
    let steps = result("steps", Verdict::Failed, &[SHOWS]);
    assert_eq!(defect().judge("7.3.4", &[replay.clone(), steps.clone(), model()]), Showing::AsStated);
    assert!(matches!(defect().judge("7.3.4", &[replay.clone(), steps]), Showing::Otherwise(_)));
    assert_eq!(defect().judge("7.3.4", std::slice::from_ref(&replay)), Showing::Gone);
}

#[rstest]
#[case::other_check(result("replay", Verdict::Failed, &[SHOWS]))]
#[case::other_way(result("steps", Verdict::Failed, &["step 5: expected 0 new records, found 2"]))]
#[case::more(result("steps", Verdict::Failed, &[SHOWS, "step 2: expected ok, found EBUSY"]))]
#[case::did_not_run(result("steps", Verdict::CouldNotRun, &[SHOWS]))]
fn anything_else_is_otherwise(#[case] failed: CheckResult) {
    let also = result("steps", Verdict::Failed, &[SHOWS]);
    assert!(matches!(defect().judge("7.3.4", &[also, model(), failed]), Showing::Otherwise(_)));
}

#[rstest]
#[case::first("7.2.0", true)]
#[case::candidate("7.2-rc1", true)]
#[case::between("7.4.12-imalab+", true)]
#[case::before("7.1.99", false)]
#[case::after("7.5.0", false)]
#[case::unversioned("next-20260101", true)]
fn concerns_its_kernels_alone(#[case] release: &str, #[case] concerned: bool) {
    let steps = result("steps", Verdict::Failed, &[SHOWS]);
    let expected = if concerned { Showing::AsStated } else { Showing::NotConcerned };
    assert_eq!(defect().judge(release, &[steps, model()]), expected);
}
