//! Streams that go on in another kernel: padding between frames, and a start over with a hello.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use imalab_wire::Message;
use imalab_wire::frame::{self, Decoder, FrameError, HEADER, MAX_PADDING, Reason};
use rstest::rstest;

fn hello(boot: u16) -> Message {
    Message::Hello { version: imalab_wire::VERSION, token: 7, boot, release: "7.3.4".to_owned(), at_ns: 5 }
}

fn ended(task: u16) -> Message {
    Message::TaskEnded { task, status: 0 }
}

fn frames(messages: &[Message]) -> Vec<u8> {
    (0..).zip(messages).flat_map(|(seq, message)| frame::encode(seq, message).unwrap()).collect()
}

fn padding(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

fn decode(
    mut decoder: Decoder,
    bytes: &[u8],
    portion: usize,
) -> (Vec<(u64, Message)>, Option<FrameError>, bool) {
    let (mut found, mut error) = (Vec::new(), None);
    for mut portion in bytes.chunks(portion) {
        while !portion.is_empty() {
            portion = &portion[decoder.push(portion)..];
            while let Some(frame) = decoder.next() {
                match frame {
                    Ok(frame) => found.push(frame),
                    Err(wrong) => error = Some(wrong),
                }
            }
        }
    }
    if let Err(wrong) = decoder.finish() {
        error = Some(wrong);
    }
    (found, error, decoder.is_done())
}

#[rstest]
fn each_boot_counts_its_own_frames(
    #[values(0, 1, 256, MAX_PADDING)] pad: usize,
    #[values(1, 7, 100_000)] portion: usize,
) {
    let last = Message::Done { ops: 0, frames: 1 };
    let boots = [vec![hello(0), ended(0), ended(1)], vec![hello(1)], vec![hello(2), last]];
    let mut bytes = Vec::new();
    for boot in &boots {
        bytes.extend(frames(boot));
        bytes.extend(padding(pad));
    }
    let expected: Vec<(u64, Message)> =
        boots.iter().flat_map(|boot| (0..).zip(boot.iter().cloned())).collect();
    assert_eq!(decode(Decoder::across_kexecs(), &bytes, portion), (expected, None, true));
}

#[test]
fn a_kexec_that_fails_leaves_padding_and_the_count_goes_on() {
    let mut bytes = frame::encode(0, &hello(0)).unwrap();
    for seq in 1..4 {
        bytes.extend(padding(MAX_PADDING));
        bytes.extend(frame::encode(seq, &ended(0)).unwrap());
    }
    let (found, error, _) = decode(Decoder::across_kexecs(), &bytes, 5);
    assert_eq!((found.len(), error), (4, None));
}

#[rstest]
#[case::lost_hello(ended(1), 0)]
#[case::lost_frames(hello(1), 1)]
fn a_boot_begins_with_its_hello_as_number_0(#[case] message: Message, #[case] seq: u64) {
    let mut bytes = frames(&[hello(0), ended(0)]);
    let end = bytes.len() as u64;
    bytes.extend(frame::encode(seq, &message).unwrap());
    let (found, error, _) = decode(Decoder::across_kexecs(), &bytes, 9);
    assert_eq!(found.len(), 2);
    assert_eq!(error, Some(FrameError { offset: end, reason: Reason::Gap { found: seq, expected: 2 } }));
}

#[test]
fn a_program_without_kexec_has_one_boot_and_no_padding() {
    let first = frames(&[hello(0)]);
    let again = [first.clone(), first.clone()].concat();
    let offset = first.len() as u64;
    let gap = FrameError { offset, reason: Reason::Gap { found: 0, expected: 1 } };
    assert_eq!(decode(Decoder::new(), &again, 9).1, Some(gap));
    let padded = [first, padding(HEADER)].concat();
    let no_frame = FrameError { offset, reason: Reason::BadMagic { found: [0; 4] } };
    assert_eq!(decode(Decoder::new(), &padded, 9).1, Some(no_frame));
}

#[test]
fn a_boot_cut_within_a_frame_never_passes() {
    let mut bytes = frames(&[hello(0), ended(0)]);
    bytes.truncate(bytes.len() - 1);
    let end = frames(&[hello(0)]).len() as u64;
    bytes.extend(frames(&[hello(1), Message::Done { ops: 0, frames: 1 }]));
    let (found, error, done) = decode(Decoder::across_kexecs(), &bytes, 11);
    assert_eq!(found.len(), 1);
    assert_eq!(error.map(|error| error.offset), Some(end));
    assert!(!done);
}

#[test]
fn more_padding_than_there_may_be_is_no_frame() {
    let bytes = [frames(&[hello(0)]), padding(MAX_PADDING + HEADER)].concat();
    let (_, error, _) = decode(Decoder::across_kexecs(), &bytes, 50);
    assert_eq!(error.map(|error| error.reason), Some(Reason::BadMagic { found: [0; 4] }));
}

#[test]
fn nothing_goes_on_after_the_last_message() {
    let done = frames(&[hello(0), Message::Done { ops: 0, frames: 1 }]);
    let offset = done.len() as u64;
    let bytes = [done, frames(&[hello(1)])].concat();
    let (_, error, _) = decode(Decoder::across_kexecs(), &bytes, 50);
    assert_eq!(error, Some(FrameError { offset, reason: Reason::AfterEnd }));
}
