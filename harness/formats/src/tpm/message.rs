//! The header of every TPM command and answer.

/// Bytes of `TPM_ST tag, UINT32 size, TPM_CC or TPM_RC code` (TPM 2.0 Library Part 1, 18).
pub const HEADER: usize = 10;

/// Longest command and longest answer of libtpms, in bytes (`TPM_BUFFER_MAX`).
pub const LONGEST: usize = 4096;

/// `TPM_RC_COMMAND_SIZE` (TPM 2.0 Library Part 2, 6.6.3).
pub const RC_COMMAND_SIZE: u32 = 0x142;
/// `TPM_RC_CANCELED`.
pub const RC_CANCELED: u32 = 0x909;
/// `TPM_RC_FAILURE`.
pub const RC_FAILURE: u32 = 0x101;
/// `TPM_RC_SUCCESS`.
pub const RC_SUCCESS: u32 = 0;

/// An answer that is only a header: `TPM_ST_NO_SESSIONS`, its length, `code`.
pub fn bare_answer(code: u32) -> Vec<u8> {
    bare(code, &[])
}

/// A message without sessions: `TPM_ST_NO_SESSIONS`, its length, `code`, `body`.
pub fn bare(code: u32, body: &[u8]) -> Vec<u8> {
    message(0x8001, code, body)
}

/// A message with an authorization area in `body` (`TPM_ST_SESSIONS`).
pub fn with_sessions(code: u32, body: &[u8]) -> Vec<u8> {
    message(0x8002, code, body)
}

fn message(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let length = (HEADER + body.len()) as u32;
    [&tag.to_be_bytes()[..], &length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

/// Command or response code of a whole message.
pub fn code(message: &[u8]) -> Option<u32> {
    message.get(6..HEADER).map(|field| field.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
}
