//! Frames under every way that a stream can be cut, damaged or wrong.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with its place")]

use imalab_wire::frame::{self, Decoder, FrameError, HEADER, MAX_PADDING, MAX_PAYLOAD, Reason};
use imalab_wire::{End, Message, Op, Outcome, Piece, Program, Setup, Step, Task, VERSION};
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<i64>().prop_map(Outcome::Value),
        any::<i32>().prop_map(Outcome::Errno),
        Just(Outcome::NotAttempted),
    ]
}

/// Any message but the last.
fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u16>(), any::<u64>(), ".{0,40}", any::<u64>()).prop_map(|(version, token, release, at_ns)| {
            Message::Hello { version, token, boot: 0, release, at_ns }
        }),
        (any::<u16>(), any::<i32>()).prop_map(|(task, pid)| Message::TaskStarted { task, pid }),
        (any::<u16>(), any::<u32>(), any::<u16>(), any::<u64>())
            .prop_map(|(task, step, op, at_ns)| Message::OpStarted { task, step, op, at_ns }),
        (any::<u16>(), any::<u32>(), any::<u16>(), any::<u64>(), any::<u64>(), outcome()).prop_map(
            |(task, step, op, begin_ns, end_ns, outcome)| Message::OpDone {
                task,
                step,
                op,
                begin_ns,
                end_ns,
                outcome
            }
        ),
        (any::<u16>(), any::<u32>(), any::<u16>(), any::<u64>(), vec(any::<u8>(), 0..2000)).prop_map(
            |(task, step, op, offset, bytes)| Message::Data(Piece { task, step, op, offset, bytes })
        ),
        (any::<u16>(), any::<u32>(), any::<u64>()).prop_map(|(task, step, done)| Message::Progress {
            task,
            step,
            done
        }),
        (any::<u16>(), any::<u32>(), any::<u16>(), any::<i64>(), any::<u64>())
            .prop_map(|(task, step, op, call, at_ns)| Message::FoundAsleep { task, step, op, call, at_ns }),
        (any::<u16>(), any::<i32>()).prop_map(|(task, status)| Message::TaskEnded { task, status }),
        ".{0,80}".prop_map(|text| Message::Fault { text }),
        Just(Message::Waiting),
    ]
}

/// A whole run's messages, the last of them `Done`.
fn run() -> impl Strategy<Value = Vec<Message>> {
    (vec(message(), 0..12), any::<u64>()).prop_map(|(mut messages, ops)| {
        messages.push(Message::Done { ops, frames: messages.len() as u64 });
        messages
    })
}

fn stream(messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::new();
    for (seq, message) in messages.iter().enumerate() {
        out.extend(frame::encode(seq as u64, message).unwrap());
    }
    out
}

/// Feeds `bytes` in portions of the given sizes, over and over, and gives what came out.
fn decode(bytes: &[u8], portions: &[usize]) -> (Vec<Message>, Option<FrameError>, bool) {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    let mut error = None;
    let mut sizes = portions.iter().copied().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut portion, after) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        rest = after;
        while !portion.is_empty() {
            let taken = decoder.push(portion);
            assert!(taken > 0, "a drained decoder takes bytes");
            portion = &portion[taken..];
            while let Some(frame) = decoder.next() {
                match frame {
                    Ok((seq, message)) => {
                        assert_eq!(seq, messages.len() as u64);
                        messages.push(message);
                    }
                    Err(found) => assert!(error.replace(found).is_none(), "one error at most"),
                }
            }
        }
    }
    if let Err(found) = decoder.finish() {
        assert!(error.replace(found).is_none());
    }
    (messages, error, decoder.is_done())
}

fn at(offset: usize, reason: Reason) -> Option<FrameError> {
    Some(FrameError { offset: offset as u64, reason })
}

proptest! {
    #[test]
    fn any_chunking_gives_the_messages_back(messages in run(), portions in vec(1usize..5000, 1..20),
                                            padding in 0..=MAX_PADDING) {
        let mut bytes = stream(&messages);
        bytes.resize(bytes.len() + padding, 0);
        prop_assert_eq!(decode(&bytes, &portions), (messages, None, true));
    }

    #[test]
    fn a_flipped_bit_never_passes(messages in run(), place in any::<prop::sample::Index>(), bit in 0..8u8,
                                  portion in 1usize..500) {
        let mut bytes = stream(&messages);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let (found, error, done) = decode(&bytes, &[portion]);
        prop_assert!(error.is_some());
        prop_assert!(!done);
        prop_assert!(messages.starts_with(&found), "what came before the damage is intact");
        prop_assert!(found.len() < messages.len());
    }

    #[test]
    fn a_cut_never_passes(messages in run(), place in any::<prop::sample::Index>()) {
        let bytes = stream(&messages);
        let (found, _, done) = decode(&bytes[..place.index(bytes.len())], &[97]);
        prop_assert!(!done);
        prop_assert!(messages.starts_with(&found));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..4000), portion in 1usize..500) {
        let (_, _, done) = decode(&bytes, &[portion]);
        prop_assert!(!done);
        prop_assert!(frame::decode_program(&bytes).is_err());
    }

    /// The checksum holds, so that the decoder of the payload itself is reached.
    #[test]
    fn a_garbage_payload_never_panics(payload in vec(any::<u8>(), 0..200)) {
        let mut bytes = Vec::new();
        frame::append(&mut bytes, 0, &payload).unwrap();
        let (found, error, _) = decode(&bytes, &[bytes.len()]);
        prop_assert_eq!(found.len() + usize::from(error.is_some()), 1);
    }

    #[test]
    fn a_flipped_bit_in_a_program_never_passes(place in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = frame::encode_program(&program()).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(frame::decode_program(&bytes).is_err());
    }
}

fn program() -> Program {
    let ops = vec![
        Op::Open { slot: 0, path: "/x".into(), flags: 0, mode: 0 },
        Op::Write { slot: 0, bytes: b"A\n".to_vec() },
        Op::Barrier { id: 1, parties: 2 },
        Op::Close { slot: 0 },
    ];
    Program {
        token: 7,
        setup: Setup { policy: b"measure func=FILE_CHECK\n".to_vec(), ..Setup::default() },
        tasks: vec![Task {
            name: "a".into(),
            boot: 0,
            start: Default::default(),
            steps: vec![Step { id: 3, clock: None, ops }],
        }],
        finally: vec![Step { id: 4, clock: None, ops: vec![Op::Release] }],
        end: End::PowerOff,
    }
}

fn fault(text: &str) -> Message {
    Message::Fault { text: text.to_owned() }
}

fn reseal(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..20]);
    hasher.update(&bytes[HEADER..]);
    bytes[20..24].copy_from_slice(&hasher.finalize().to_le_bytes());
    bytes
}

#[test]
fn a_program_comes_back() {
    let bytes = frame::encode_program(&program()).unwrap();
    assert_eq!(frame::decode_program(&bytes), Ok(program()));
}

#[test]
fn the_layout_is_fixed() {
    let bytes = frame::encode(258, &Message::TaskEnded { task: 1, status: -1 }).unwrap();
    assert_eq!(bytes[..20], *b"IMAL\x08\0\0\0\x03\0\0\0\x02\x01\0\0\0\0\0\0");
    assert_eq!(bytes[24..], [8, 1, 1]);
}

#[rstest]
#[case::other_version(|b: &mut Vec<u8>| b[4] = 9, Reason::OtherVersion { found: 9 })]
#[case::a_message(|b: &mut Vec<u8>| b[6] = 0, Reason::OtherKind { found: 0, expected: 1 })]
#[case::magic(|b: &mut Vec<u8>| b[0] = b'X', Reason::BadMagic { found: *b"XMAL" })]
#[case::cut_in_header(|b: &mut Vec<u8>| b.truncate(23), Reason::Truncated { have: 23 })]
#[case::cut_in_payload(|b: &mut Vec<u8>| b.truncate(30), Reason::Truncated { have: 30 })]
#[case::empty(|b: &mut Vec<u8>| b.clear(), Reason::Truncated { have: 0 })]
#[case::huge(|b: &mut Vec<u8>| b[8..12].fill(0xff), Reason::Oversize { len: u32::MAX, max: frame::MAX_PROGRAM })]
fn a_bad_program_is_refused(#[case] damage: fn(&mut Vec<u8>), #[case] reason: Reason) {
    let mut bytes = frame::encode_program(&program()).unwrap();
    damage(&mut bytes);
    assert_eq!(frame::decode_program(&bytes).err(), at(0, reason));
}

#[test]
fn bytes_after_a_program_are_refused() {
    let mut bytes = frame::encode_program(&program()).unwrap();
    let end = bytes.len();
    bytes.extend([0; 3]);
    assert_eq!(frame::decode_program(&bytes).err(), at(end, Reason::AfterEnd));
}

#[test]
fn a_frame_that_is_not_next_is_a_gap() {
    let first = frame::encode(0, &fault("a")).unwrap();
    for wrong in [0, 2, u64::MAX] {
        let bytes = [first.clone(), frame::encode(wrong, &fault("b")).unwrap()].concat();
        let (found, error, _) = decode(&bytes, &[7]);
        assert_eq!(found, [fault("a")]);
        assert_eq!(error, at(first.len(), Reason::Gap { found: wrong, expected: 1 }));
    }
}

#[test]
fn trailing_bytes_in_a_payload_are_refused() {
    let mut bytes = Vec::new();
    frame::append(&mut bytes, 0, &[frame::payload(&fault("a")), vec![1, 2]].concat()).unwrap();
    assert_eq!(decode(&bytes, &[1]).1, at(0, Reason::TrailingBytes { len: 2 }));
}

#[test]
fn a_payload_of_no_known_message_is_refused() {
    let mut bytes = Vec::new();
    frame::append(&mut bytes, 0, &[200]).unwrap();
    assert!(matches!(decode(&bytes, &[1]).1, Some(FrameError { reason: Reason::Undecodable { .. }, .. })));
}

#[test]
fn oversize_is_refused_from_the_header_alone() {
    let mut bytes = frame::encode(0, &fault("a")).unwrap();
    bytes[8..12].copy_from_slice(&(MAX_PAYLOAD as u32 + 1).to_le_bytes());
    bytes.truncate(HEADER);
    let reason = Reason::Oversize { len: MAX_PAYLOAD as u32 + 1, max: MAX_PAYLOAD };
    assert_eq!(decode(&bytes, &[HEADER]).1, at(0, reason));
}

#[test]
fn a_payload_that_fits_no_frame_is_not_sent() {
    let mut out = vec![1];
    let error = frame::append(&mut out, 0, &vec![0; MAX_PAYLOAD + 1]).unwrap_err();
    assert_eq!(error.to_string(), "an encoding of 49153 bytes does not fit a frame's 49152");
    assert_eq!(out, [1]);
    frame::append(&mut out, 0, &vec![0; MAX_PAYLOAD]).unwrap();
}

#[test]
fn another_version_says_what_to_do() {
    let mut bytes = frame::encode(0, &fault("a")).unwrap();
    bytes[4] = 1;
    assert_eq!(
        decode(&reseal(bytes), &[5]).1.unwrap().to_string(),
        format!(
            "at byte 0: format version 1, but this side speaks {VERSION}: rebuild the image and the harness from the same sources"
        )
    );
}

#[rstest]
#[case::a_frame(frame::encode(1, &fault("late")).unwrap(), 0)]
#[case::one_byte(vec![1], 0)]
#[case::padding_then_a_byte(vec![0, 0, 7], 2)]
#[case::too_much_padding(vec![0; MAX_PADDING + 1], MAX_PADDING)]
fn nothing_but_padding_follows_done(
    #[case] after: Vec<u8>,
    #[case] sound: usize,
    #[values(1, 3, 1000)] portion: usize,
) {
    let done = Message::Done { ops: 1, frames: 0 };
    let mut bytes = frame::encode(0, &done).unwrap();
    let end = bytes.len();
    bytes.extend(after);
    let (found, error, is_done) = decode(&bytes, &[portion]);
    assert_eq!(found, [done]);
    assert_eq!(error, at(end + sound, Reason::AfterEnd));
    assert!(!is_done);
}

#[test]
fn done_must_count_what_came() {
    let bytes = frame::encode(0, &Message::Done { ops: 1, frames: 3 }).unwrap();
    assert_eq!(decode(&bytes, &[3]).1, at(0, Reason::Count { stated: 3, found: 0 }));
}

#[test]
fn a_stream_that_ends_between_frames_is_not_done() {
    let bytes = frame::encode(0, &fault("a")).unwrap();
    assert_eq!(decode(&bytes, &[9]), (vec![fault("a")], None, false));
}

#[test]
fn a_stored_trace_holds_bytes_as_hexadecimal_text() {
    let piece = Piece { task: 0, step: 1, op: 2, offset: 3, bytes: vec![0, 255] };
    let json = serde_json::to_string(&Message::Data(piece.clone())).unwrap();
    assert_eq!(json, r#"{"Data":{"task":0,"step":1,"op":2,"offset":3,"bytes":"00ff"}}"#);
    assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), Message::Data(piece));
}

#[test]
fn an_agent_that_gives_up_pads_after_its_fault_and_is_not_done() {
    let mut bytes = frame::encode(0, &fault("a")).unwrap();
    bytes.extend(frame::encode(1, &fault("b")).unwrap());
    let end = bytes.len();
    bytes.extend([0; 256]);
    assert_eq!(decode(&bytes, &[9]), (vec![fault("a"), fault("b")], None, false));
    bytes.extend(frame::encode(2, &fault("c")).unwrap());
    let (found, error, _) = decode(&bytes, &[bytes.len()]);
    assert_eq!(found.len(), 2);
    assert_eq!(error, at(end + 256, Reason::AfterEnd));
}

#[test]
fn padding_without_an_end_is_refused() {
    let mut bytes = frame::encode(0, &Message::TaskStarted { task: 0, pid: 1 }).unwrap();
    let end = bytes.len();
    bytes.extend([0; HEADER]);
    assert_eq!(decode(&bytes, &[9]).1, at(end, Reason::BadMagic { found: [0; 4] }));
}

#[test]
fn what_stands_in_a_programs_place_is_no_program() {
    let waiting = frame::waiting();
    let head = waiting.first_chunk::<HEADER>().unwrap();
    assert!(frame::is_waiting(head));
    let error = frame::decode_program(&waiting).unwrap_err();
    assert_eq!(error.reason, Reason::OtherKind { found: 2, expected: 1 });
    assert_eq!(frame::program_length(head), Err(error));
    // As the machine that was saved had, so that any program can be in its place.
    assert_eq!(waiting.len(), HEADER + frame::MAX_PROGRAM);

    let program = Program {
        token: 7,
        setup: Setup::default(),
        tasks: Vec::new(),
        finally: Vec::new(),
        end: End::PowerOff,
    };
    let bytes = frame::encode_program(&program).unwrap();
    let program = bytes.first_chunk::<HEADER>().unwrap();
    assert!(!frame::is_waiting(program));
    assert_eq!(frame::program_length(program), Ok(bytes.len()));
    // Bytes of either, as a machine that was saved within a look has them.
    let (mut torn, at) = (*head, 7);
    torn[at..].copy_from_slice(&program[at..]);
    assert!(!frame::is_waiting(&torn));
}
