//! A new kernel interface is one file: `dialect.rs`. From outside of every crate of imalab, a scenario in the language of users is
//! planned for it, carried out by a simulated kernel that speaks it, and judged; a kernel that breaks its promises is found.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

mod dialect;
mod kernel;
mod tpm;

use chrono::NaiveDate;
use rstest::rstest;

use dialect::toy;
use imalab_check::Judged;
use imalab_check::outcome::{Check, Outcome, Verdict};
use imalab_language::capabilities::Capabilities;
use imalab_language::capability::Capability;
use imalab_language::plan::{Parameters, Plan, Planned, plan};
use imalab_language::scenario::parse;
use imalab_wire::Op;
use kernel::{Defect, run};

/// Measures, trims, asks for what is refused, and trims again.
const SCENARIO: &str = "
summary: Removes records by the toy's file.
promise: the test's own
steps:
  - measure: 5
  - trim: 2
  - measure: 3
  - open: {file: /sys/kernel/security/ima/toy_drop, as: d, flags: write}
  - write: {to: d, text: '1000', expect: EDOM}
  - write: {to: d, text: '50', expect: ENOENT}
  - close: d
  - checkpoint
  - trim: 4
  - measure: 1
  - quote
";

/// What a kernel offers that speaks the toy.
fn offers() -> Capabilities {
    let have = [
        Capability::Ima,
        Capability::Tpm,
        Capability::Policy,
        Capability::BankFiles,
        Capability::HashTable,
        Capability::Trim,
        Capability::ExactTrim,
    ];
    Capabilities {
        release: "7.3.4".to_owned(),
        interface: toy(),
        have: have.into_iter().collect(),
        files: Default::default(),
        behaviours: Default::default(),
        seen: Default::default(),
        findings: Vec::new(),
    }
}

fn planned(text: &str) -> Planned {
    let scenario = parse("toy/drop", "drop.yaml", text).unwrap();
    plan(&scenario, &Parameters::default(), &offers(), toy(), 1).unwrap()
}

fn the_plan() -> Plan {
    match planned(SCENARIO) {
        Planned::Plan(plan) => *plan,
        Planned::Skip(skip) => panic!("{skip:?}"),
    }
}

fn judged(defect: Option<Defect>) -> Judged {
    let plan = the_plan();
    let trace = run(&plan, defect);
    imalab_check::digest(&plan, &trace).judge(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap())
}

#[test]
fn the_verbs_are_the_toys_calls() {
    let plan = the_plan();
    let ops = plan.program.tasks.iter().flat_map(|task| &task.steps).flat_map(|step| &step.ops);
    let written: Vec<&[u8]> = ops
        .filter_map(|op| match op {
            Op::Write { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        })
        .collect();
    assert_eq!(written, [&b"2"[..], b"1000", b"50", b"4"]);
}

#[test]
fn a_verb_that_it_has_not_is_skipped() {
    let text = "summary: s.\npromise: p\nsteps: [{measure: 1}, stage]\n";
    let Planned::Skip(skip) = planned(text) else { panic!("it has no staging") };
    assert_eq!(skip.missing.into_iter().collect::<Vec<_>>(), [Capability::Staging]);
}

#[test]
fn a_kernel_that_keeps_its_promises_passes_every_check() {
    let Judged { checks, judgement } = judged(None);
    assert_eq!(judgement.outcome, Outcome::Passed, "{:?}", judgement.reason);
    for check in checks {
        let expected = match check.check {
            Check::Kexec | Check::Mutex => Verdict::NotApplicable,
            _ => Verdict::Passed,
        };
        assert_eq!(check.verdict, expected, "{check:#?}");
    }
}

#[rstest]
#[case::removes_one_more(Defect::RemovesOneMore, "model/wrong-record")]
#[case::loses_one(Defect::LosesOne, "exactly-once/record-lost")]
#[case::swaps_two(Defect::SwapsTwo, "exactly-once/records-swapped")]
#[case::takes_too_many(Defect::TakesTooMany, "model/unexpected-success")]
#[case::another_error(Defect::OtherError, "model/unexpected-error")]
#[case::counts_removed(Defect::CountsRemoved, "views-agree/counter")]
fn a_kernel_that_does_not_is_found(#[case] defect: Defect, #[case] code: &str) {
    let Judged { checks, judgement } = judged(Some(defect));
    assert_eq!(judgement.outcome, Outcome::Failed);
    let found: Vec<&str> =
        checks.iter().flat_map(|check| &check.findings).map(|found| found.code()).collect();
    assert!(found.contains(&code), "{defect:?}: {found:?}");
}
