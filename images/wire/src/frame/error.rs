//! What can be wrong with frames.

use super::MAX_PADDING;
use crate::VERSION;

/// The first thing that was wrong with a stream of frames; nothing after it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct FrameError {
    /// Where the frame at fault begins, in bytes from the stream's first; for [`Reason::AfterEnd`], the first byte
    /// that should not be there.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message names its fields")]
pub enum Reason {
    /// The stream is out of step, or something else wrote to it.
    #[error("no frame begins here: found the bytes {found:02x?}")]
    BadMagic { found: [u8; 4] },
    /// The two sides were built from different sources.
    #[error(
        "format version {found}, but this side speaks {VERSION}: rebuild the image and the harness from the same sources"
    )]
    OtherVersion { found: u16 },
    /// A program where a message was expected, or the reverse.
    #[error("frame of kind {found}, expected {expected} (0 is a message, 1 a program)")]
    OtherKind { found: u16, expected: u16 },
    /// Refused before it is read.
    #[error("payload of {len} bytes, at most {max} are allowed")]
    Oversize { len: u32, max: usize },
    /// Some bit of header or payload is not what was sent.
    #[error("checksum {stated:08x} stated, {found:08x} found")]
    BadChecksum { stated: u32, found: u32 },
    /// Frames were lost or doubled.
    #[error("frame number {found}, expected {expected}")]
    Gap { found: u64, expected: u64 },
    /// The checksum holds, yet the payload is no value of its type.
    #[error("payload cannot be decoded: {text}")]
    Undecodable { text: String },
    /// The payload holds more than its value.
    #[error("{len} bytes follow the value in the payload")]
    TrailingBytes { len: usize },
    /// The last message counts other frames than arrived.
    #[error("the last message counts {stated} frames before it, {found} arrived")]
    Count { stated: u64, found: u64 },
    /// The stream ended within a frame.
    #[error("ended within a frame, {have} bytes into it")]
    Truncated { have: usize },
    /// Something follows what was said to be the last.
    #[error("something that is no padding follows the end (at most {MAX_PADDING} zero bytes may)")]
    AfterEnd,
}
