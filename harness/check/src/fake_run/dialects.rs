//! The made-up kernel plays each dialect: one that keeps its own promises passes, and another's it need not keep.

use imalab_wire::{Op, Outcome};
use rstest::rstest;
use serde_json::json;

use super::call::{path, value};
use super::{FakeRun, Interface, has};
use crate::all;
use crate::judge::{self, Judgement};
use crate::outcome::Check;
use imalab_language::plan::Action;

fn judged(fake: FakeRun) -> Judgement {
    let (plan, trace) = fake.finish();
    judge::of(&plan, &trace, &all(&plan, &trace), crate::fake_run::TODAY)
}

fn passes(fake: FakeRun) {
    let judgement = judged(fake);
    assert_eq!(judgement.outcome, crate::outcome::Outcome::Passed, "{:?}", judgement.reason);
}

fn speaking(interface: Interface) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.plan.interface = interface;
    fake
}

#[rstest]
#[case(Interface::UPSTREAM)]
#[case(Interface::RFC_V2)]
#[case(Interface::TWO_COMMAND)]
#[case(Interface::STAGING_V1_POSTED)]
#[case(Interface::RFC_V2_POSTED)]
#[case(Interface::V3_POSTED)]
#[case(Interface::V4_POSTED)]
#[case(Interface::V5_POSTED)]
fn each_is_held_to_its_own(#[case] interface: Interface) {
    let mut fake = speaking(interface);
    fake.measure(3);
    fake.stage_save_delete();
    // Nothing is staged, which some say with an error: the checkpoint reads all files all the same.
    fake.checkpoint();
    fake.measure(4);
    fake.checkpoint();
    fake.trim(2);
    fake.measure(1);
    fake.stage();
    fake.checkpoint();
    fake.save();
    fake.delete();
    passes(fake);
}

#[test]
fn who_only_commits_trims() {
    let mut fake = speaking(Interface::TRANSACTION);
    fake.measure(3);
    fake.trim(2);
    fake.measure(1);
    passes(fake);
}

/// Root opens a file whose mode says no, is then the one writer, and asks in vain.
#[rstest]
#[case(Interface::RFC_V2_POSTED, true)]
#[case(Interface::RFC_V2, false)]
fn an_original_file_is_opened_in_vain(#[case] interface: Interface, #[case] right: bool) {
    let mut fake = speaking(interface);
    fake.measure(2);
    let open = Op::Open { slot: 0, path: path("current"), flags: 1, mode: 0 };
    let write = Op::Write { slot: 0, bytes: b"A\n".to_vec() };
    let ops = vec![
        (open, value(0), Vec::new()),
        (write, Outcome::Errno(22), Vec::new()),
        (Op::Close { slot: 0 }, value(0), Vec::new()),
    ];
    let step = fake.step("open", Action::SystemCall, ops, vec![]);
    fake.plan.steps[step].expect = imalab_language::plan::Expect::Any;
    let judgement = judged(fake);
    assert_eq!(judgement.outcome == crate::outcome::Outcome::Passed, right, "{:?}", judgement.reason);
}

/// By its mode nobody may write it, which keeps out whoever has no right beyond that.
#[test]
fn an_original_file_is_kept_closed_by_its_mode() {
    let mut fake = speaking(Interface::RFC_V2_POSTED);
    fake.measure(2);
    let open = Op::Open { slot: 0, path: path("current"), flags: 1, mode: 0 };
    let ops = vec![(open, Outcome::Errno(nix::errno::Errno::EACCES as i32), Vec::new())];
    let step = fake.step("open", Action::SystemCall, ops, vec![]);
    fake.plan.steps[step].expect = imalab_language::plan::Expect::Any;
    passes(fake);
}

/// With the option off a number is taken all the same: a defect, whatever becomes of the records.
#[test]
fn a_trim_without_the_option_is_a_finding() {
    let mut fake = speaking(Interface::NO_STAGING);
    fake.measure(2);
    let write = Op::Write { slot: 0, bytes: b"1\n".to_vec() };
    let open = Op::Open { slot: 0, path: path("current"), flags: 1, mode: 0 };
    fake.current.drain(..1);
    let ops = vec![
        (open, value(0), Vec::new()),
        (write, value(2), Vec::new()),
        (Op::Close { slot: 0 }, value(0), Vec::new()),
    ];
    fake.step("write", Action::SystemCall, ops, vec![]);
    let (plan, trace) = fake.finish();
    let checks = all(&plan, &trace);
    let model = checks.iter().find(|check| check.check == Check::Model).unwrap();
    assert!(has(model, &json!({"promise": {"rule": "option-lets-remove"}})), "{model:?}");
}
