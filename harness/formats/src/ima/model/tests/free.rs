//! What no promise rules out passes.

use rstest::rstest;

use super::*;

/// What no promise rules out.
#[rstest]
#[case::one_of_two_reasons(writer(0, [Does(0, Call::Suspend, OK), asks(1, "A\n", errno(Errno::ENOENT))]))]
#[case::the_other_of_two(writer(0, [Does(0, Call::Suspend, OK), asks(1, "A\n", errno(Errno::EACCES))]))]
#[case::odd_flags(vec![Does(0, Call::Open { slot: 1, file: list(true), access: READ, odd: true }, errno(Errno::ELOOP))])]
#[case::no_descriptors_left(vec![Does(0, Call::Limit, OK), opens(0, 1, true, READ, errno(Errno::EMFILE))])]
#[case::no_memory_for_a_table(
    writer(1, [taken(1, "A\n"), asks(1, "D\n", errno(Errno::ENOMEM)), Shows(true, vec![0])])
)]
#[case::a_thread_is_another_task(
    vec![opens(0, 1, true, WRITE, OK), Does(0, Call::Thread { child: 1 }, OK), opens(1, 2, true, WRITE, errno(Errno::EBUSY))]
)]
#[case::a_thread_has_the_same_descriptors(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Thread { child: 1 }, OK),
        closes(1, 1),
        opens(1, 2, true, READ, OK),
    ]
)]
#[case::a_child_has_its_own(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Fork { child: 1 }, OK),
        closes(0, 1),
        opens(0, 2, true, READ, errno(Errno::EBUSY)),
        Does(1, Call::End, OK),
        opens(0, 2, true, READ, OK),
    ]
)]
#[case::a_thread_that_ends_closes_nothing(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Thread { child: 1 }, OK),
        Does(1, Call::End, OK),
        opens(2, 1, true, READ, errno(Errno::EBUSY)),
    ]
)]
#[case::a_descriptor_on_its_way_is_open(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Send { slot: 1, to: 1 }, OK),
        closes(0, 1),
        opens(0, 1, true, READ, errno(Errno::EBUSY)),
        Does(1, Call::End, OK),
        opens(0, 1, true, READ, OK),
    ]
)]
#[case::a_taken_descriptor_is_of_the_same_file(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(1, Call::Take { slot: 2, from: 0, theirs: Some(1) }, OK),
        closes(0, 1),
        opens(0, 1, true, READ, errno(Errno::EBUSY)),
        closes(1, 2),
        opens(0, 1, true, READ, OK),
    ]
)]
#[case::closed_in_the_midst_of_a_call(
    vec![
        Records(1),
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Thread { child: 1 }, OK),
        Does(0, Call::Pin { slot: 1 }, OK),
        closes(1, 1),
        opens(2, 1, true, READ, errno(Errno::EBUSY)),
        taken(1, "A\n"),
        Does(0, Call::Unpin, OK),
        opens(2, 1, true, READ, OK),
        Shows(true, vec![0]),
    ]
)]
#[case::beyond_the_end(
    vec![
        Records(1),
        opens(0, 1, false, READ, OK),
        Does(0, Call::Seek { slot: 1, offset: 0, whence: 2 }, errno(Errno::EINVAL)),
        Does(0, Call::Seek { slot: 1, offset: 99, whence: 0 }, Found::Value(99)),
        Does(0, Call::Read { slot: 1, limit: None }, Found::Value(0)),
        Does(0, Call::Seek { slot: 1, offset: 0, whence: 0 }, OK),
        Does(0, Call::Read { slot: 1, limit: None }, Found::Value(10)),
    ]
)]
#[case::half_read_and_then_trimmed(
    writer(3, [
        Does(0, Call::Read { slot: 2, limit: Some(5) }, Found::Value(5)),
        taken(2, "1\n"),
        Does(0, Call::Read { slot: 2, limit: None }, Found::Value(7)),
        Does(0, Call::Seek { slot: 2, offset: 0, whence: 0 }, OK),
        Does(0, Call::Read { slot: 2, limit: None }, Found::Value(20)),
    ])
)]
#[case::a_call_without_an_end(writer(1, [asks(1, "A\n", Found::Never), Shows(true, vec![0])]))]
fn what_may_be_passes(#[case] story: Vec<Scene>) {
    let table =
        if story.iter().any(|scene| matches!(scene, Does(_, _, found) if *found == errno(Errno::ENOMEM))) {
            HashTable::Flushed
        } else {
            HashTable::Kept
        };
    assert_eq!(says(&story, &Tale::default(), table, Rules::default()), Ok(()));
}

#[test]
fn a_kernel_without_requests_only_grows() {
    let setup = Setup {
        table: HashTable::Kept,
        interface: Interface::READ_ONLY,
        seen: Seen::default(),
        violations: 0,
    };
    let mut kernel = Kernel::new(setup, Rules::default());
    let tale = Tale::default();
    kernel.record(&tale);
    for (call, found) in [
        (Call::Open { slot: 1, file: list(false), access: WRITE, odd: false }, OK),
        (Call::Write { slot: 1, written: Written::Bytes(b"1\n"), at: None }, errno(Errno::EINVAL)),
        (Call::Open { slot: 2, file: list(false), access: READ, odd: false }, OK),
    ] {
        let effect = kernel.judge(&tale, 0, call, found).unwrap();
        kernel.apply(0, effect);
    }
    assert_eq!(kernel.shows(ListFile { ascii: false, bank: Bank::Sha1, list: ListId::CURRENT }).len(), 1);
}
