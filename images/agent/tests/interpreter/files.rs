//! What is done with descriptors.

use super::*;

/// Outcomes of operations on slot 0, which is a file with this content, open for reading and writing.
fn on_file(content: &[u8], ops: Vec<Op>) -> (Vec<Outcome>, Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, content).unwrap();
    let messages =
        run(&dir, &program(vec![vec![step(1, vec![open(0, &file, O_RDWR)]), step(2, ops)]], vec![]));
    (outcomes(&messages, 0, 2), data(&messages, 2), fs::read(&file).unwrap())
}

#[test]
fn positions_are_given_and_left_alone() {
    let ops = vec![
        Op::ReadAt { slot: 0, offset: 2, bytes: 3, send: true },
        Op::WriteAt { slot: 0, offset: 4, bytes: b"XY".to_vec() },
        Op::ReadAt { slot: 0, offset: 9, bytes: 3, send: true },
        Op::Seek { slot: 0, offset: 0, whence: 1 },
        Op::Truncate { slot: 0, length: 5 },
    ];
    let (outcomes, data, file) = on_file(b"01234567", ops);
    assert_eq!(outcomes, [3, 2, 0, 0, 0].map(Outcome::Value));
    assert_eq!(data, b"234");
    assert_eq!(file, b"0123X");
}

#[rstest]
#[case::read(Op::ReadBadPointer { slot: 0, bytes: 4 }, Errno::EFAULT)]
#[case::write(Op::WriteBadPointer { slot: 0, bytes: 4 }, Errno::EFAULT)]
#[case::read_at(Op::ReadAt { slot: 0, offset: -1, bytes: 4, send: true }, Errno::EINVAL)]
#[case::write_at(Op::WriteAt { slot: 0, offset: -1, bytes: vec![1] }, Errno::EINVAL)]
#[case::truncate(Op::Truncate { slot: 0, length: -1 }, Errno::EINVAL)]
#[case::map_nothing(Op::Map { slot: 0, bytes: 0, write: false }, Errno::EINVAL)]
#[case::duplicate_nothing(Op::Duplicate { slot: 5, to: 6 }, Errno::EBADF)]
#[case::poll_nothing(Op::Poll { slot: 5, events: 1 }, Errno::EBADF)]
#[case::splice_too_much(Op::SpliceIn { slot: 0, bytes: vec![0; 100_000] }, Errno::EINVAL)]
#[case::find_no_tpm(Op::FindQuoted { tpm: "/dev/null".into(), slot: 0, chunk: 9, send: true, account: true }, Errno::EPROTO)]
#[case::fill_in_nothing_found(Op::WriteFilled { slot: 0, text: "{found}".into() }, Errno::ENODATA)]
#[case::fill_in_nothing_read(Op::WriteFilled { slot: 0, text: "{number}:1".into() }, Errno::ENODATA)]
#[case::write_nothing_found(Op::WriteFound { slot: 0 }, Errno::ENODATA)]
fn an_errno_of_a_file_is_told_exactly(#[case] op: Op, #[case] expected: Errno) {
    let (outcomes, data, file) = on_file(b"01234567", vec![op]);
    assert_eq!(outcomes, [errno(expected)]);
    assert_eq!((data, file), (vec![], b"01234567".to_vec()), "nothing happened");
}

#[test]
fn a_number_that_was_read_is_filled_in() {
    let ops = vec![
        Op::ReadNumber { slot: 0 },
        Op::WriteFilled { slot: 0, text: "{number}:7".to_owned() },
        Op::WriteFilled { slot: 0, text: "x".to_owned() },
        Op::Seek { slot: 0, offset: 0, whence: 0 },
        Op::WriteFilled { slot: 0, text: "x".to_owned() },
        Op::ReadNumber { slot: 0 },
    ];
    let (outcomes, _, file) = on_file(b"42\n", ops);
    assert_eq!(outcomes[..5], [42, 4, 1, 0, 1].map(Outcome::Value));
    assert_eq!(outcomes[5..], [errno(Errno::EPROTO)]);
    assert_eq!(file, b"x2:7x");
}

#[test]
fn a_duplicate_shares_the_offset() {
    let ops = vec![
        Op::Duplicate { slot: 0, to: 1 },
        Op::Read { slot: 0, chunk: 4, limit: Some(3), send: true, nothing: None },
        Op::Read { slot: 1, chunk: 4, limit: Some(3), send: true, nothing: None },
        Op::Close { slot: 0 },
        Op::Write { slot: 1, bytes: b"!".to_vec() },
    ];
    let (outcomes, data, file) = on_file(b"01234567", ops);
    assert_eq!(outcomes, [0, 3, 3, 0, 1].map(Outcome::Value));
    assert_eq!((data, file), (b"012345".to_vec(), b"012345!7".to_vec()));
}

#[test]
fn a_slot_to_fill_has_to_be_free() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("program");
    let ops = vec![open(0, &file, O_RDONLY), Op::Duplicate { slot: 0, to: 0 }];
    let messages = run(&dir, &program(vec![vec![step(1, ops)]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1)[1], errno(Errno::EBADFD));
    assert!(messages.iter().any(|message| matches!(message, Message::Fault { .. })));
}

#[test]
fn bytes_are_spliced_both_ways() {
    let ops = vec![
        Op::SpliceOut { slot: 0, bytes: 5 },
        Op::SpliceIn { slot: 0, bytes: b"ab".to_vec() },
        Op::SpliceOut { slot: 0, bytes: 100 },
    ];
    let (outcomes, data, file) = on_file(b"01234567", ops);
    assert_eq!(outcomes, [5, 2, 1].map(Outcome::Value));
    assert_eq!((data, file), (b"012347".to_vec(), b"01234ab7".to_vec()));
}

#[rstest]
#[case(O_RDWR, true, Outcome::Value(0))]
#[case(O_RDONLY, false, Outcome::Value(0))]
#[case(O_RDONLY, true, errno(Errno::EACCES))]
fn a_file_is_mapped_as_it_was_opened(#[case] flags: i32, #[case] write: bool, #[case] expected: Outcome) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("program");
    let ops = vec![open(0, &file, flags), Op::Map { slot: 0, bytes: 100, write }];
    let messages = run(&dir, &program(vec![vec![step(1, ops)]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1)[1], expected);
}

#[test]
fn poll_says_what_could_be_done() {
    use nix::libc::{POLLIN, POLLOUT, POLLPRI};
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let poll = Op::Poll { slot: 0, events: POLLIN | POLLOUT | POLLPRI };
    let ops = vec![open(0, &fifo, O_RDWR), poll.clone(), Op::Write { slot: 0, bytes: vec![1] }, poll];
    let messages = run(&dir, &program(vec![vec![step(1, ops)]], vec![]));
    let found = outcomes(&messages, 0, 1);
    assert_eq!(found[1], Outcome::Value(POLLOUT.into()));
    assert_eq!(found[3], Outcome::Value((POLLIN | POLLOUT).into()));
}

#[test]
fn a_clock_that_has_run_out_ends_steps_before_they_begin() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("program");
    let timed = |id, clock, ops| Step { id, clock: Some(clock), ops };
    let steps = vec![
        step(1, vec![Op::Clock { clock: 4, ms: 0 }, Op::Clock { clock: 5, ms: 600_000 }]),
        timed(2, 4, vec![open(0, &file, O_RDONLY), Op::Close { slot: 0 }]),
        timed(3, 5, vec![open(0, &file, O_RDONLY)]),
        timed(4, 4, vec![Op::Close { slot: 0 }]),
        timed(5, 9, vec![Op::Close { slot: 0 }]),
    ];
    let messages = run(&dir, &program(vec![steps], vec![]));
    let done = |id| outcomes(&messages, 0, id);
    assert_eq!(done(2), [Outcome::NotAttempted, Outcome::NotAttempted]);
    assert_eq!(done(3), [Outcome::Value(0)]);
    assert_eq!(done(4), [Outcome::NotAttempted], "not even what cleans up");
    assert_eq!(done(5), [Outcome::Value(0)], "a clock that was never started does not run out");
    assert!(!messages.iter().any(|message| matches!(message, Message::OpStarted { step: 2 | 4, .. })));
}

#[test]
fn a_hold_is_released_by_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![step(1, vec![Op::ReleaseHold { hold: 7 }])];
    let messages = run(&dir, &program(vec![steps], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0)]);
    assert!(messages.contains(&Message::ReleaseHold { task: 0, hold: 7 }));
}

#[test]
fn what_a_task_tells_of_itself_changes_nothing_and_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![step(1, vec![Op::Tell { number: u64::MAX }])];
    let messages = run(&dir, &program(vec![steps], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0)]);
}
