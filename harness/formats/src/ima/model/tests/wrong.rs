//! What a call gave wrongly is told with the promise that it breaks.

use rstest::rstest;

use super::*;

/// What a call gave wrongly, and the promise that is then named.
#[rstest]
#[case::writer_beside_writer(
    vec![opens(0, 1, true, WRITE, OK), opens(1, 1, true, WRITE, OK)], Rule::OneWriter, errnos(Errno::EBUSY)
)]
#[case::lost_with_the_first_close(
    writer(0, [closes(0, 1), opens(1, 1, true, WRITE, OK)]), Rule::OneWriter, errnos(Errno::EBUSY)
)]
#[case::kept_after_the_last_close(
    writer(0, [closes(0, 1), closes(0, 2), opens(1, 1, true, WRITE, errno(Errno::EBUSY))]),
    Rule::ReadersExcludeWriter, Expected::Success
)]
#[case::refused_without_a_reason(
    vec![opens(0, 1, true, WRITE, errno(Errno::EPERM))], Rule::WriterNeedsSysAdmin, Expected::Success
)]
#[case::half_taken(writer(1, [asks(1, "A\n", Found::Value(1))]), Rule::RequestTakenWhole, Expected::Number(2))]
#[case::either_of_two(
    writer(1, [Does(0, Call::Suspend, OK), taken(1, "A\n")]), Rule::SuspendedStage, errnos(Errno::EACCES)
)]
#[case::nothing_wrong_with_it(writer(1, [asks(1, "A\n", errno(Errno::EINVAL))]), Rule::StageMovesWholeList, Expected::Success)]
#[case::short(
    vec![Records(2), opens(0, 1, false, READ, OK), Does(0, Call::Read { slot: 1, limit: None }, Found::Value(19))],
    Rule::OriginalShowsCurrent, Expected::Number(20)
)]
#[case::too_much_at_a_place(
    vec![
        Records(2),
        opens(0, 1, false, READ, OK),
        Does(0, Call::ReadAt { slot: 1, offset: 15, bytes: 9 }, Found::Value(9)),
    ],
    Rule::OriginalShowsCurrent, Expected::Range { least: 1, most: 5 }
)]
#[case::closed(vec![Does(0, Call::Read { slot: 1, limit: None }, TWO)], Rule::DuplicatesShareFile, errnos(Errno::EBADF))]
#[case::counter(
    vec![Does(0, Call::Open { slot: 9, file: File::Count, access: READ, odd: false }, OK),
        Does(0, Call::Counter { slot: 9, number: 1, uncounted: 0, early: 0 }, TWO)],
    Rule::CountIsCurrent, Expected::Number(0)
)]
fn what_is_wrong_is_told_with_its_promise(
    #[case] story: Vec<Scene>,
    #[case] rule: Rule,
    #[case] expected: Expected,
) {
    let told = says(&story, &Tale::default(), HashTable::Kept, Rules::default()).unwrap_err();
    let broken = format!("{:?}", Broken::new(rule, expected));
    assert!(told.ends_with(&broken), "{told}, not {broken}");
}

fn errnos(errno: Errno) -> Expected {
    Expected::Errnos(vec![errno])
}
