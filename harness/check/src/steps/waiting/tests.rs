use imalab_wire::{Message, Op, Outcome};
use rstest::rstest;

use crate::fake_run::{FakeRun, result, value};
use crate::outcome::Check;
use imalab_language::finding::{Finding, Steps};
use imalab_language::plan::{Action, Expect, Mark, MarkAction};
use imalab_trace::What;

const HOLD: u64 = 9_000;
/// The step that has to wait, of task 1, and the barrier after it.
const WRITE: u32 = 1;
const BARRIER: u32 = 2;
const LOOK: u32 = 3;
const RELEASE: u32 = 4;

/// What the guest tells, at a time in microseconds.
#[derive(Clone, Copy)]
enum Tells {
    Holds(u64),
    Begins(u16, u32, u64),
    Ends(u16, u32, (u64, u64)),
    Asleep(u32, u64),
    Releases(u64),
}

use Tells::{Asleep, Begins, Ends, Holds, Releases};

fn message(tells: Tells) -> Vec<Message> {
    let started = |task, step, at: u64| Message::OpStarted { task, step, op: 0, at_ns: at * 1_000 };
    let done = |task, step, (begin, end): (u64, u64)| Message::OpDone {
        task,
        step,
        op: 0,
        begin_ns: begin * 1_000,
        end_ns: end * 1_000,
        outcome: Outcome::Value(2),
    };
    match tells {
        Holds(at) => vec![started(0, 0, at)],
        Begins(task, step, at) => vec![started(task, step, at)],
        Ends(task, step, span) => vec![done(task, step, span)],
        Asleep(step, at) => vec![Message::FoundAsleep { task: 1, step, op: 0, call: 1, at_ns: at * 1_000 }],
        Releases(at) => vec![started(0, RELEASE, at), Message::ReleaseHold { task: 0, hold: HOLD }],
    }
}

/// What the check says of the step that has to wait: a code.
fn judged(holds: bool, told: &[Tells]) -> Option<&'static str> {
    let mut fake = FakeRun::new();
    let mark = Op::Mark { path: "/dev/tpm0".into(), number: HOLD };
    for (task, text, op) in [
        (0, "hold", mark),
        (1, "write", Op::Write { slot: 0, bytes: b"A\n".to_vec() }),
        (1, "barrier", Op::Barrier { id: 0, parties: 2 }),
        (0, "look", Op::AwaitBlocked { task: 1 }),
        (0, "release", Op::ReleaseHold { hold: HOLD }),
    ] {
        fake.task = task;
        let step = fake.step(text, Action::SystemCall, vec![(op, value(0), Vec::new())], vec![]);
        fake.plan.steps[step].expect = if text == "write" { Expect::Blocked } else { Expect::Any };
    }
    if holds {
        fake.plan.marks.push(Mark { number: HOLD, step: 0, does: MarkAction::Hold });
    }
    // What the guest told of them is the case's.
    let of_op = |message: &Message| matches!(message, Message::OpStarted { .. } | Message::OpDone { .. });
    fake.trace.events.retain(|event| !matches!(&event.what, What::Guest(message) if of_op(message)));
    told.iter().flat_map(|tells| message(*tells)).for_each(|message| fake.say(message));
    fake.task = 0;
    let (plan, trace) = fake.finish();
    let found = result(&plan, &trace, Check::Steps).findings;
    found.iter().find_map(|finding| match finding {
        Finding::Steps(
            Steps::NotBlocked { step }
            | Steps::BlockedWithoutHold { step }
            | Steps::EndedBeforeRelease { step },
        ) => {
            assert_eq!((step.id, step.text.as_str()), (WRITE, "write"));
            Some(finding.code())
        }
        _ => None,
    })
}

const UNSEEN: Option<&str> = Some("steps/not-blocked");
const TOO_SHORT: Option<&str> = Some("steps/ended-before-release");
const NOT_HELD: Option<&str> = Some("steps/blocked-without-hold");

#[rstest]
#[case::it_waited(
    &[Holds(1), Begins(1, WRITE, 10), Asleep(WRITE, 900), Ends(0, LOOK, (5, 950)), Releases(1_000), Ends(1, WRITE, (10, 1_100))],
    None
)]
#[case::it_still_waits(
    &[Holds(1), Begins(1, WRITE, 10), Asleep(WRITE, 900), Ends(0, LOOK, (5, 950)), Releases(1_000)],
    None
)]
// A write of 0.3 ms, and a look that began before it and found the task in the barrier after it.
#[case::the_look_found_the_barrier(
    &[Holds(1), Begins(1, WRITE, 10), Ends(1, WRITE, (10, 310)), Begins(1, BARRIER, 320), Asleep(BARRIER, 900),
      Ends(0, LOOK, (5, 950)), Releases(1_000)],
    UNSEEN
)]
// The same write slept within its 0.3 ms, for something else.
#[case::it_slept_for_a_moment(
    &[Holds(1), Begins(1, WRITE, 10), Asleep(WRITE, 100), Ends(1, WRITE, (10, 310)), Ends(0, LOOK, (5, 320)), Releases(1_000)],
    TOO_SHORT
)]
#[case::another_look_counts(
    &[Holds(1), Begins(1, WRITE, 10), Asleep(BARRIER, 90), Asleep(WRITE, 900), Releases(1_000), Ends(1, WRITE, (10, 1_100))],
    None
)]
#[case::nothing_was_held_yet(
    &[Begins(1, WRITE, 10), Asleep(WRITE, 100), Holds(200), Releases(1_000), Ends(1, WRITE, (10, 1_100))], NOT_HELD
)]
#[case::it_was_released(
    &[Holds(1), Releases(50), Begins(1, WRITE, 60), Asleep(WRITE, 100), Ends(1, WRITE, (60, 1_100))], NOT_HELD
)]
#[case::the_moment_is_outside(
    &[Holds(1), Begins(1, WRITE, 10), Asleep(WRITE, 10), Releases(1_000), Asleep(WRITE, 1_100), Ends(1, WRITE, (10, 1_100))],
    UNSEEN
)]
#[case::nobody_looked(&[Holds(1), Begins(1, WRITE, 10), Releases(1_000), Ends(1, WRITE, (10, 1_100))], UNSEEN)]
fn a_step_that_must_wait_has_to_be_seen(#[case] told: &[Tells], #[case] why: Option<&str>) {
    assert_eq!(judged(true, told), why);
}

#[rstest]
#[case::in_it(&[Begins(1, WRITE, 10), Asleep(WRITE, 100), Ends(1, WRITE, (10, 310))], None)]
#[case::after_it(&[Begins(1, WRITE, 10), Ends(1, WRITE, (10, 310)), Begins(1, BARRIER, 320), Asleep(BARRIER, 900)], UNSEEN)]
fn without_a_hold_the_look_alone_counts(#[case] told: &[Tells], #[case] why: Option<&str>) {
    assert_eq!(judged(false, told), why);
}
