//! Frames: a header with version, sequence number, length and checksum before each message.

/// Largest payload of a frame, in bytes; a longer one is refused before it is read.
pub const MAX_PAYLOAD: usize = 48 * 1024;
