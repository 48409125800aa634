//! Requests while measuring is suspended, and a delete that a kexec overtakes.

use imalab_wire::Outcome;
use rstest::rstest;
use serde_json::json;

use super::{in_order, loaded, sound};
use crate::fake_run::{FakeRun, failed, result, write};
use crate::outcome::Check;
use imalab_language::finding::Fact;
use imalab_language::plan::{Action, Expect};

const EACCES: i32 = 13;

const ESTALE: i32 = 116;

fn request(fake: &mut FakeRun, action: Action, text: &[u8], errno: i32) -> usize {
    let mut ops = write("list", text);
    ops[1].1 = Outcome::Errno(errno);
    let step = fake.step("request", action, ops, vec![]);
    fake.plan.steps[step].expect = Expect::Errno(errno);
    step
}

#[rstest]
#[case::stage(Action::Stage, b"A\n", EACCES)]
#[case::delete(Action::Delete, b"D\n", ESTALE)]
#[case::trim(Action::Trim { records: 1 }, b"1\n", ESTALE)]
fn a_refusal_for_a_kexec_comes_only_with_one(
    #[case] action: Action,
    #[case] text: &[u8],
    #[case] errno: i32,
) {
    let mut fake = loaded();
    request(&mut fake, action, text, errno);
    fake.execute();
    failed(&fake.verdict(Check::Kexec), &json!({"code": "kexec/refused-early", "step": {"text": "request"}}));

    let mut fake = loaded();
    fake.leave();
    fake.task = 1;
    request(&mut fake, action, text, errno);
    fake.arrive(in_order);
    let facts = sound(fake);
    assert!(facts.contains(&Fact::RefusedWhileSuspended { requests: 1 }), "{facts:?}");
}

#[test]
fn what_was_refused_once_is_not_granted_later() {
    let mut fake = loaded();
    fake.leave();
    fake.task = 1;
    request(&mut fake, Action::Trim { records: 1 }, b"1\n", ESTALE);
    fake.delete();
    fake.arrive(in_order);
    let result = fake.verdict(Check::Kexec);
    let finding =
        json!({"code": "kexec/granted-late", "step": {"text": "delete"}, "refused": {"text": "request"}});
    failed(&result, &finding);
}

#[rstest]
#[case::won(true)]
#[case::lost(false)]
fn a_delete_that_never_answered_is_told_by_what_was_carried(#[case] won: bool) {
    let mut fake = loaded();
    fake.task = 1;
    fake.delete_unanswered();
    fake.task = 0;
    fake.execute_with(if won { |_, current| current } else { in_order });
    sound(fake);
}

#[test]
fn a_delete_that_was_granted_and_carried_doubles() {
    let mut fake = loaded();
    let staged = fake.staged.clone().unwrap_or_default();
    fake.delete();
    fake.leave();
    fake.staged = Some(staged);
    fake.arrive(in_order);
    let (plan, trace) = fake.finish();
    failed(
        &result(&plan, &trace, Check::Kexec),
        &json!({"code": "kexec/carried-otherwise", "boot": 1, "number": 1}),
    );
    failed(&result(&plan, &trace, Check::ExactlyOnce), &json!({"code": "exactly-once/record-doubled"}));
}
