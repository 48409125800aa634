//! The frame decoders: whatever the bytes are and however they are cut, there is no panic, memory stays that of one
//! frame, the cut makes no difference, and what comes out is encoded and decoded to the same.
//!
//! The first byte chooses how the rest is used: as a stream, as a program, or as payloads of frames whose checksums
//! hold, which reaches the decoder of the values.

#![no_main]

use imalab_wire::frame::{self, Decoder, FrameError};
use imalab_wire::{Message, Program};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    match choice % 3 {
        0 => stream(rest, usize::from(choice / 3) + 1),
        1 => {
            if let Ok(program) = frame::decode_program(rest) {
                same_program(&program);
            }
        }
        _ => {
            let mut bytes = Vec::new();
            for (seq, payload) in (0..).zip(rest.split(|byte| *byte == 0xfe)) {
                if frame::append(&mut bytes, seq, payload).is_err() {
                    return;
                }
            }
            stream(&bytes, usize::from(choice / 3) + 1);
        }
    }
});

fn stream(bytes: &[u8], portion: usize) {
    let (messages, error) = decode(bytes, portion);
    assert_eq!((&messages, &error), (&decode(bytes, usize::MAX).0, &decode(bytes, usize::MAX).1));
    if let Some(error) = error {
        assert!(error.offset <= bytes.len() as u64, "{error}");
    }
    let mut again = Vec::new();
    for (seq, message) in (0..).zip(&messages) {
        // A longer way to write a number is read, and written shorter, so what was read always fits.
        again.extend(frame::encode(seq, message).expect("it came in a frame"));
    }
    assert_eq!(decode(&again, portion), (messages, None));
}

fn decode(bytes: &[u8], portion: usize) -> (Vec<Message>, Option<FrameError>) {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for mut chunk in bytes.chunks(portion) {
        while !chunk.is_empty() {
            let taken = decoder.push(chunk);
            assert!(taken > 0, "a drained decoder takes bytes");
            chunk = &chunk[taken..];
            while let Some(frame) = decoder.next() {
                match frame {
                    Ok((seq, message)) => {
                        assert_eq!(seq, messages.len() as u64);
                        messages.push(message);
                    }
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
    }
    let end = decoder.finish().err();
    (messages, end)
}

fn same_program(program: &Program) {
    let bytes = frame::encode_program(program).expect("it came in a frame");
    assert_eq!(frame::decode_program(&bytes).as_ref(), Ok(program));
}
