//! What the proposals do otherwise than mainline, each as its own document has it.

use rstest::rstest;

use super::*;
use crate::ima::dialect::NumberForm;

/// Another task begins to read.
fn reads_along() -> Scene {
    opens(2, 3, false, READ, OK)
}

/// What the proposals do otherwise than mainline.
#[rstest]
#[case::one_writer_of_many_files(
    Interface::RFC_V2,
    vec![opens(0, 1, true, BOTH, OK), opens(0, 2, true, BOTH, errno(Errno::EBUSY))]
)]
#[case::all_that_there_are(
    Interface::TWO_COMMAND,
    stager(3, [taken(1, "7\n"), Shows(true, vec![0, 1, 2]), taken(1, "D\n"), Shows(true, vec![])])
)]
#[case::trimmed_to_the_last(
    Interface::RFC_V2,
    stager(3, [taken(1, "-9223372036854775807\n"), Shows(false, vec![]), asks(1, "-1\n", errno(Errno::ENOENT))])
)]
#[case::committed_twice(
    Interface::TRANSACTION,
    vec![Records(3), opens(0, 1, false, BOTH, OK), taken(1, "1\n"), reads_along(), taken(1, "1\n"), Shows(false, vec![2])]
)]
#[case::not_committed(
    Interface::TRANSACTION,
    vec![Records(3), opens(0, 1, false, BOTH, OK), reads_along(), closes(0, 1), Shows(false, vec![0, 1, 2])]
)]
#[case::two_transactions(
    Interface::TRANSACTION,
    vec![opens(0, 1, false, BOTH, OK), reads_along(), opens(1, 1, false, BOTH, errno(Errno::EBUSY))]
)]
#[case::root_opens_an_original_in_vain(
    Interface::RFC_V2_POSTED,
    vec![
        Records(1),
        opens(0, 1, false, WRITE, OK),
        asks(1, "A\n", errno(Errno::EINVAL)),
        opens(0, 2, true, WRITE, errno(Errno::EBUSY)),
    ]
)]
#[case::numbers_of_any_base(
    Interface::RFC_V2_POSTED,
    stager(20, [taken(1, "-0x10\n"), Shows(false, vec![16, 17, 18, 19])])
)]
#[case::a_number_deletes_what_is_staged(
    Interface::V3_POSTED,
    stager(3, [taken(1, "A\n"), Records(1), taken(1, "2\n"), Shows(true, vec![]), Shows(false, vec![2, 3])])
)]
#[case::nothing_staged_to_delete(
    Interface::V3_POSTED,
    stager(3, [asks(1, "2\n", errno(Errno::ENOENT)), Shows(false, vec![0, 1, 2])])
)]
#[case::a_number_cuts(
    Interface::V4_POSTED,
    stager(3, [taken(1, "2\n"), Shows(true, vec![]), Shows(false, vec![2])])
)]
#[case::one_file_for_the_writer(
    Interface::V4_POSTED,
    vec![opens(0, 1, true, WRITE, OK), opens(0, 2, true, WRITE, errno(Errno::EBUSY))]
)]
#[case::staged_by_the_original(
    Interface::V5_POSTED,
    vec![
        Records(2),
        opens(0, 1, false, WRITE, OK),
        taken(1, "A\n"),
        closes(0, 1),
        opens(0, 1, true, WRITE, OK),
        asks(1, "A\n", errno(Errno::EINVAL)),
        taken(1, "D\n"),
    ]
)]
fn the_proposals_are_told_apart(#[case] interface: Interface, #[case] story: Vec<Scene>) {
    let tale = Tale::default();
    assert_eq!(says_of(interface, &story, &tale, HashTable::Kept, Rules::default()), Ok(()));
    assert!(says_of(Interface::UPSTREAM, &story, &tale, HashTable::Kept, Rules::default()).is_err());
}

#[test]
fn a_trim_of_a_proposal_forgets_with_its_records() {
    let story = stager(2, [taken(1, "-1\n"), Knows(0, false), Knows(1, true)]);
    let told = says_of(Interface::RFC_V2, &story, &Tale::default(), HashTable::Flushed, Rules::default());
    assert_eq!(told, Ok(()));
}

#[test]
fn the_posted_rfc_forgets_as_it_stages() {
    let story = stager(2, [taken(1, "A\n"), Knows(0, false), Knows(1, false)]);
    for (interface, right) in [(Interface::RFC_V2_POSTED, true), (Interface::RFC_V2, false)] {
        let told = says_of(interface, &story, &Tale::default(), HashTable::Flushed, Rules::default());
        assert_eq!(told.is_ok(), right, "{interface:?}: {told:?}");
    }
    // A delete that is taken once the list is the next kernel's is a defect of it there too.
    let late = stager(2, [taken(1, "A\n"), Does(0, Call::Suspend, OK), taken(1, "D\n")]);
    let table = HashTable::Kept;
    let told = says_of(Interface::RFC_V2_POSTED, &late, &Tale::default(), table, Rules::default());
    assert!(told.unwrap_err().contains("SuspendedDelete"));
}

#[test]
fn nobody_knows_whether_version_five_trims_while_records_are_staged() {
    let story = |found| {
        vec![Records(2), opens(0, 1, false, WRITE, OK), taken(1, "A\n"), Records(2), asks(1, "1\n", found)]
    };
    for found in [TWO, errno(Errno::EEXIST)] {
        let (tale, table) = (Tale::default(), HashTable::Kept);
        let told = says_of(Interface::V5_POSTED, &story(found), &tale, table, Rules::default());
        assert_eq!(told, Ok(()), "{found:?}");
    }
}

/// What a kernel of version five gives whose numbers are seen to be of this form.
fn seen(form: NumberForm, story: &[Scene]) -> Result<(), String> {
    let setup = Setup {
        table: HashTable::Kept,
        interface: Interface::V5_POSTED,
        seen: Seen { numbers: Some(form) },
        violations: 0,
    };
    says_when_booted(setup, story, &Tale::default(), Rules::default())
}

const DECIMAL: NumberForm =
    NumberForm { newline_needed: true, any_base: false, most: u64::MAX, beyond: Errno::ERANGE as i32 };
const ANY: NumberForm =
    NumberForm { newline_needed: false, any_base: true, most: i64::MAX as u64, beyond: Errno::EINVAL as i32 };

/// Where a posting says nothing of the form of numbers, a kernel is held to the form that it was seen to take.
#[rstest]
#[case::hexadecimal(ANY, "0x2\n", true)]
#[case::octal(ANY, "010\n", true)]
#[case::without_newline(ANY, "2", true)]
#[case::hexadecimal_refused(DECIMAL, "0x2\n", false)]
#[case::a_leading_zero(DECIMAL, "010\n", true)]
#[case::newline_missing(DECIMAL, "2", false)]
fn numbers_are_read_as_they_were_seen_to_be(
    #[case] form: NumberForm,
    #[case] text: &'static str,
    #[case] takes: bool,
) {
    let story = |found, left: Vec<usize>| {
        vec![Records(12), opens(0, 1, false, WRITE, OK), asks(1, text, found), Shows(false, left)]
    };
    let removed = match (text, form.any_base) {
        ("010\n", true) => 8,
        ("010\n", false) => 10,
        _ => 2,
    };
    let (yes, no) = (
        story(Found::Value(text.len() as i64), (removed..12).collect()),
        story(errno(Errno::EINVAL), (0..12).collect()),
    );
    assert_eq!(seen(form, &yes).is_ok(), takes, "{:?}", seen(form, &yes));
    assert_eq!(seen(form, &no).is_ok(), !takes, "{:?}", seen(form, &no));
}

/// Once measuring is suspended: which error, whether any, or nothing at all is promised.
#[rstest]
#[case::this_one(Interface::V4_POSTED, "D\n", &[Errno::ESTALE], false)]
#[case::whichever(Interface::V3_POSTED, "D\n", &[Errno::ESTALE, Errno::EACCES], false)]
#[case::whichever_of_v2(Interface::RFC_V2_POSTED, "D\n", &[Errno::EBUSY], false)]
#[case::nothing(Interface::V5_POSTED, "D\n", &[Errno::ESTALE, Errno::EPERM], true)]
fn what_is_refused_late_is_what_the_document_says(
    #[case] interface: Interface,
    #[case] text: &'static str,
    #[case] errnos: &[Errno],
    #[case] or_taken: bool,
) {
    let story = |found| {
        let on_staged = interface != Interface::V5_POSTED;
        let mut story = vec![Records(2), opens(0, 2, on_staged, WRITE, OK), taken(2, "A\n"), closes(0, 2)];
        let staged = opens(0, 1, true, WRITE, OK);
        story.extend([staged, Does(0, Call::Suspend, OK), asks(1, text, found)]);
        says_of(interface, &story, &Tale::default(), HashTable::Kept, Rules::default())
    };
    for found in errnos {
        assert_eq!(story(errno(*found)), Ok(()), "{found}");
    }
    assert_eq!(story(TWO).is_ok(), or_taken, "{:?}", story(TWO));
    if errnos.len() == 1 && interface == Interface::V4_POSTED {
        assert!(story(errno(Errno::EACCES)).is_err());
    }
}

/// A file beside the lists: who may open it, and which of several errors it gives.
#[rstest]
#[case::the_interval_is_written_with_the_right_alone(
    Interface::LOG_DIGEST,
    "log_digest_interval",
    WRITE,
    Errno::EPERM,
    true
)]
#[case::not_refused_for_its_mode(Interface::LOG_DIGEST, "log_digest_interval", WRITE, Errno::EBUSY, false)]
#[case::the_right_comes_first(Interface::LOG_DIGEST, "trim", READ, Errno::EPERM, true)]
#[case::then_the_way(Interface::LOG_DIGEST, "trim", READ, Errno::EACCES, false)]
#[case::of_a_snapshot_too(Interface::SNAPSHOT, "snapshot", WRITE, Errno::EPERM, true)]
#[case::and_not_the_way(Interface::SNAPSHOT, "snapshot", WRITE, Errno::EINVAL, false)]
#[case::nor_a_tpm_that_fails(Interface::SNAPSHOT, "snapshot", WRITE, Errno::EIO, false)]
fn without_the_right(
    #[case] interface: Interface,
    #[case] name: &'static str,
    #[case] access: Access,
    #[case] found: Errno,
    #[case] right: bool,
) {
    let story = [Does(0, Call::Drop { capability: 21 }, OK), opens_own(0, 1, name, access, errno(found))];
    let told = says_of(interface, &story, &Tale::default(), HashTable::Kept, Rules::default());
    assert_eq!(told.is_ok(), right, "{told:?}");
}

#[test]
fn whoever_reads_the_interval_needs_no_right() {
    let story =
        [Does(0, Call::Drop { capability: 21 }, OK), opens_own(0, 1, "log_digest_interval", READ, OK)];
    let told = says_of(Interface::LOG_DIGEST, &story, &Tale::default(), HashTable::Kept, Rules::default());
    assert_eq!(told, Ok(()));
}

/// A snapshot is read by offset too, and what is written to it is not looked at.
#[rstest]
#[case::what_is_there(Call::ReadAt { slot: 1, offset: 10, bytes: 99 }, 20, true)]
#[case::and_the_aggregate(Call::ReadAt { slot: 1, offset: 10, bytes: 99 }, 30, false)]
#[case::from_nowhere(Call::Write { slot: 1, written: Written::Nowhere(4), at: None }, 4, true)]
#[case::less_than_that(Call::Write { slot: 1, written: Written::Nowhere(4), at: None }, 0, false)]
fn a_snapshot_of_three(#[case] call: Call<'static>, #[case] found: i64, #[case] right: bool) {
    let tale = Tale { marks: vec![3], ..Tale::default() };
    let story = divider(3, [Does(0, call, Found::Value(found))]);
    let told = says_of(Interface::SNAPSHOT, &story, &tale, HashTable::Kept, Rules::default());
    assert_eq!(told.is_ok(), right, "{told:?}");
}
