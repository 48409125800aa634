//! Frames: a header with version, sequence number, length and checksum before each message.
//!
//! | bytes | field | value |
//! | --- | --- | --- |
//! | 0..4 | magic | [`MAGIC`] |
//! | 4..6 | version | [`crate::VERSION`] |
//! | 6..8 | kind | 0 a message, 1 a program, 2 [no program yet](waiting) |
//! | 8..12 | length | bytes of payload |
//! | 12..20 | sequence | frames before this one in the stream |
//! | 20..24 | checksum | CRC-32 (ISO-HDLC) of bytes 0..20 and the payload |
//!
//! All numbers are little-endian. The payload is one postcard value and nothing else. After the frame of
//! [`Message::Done`], or of a [`Message::Fault`] that made the agent give up, only [padding](MAX_PADDING) may follow.
//!
//! A kexec starts the stream over: padding, then a [`Message::Hello`] with sequence number 0. A kexec that fails leaves the
//! padding between two frames ([`Decoder::across_kexecs`]).

mod decoder;
mod error;

pub use decoder::Decoder;
pub use error::{FrameError, Reason};
use serde::Serialize;

use crate::{Message, Program, VERSION};

/// First four bytes of every frame.
pub const MAGIC: [u8; 4] = *b"IMAL";

/// Bytes of a header.
pub const HEADER: usize = 24;

/// Largest payload of a message's frame, in bytes; a longer one is refused before it is read.
pub const MAX_PAYLOAD: usize = 48 * 1024;

/// Largest payload of a program, in bytes. The guest reads it through fw_cfg, a byte a port access, and the
/// kernel starts each page over from the item's first byte (`fw_cfg_read_blob`, `drivers/firmware/qemu_fw_cfg.c`),
/// so a program of this size is allowed and slow.
pub const MAX_PROGRAM: usize = 1024 * 1024;

/// Most zero bytes that may follow the last frame of a boot, or stand before an attempt to leave it. The agent sends them one a write to push the frames before
/// them out of the port's ring: the ring is in order, so that a slot for byte n is free only when everything
/// that lies a whole ring before it has been taken by the host.
pub const MAX_PADDING: usize = 1024;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
enum Kind {
    Message = 0,
    Program = 1,
    Waiting = 2,
}

/// A header's fields, as they stand in the bytes.
#[derive(Clone, Copy, Debug)]
struct Header {
    len: usize,
    seq: u64,
    crc: u32,
}

impl Header {
    /// Reads a header of the expected kind, and refuses what cannot be one.
    fn parse(bytes: &[u8; HEADER], kind: Kind, max: usize) -> Result<Self, Reason> {
        let (magic, rest) = split::<4>(bytes);
        let (version, rest) = split::<2>(rest);
        let (found_kind, rest) = split::<2>(rest);
        let (len, rest) = split::<4>(rest);
        let (seq, rest) = split::<8>(rest);
        let (crc, _) = split::<4>(rest);
        if magic != MAGIC {
            return Err(Reason::BadMagic { found: magic });
        }
        let version = u16::from_le_bytes(version);
        if version != VERSION {
            return Err(Reason::OtherVersion { found: version });
        }
        let found_kind = u16::from_le_bytes(found_kind);
        if found_kind != kind as u16 {
            return Err(Reason::OtherKind { found: found_kind, expected: kind as u16 });
        }
        let len = u32::from_le_bytes(len);
        match usize::try_from(len) {
            Ok(len) if len <= max => {
                Ok(Self { len, seq: u64::from_le_bytes(seq), crc: u32::from_le_bytes(crc) })
            }
            _ => Err(Reason::Oversize { len, max }),
        }
    }
}

/// The first `N` bytes as an array, and the rest. Zeroes stand in for bytes that are not there, which the fixed
/// offsets of a header rule out.
fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    bytes.split_first_chunk().map_or(([0; N], &[]), |(head, rest)| (*head, rest))
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

/// Appends the frame of an encoded message to `out`, so that a relay need not decode what it passes on.
///
/// # Errors
/// [`TooLong`] when the payload is longer than [`MAX_PAYLOAD`]; `out` is then as it was.
pub fn append(out: &mut Vec<u8>, seq: u64, payload: &[u8]) -> Result<(), TooLong> {
    append_kind(out, Kind::Message, MAX_PAYLOAD, seq, payload)
}

fn append_kind(out: &mut Vec<u8>, kind: Kind, max: usize, seq: u64, payload: &[u8]) -> Result<(), TooLong> {
    let len = match u32::try_from(payload.len()) {
        Ok(len) if payload.len() <= max => len,
        _ => return Err(TooLong { len: payload.len(), max }),
    };
    let mut head = Vec::with_capacity(HEADER);
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&(kind as u16).to_le_bytes());
    head.extend_from_slice(&len.to_le_bytes());
    head.extend_from_slice(&seq.to_le_bytes());
    let crc = checksum(&head, payload);
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// A value whose encoding does not fit a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an encoding of {len} bytes does not fit a frame's {max}")]
pub struct TooLong {
    /// Bytes of the encoding.
    pub len: usize,
    /// Most that fit.
    pub max: usize,
}

/// The payload of a message: its postcard encoding.
#[must_use]
pub fn payload(message: &Message) -> Vec<u8> {
    postcard_vec(message)
}

/// The frame of one message.
///
/// # Errors
/// [`TooLong`] when the message's encoding exceeds [`MAX_PAYLOAD`].
pub fn encode(seq: u64, message: &Message) -> Result<Vec<u8>, TooLong> {
    let mut out = Vec::new();
    append(&mut out, seq, &payload(message))?;
    Ok(out)
}

/// The bytes of a program for fw_cfg: one frame, sequence number 0.
///
/// # Errors
/// [`TooLong`] when the program's encoding exceeds [`MAX_PROGRAM`].
pub fn encode_program(program: &Program) -> Result<Vec<u8>, TooLong> {
    let mut out = Vec::new();
    append_kind(&mut out, Kind::Program, MAX_PROGRAM, 0, &postcard_vec(program))?;
    Ok(out)
}

/// What stands in fw_cfg in a program's place where the agent shall say [`Message::Waiting`] and look until there is a
/// program: the machine is saved meanwhile, and each that is restored from it has one of its own. As long as the longest
/// program, since the guest's kernel remembers how long the item was when it booted (`fw_cfg_sysfs_read_raw`,
/// `drivers/firmware/qemu_fw_cfg.c`).
#[must_use]
pub fn waiting() -> Vec<u8> {
    let mut out = Vec::new();
    // An empty payload fits any frame.
    let _ = append_kind(&mut out, Kind::Waiting, 0, 0, &[]);
    out.resize(HEADER + MAX_PROGRAM, 0);
    out
}

/// Whether these are the first bytes of [`waiting`].
#[must_use]
pub fn is_waiting(head: &[u8; HEADER]) -> bool {
    Header::parse(head, Kind::Waiting, 0).is_ok_and(|header| verify(&header, head, &[]).is_ok())
}

/// Bytes of the program's frame that begins so, its header included.
///
/// # Errors
/// [`FrameError`] when no program begins so.
pub fn program_length(head: &[u8; HEADER]) -> Result<usize, FrameError> {
    let header = Header::parse(head, Kind::Program, MAX_PROGRAM);
    header.map(|header| HEADER + header.len).map_err(|reason| FrameError { offset: 0, reason })
}

/// Reads back what [`encode_program`] made.
///
/// # Errors
/// [`FrameError`] for the first thing that is wrong; bytes after the frame are wrong too.
pub fn decode_program(bytes: &[u8]) -> Result<Program, FrameError> {
    let fail = |offset, reason| FrameError { offset, reason };
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(fail(0, Reason::Truncated { have: bytes.len() }));
    };
    let header = Header::parse(head, Kind::Program, MAX_PROGRAM).map_err(|reason| fail(0, reason))?;
    let Some((payload, rest)) = rest.split_at_checked(header.len) else {
        return Err(fail(0, Reason::Truncated { have: bytes.len() }));
    };
    verify(&header, head, payload).map_err(|reason| fail(0, reason))?;
    if header.seq != 0 {
        return Err(fail(0, Reason::Gap { found: header.seq, expected: 0 }));
    }
    let program = from_postcard(payload).map_err(|reason| fail(0, reason))?;
    if rest.is_empty() { Ok(program) } else { Err(fail((HEADER + header.len) as u64, Reason::AfterEnd)) }
}

fn verify(header: &Header, head: &[u8; HEADER], payload: &[u8]) -> Result<(), Reason> {
    let found = checksum(&head[..HEADER - 4], payload);
    if found == header.crc { Ok(()) } else { Err(Reason::BadChecksum { stated: header.crc, found }) }
}

fn from_postcard<'de, T: serde::Deserialize<'de>>(payload: &'de [u8]) -> Result<T, Reason> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Reason::TrailingBytes { len: rest.len() }),
        Err(error) => Err(Reason::Undecodable { text: error.to_string() }),
    }
}

#[expect(
    clippy::expect_used,
    reason = "postcard into a Vec fails only for sequences of unknown length, which these types have not"
)]
fn postcard_vec<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("encodable")
}
