//! Reads TPM commands and answers as the trace holds them.
//!
//! Structures are those of TPM 2.0 Library Part 3, command by command; only what changes or reads a PCR is taken
//! apart, everything else is known by its code.

mod names;

pub use names::name;

use imalab_wire::MARK_COMMAND;

use super::message;
use super::unmarshal::{Malformed, Reader};

/// `TPM_CC_PCR_Event`.
pub const PCR_EVENT: u32 = 0x13c;
/// `TPM_CC_PCR_Reset`.
pub const PCR_RESET: u32 = 0x13d;
/// `TPM_CC_Startup`.
pub const STARTUP: u32 = 0x144;
/// `TPM_CC_Shutdown`.
pub const SHUTDOWN: u32 = 0x145;
/// `TPM_CC_PCR_Read`.
pub const PCR_READ: u32 = 0x17e;
/// `TPM_CC_PCR_Extend`.
pub const PCR_EXTEND: u32 = 0x182;
/// `TPM_CC_EventSequenceComplete`.
pub const EVENT_SEQUENCE_COMPLETE: u32 = 0x185;

/// `TPM_RH_NULL` (TPM 2.0 Library Part 2, 7.4): no PCR.
const RH_NULL: u32 = 0x4000_0007;

const ST_NO_SESSIONS: u16 = 0x8001;
const ST_SESSIONS: u16 = 0x8002;

/// One TPM command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `TPM2_PCR_Extend`.
    PcrExtend {
        /// PCR index.
        pcr: u32,
        /// `TPM_ALG_ID` and digest, in the order of the command.
        digests: Vec<(u16, Vec<u8>)>,
    },
    /// `TPM2_PCR_Event`: the TPM hashes the data itself and extends every bank.
    PcrEvent {
        /// PCR index, or `TPM_RH_NULL`.
        pcr: u32,
        /// What is hashed.
        data: Vec<u8>,
    },
    /// `TPM2_EventSequenceComplete`: extends every bank with the digest of a sequence.
    EventSequenceComplete {
        /// PCR index, or `TPM_RH_NULL`.
        pcr: u32,
    },
    /// `TPM2_PCR_Reset`.
    PcrReset {
        /// PCR index.
        pcr: u32,
    },
    /// `TPM2_PCR_Read`.
    PcrRead {
        /// `TPM_ALG_ID` and bit map of each bank asked for.
        selections: Vec<(u16, Vec<u8>)>,
    },
    /// `TPM2_Startup`.
    Startup {
        /// `TPM_SU`: 0 clear, 1 state.
        kind: u16,
    },
    /// `TPM2_Shutdown`.
    Shutdown {
        /// `TPM_SU`: 0 clear, 1 state.
        kind: u16,
    },
    /// The agent's mark; no TPM command ([`MARK_COMMAND`]).
    Mark {
        /// Its number.
        number: u64,
    },
    /// Any other command; [`name`] may know it.
    Other {
        /// `TPM_CC`.
        code: u32,
    },
}

/// Why bytes are not a command, or not an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The header is wrong.
    #[error("header: {0}")]
    Header(Malformed),
    /// The length in the header is not the number of bytes.
    #[error("header gives a length of {claimed} bytes, there are {found}")]
    Length {
        /// The length in the header.
        claimed: u32,
        /// Bytes that are there.
        found: usize,
    },
    /// The rest of the command is wrong.
    #[error("{}: {source}", names::label(*code))]
    Body {
        /// `TPM_CC`.
        code: u32,
        /// Why.
        source: Malformed,
    },
    /// A digest of a hash whose size is not known: what follows cannot be found.
    #[error("TPM2_PCR_Extend: unknown hash {alg:#06x} at byte {at}")]
    UnknownHash {
        /// `TPM_ALG_ID`.
        alg: u16,
        /// Its offset in bytes.
        at: usize,
    },
}

/// Reads a whole command, from the first byte of its header to its last.
pub fn parse(bytes: &[u8]) -> Result<Command, CommandError> {
    let (tag, code, mut reader) = header(bytes)?;
    if !matches!(tag, ST_NO_SESSIONS | ST_SESSIONS) {
        let expected = "TPM_ST_NO_SESSIONS or TPM_ST_SESSIONS";
        return Err(CommandError::Header(Malformed::Value {
            field: "tag",
            at: 0,
            expected,
            found: tag.into(),
        }));
    }
    match code {
        PCR_EXTEND => return extend(tag, reader),
        _ => body(tag, code, &mut reader),
    }
    .and_then(|command| match command {
        Command::Other { .. } => Ok(command),
        _ => reader.finish().map(|()| command),
    })
    .map_err(|source| CommandError::Body { code, source })
}

/// Response code of a whole answer (TPM 2.0 Library Part 2, 6.6).
pub fn response_code(answer: &[u8]) -> Result<u32, CommandError> {
    header(answer).map(|(_, code, _)| code)
}

/// The command code of a whole command, whatever else is wrong with it.
pub fn command_code(bytes: &[u8]) -> Option<u32> {
    message::code(bytes)
}

/// Of a whole command that changes a PCR when it succeeds: its name, and the PCR.
pub fn changes_pcr(bytes: &[u8]) -> Option<String> {
    let code = command_code(bytes)?;
    let pcr = match parse(bytes) {
        Ok(Command::PcrExtend { pcr, .. } | Command::PcrEvent { pcr, .. } | Command::PcrReset { pcr }) => {
            Some(pcr)
        }
        Ok(Command::EventSequenceComplete { pcr }) => Some(pcr),
        // What cannot be read may have been taken all the same.
        Err(_) if matches!(code, PCR_EXTEND | PCR_EVENT | PCR_RESET | EVENT_SEQUENCE_COMPLETE) => None,
        _ => return None,
    };
    let label = names::label(code);
    match pcr {
        Some(RH_NULL) => None,
        Some(pcr) => Some(format!("{label} of PCR {pcr}")),
        None => Some(label),
    }
}

fn header(bytes: &[u8]) -> Result<(u16, u32, Reader<'_>), CommandError> {
    let mut reader = Reader::new(bytes);
    let mut read = || Ok((reader.u16("tag")?, reader.u32("size")?, reader.u32("code")?));
    let (tag, claimed, code) = read().map_err(CommandError::Header)?;
    if claimed as usize != bytes.len() {
        return Err(CommandError::Length { claimed, found: bytes.len() });
    }
    Ok((tag, code, reader))
}

fn body(tag: u16, code: u32, reader: &mut Reader<'_>) -> Result<Command, Malformed> {
    Ok(match code {
        PCR_EVENT => {
            let pcr = reader.u32("pcrHandle")?;
            authorizations(tag, reader)?;
            Command::PcrEvent { pcr, data: reader.sized("eventData")?.to_vec() }
        }
        EVENT_SEQUENCE_COMPLETE => {
            let pcr = reader.u32("pcrHandle")?;
            reader.u32("sequenceHandle")?;
            authorizations(tag, reader)?;
            reader.sized("buffer")?;
            Command::EventSequenceComplete { pcr }
        }
        PCR_RESET => {
            let pcr = reader.u32("pcrHandle")?;
            authorizations(tag, reader)?;
            Command::PcrReset { pcr }
        }
        PCR_READ => {
            if tag == ST_SESSIONS {
                authorizations(tag, reader)?;
            }
            Command::PcrRead { selections: reader.pcr_selections()? }
        }
        STARTUP | SHUTDOWN => {
            if tag == ST_SESSIONS {
                authorizations(tag, reader)?;
            }
            let kind = reader.u16("startupType")?;
            if code == STARTUP { Command::Startup { kind } } else { Command::Shutdown { kind } }
        }
        MARK_COMMAND => {
            if tag != ST_NO_SESSIONS {
                let expected = "TPM_ST_NO_SESSIONS";
                return Err(Malformed::Value { field: "tag", at: 0, expected, found: tag.into() });
            }
            Command::Mark { number: reader.u64("mark")? }
        }
        code => Command::Other { code },
    })
}

fn extend(tag: u16, mut reader: Reader<'_>) -> Result<Command, CommandError> {
    let body = |source| CommandError::Body { code: PCR_EXTEND, source };
    let pcr = reader.u32("pcrHandle").map_err(body)?;
    authorizations(tag, &mut reader).map_err(body)?;
    let count = reader.u32("digest count").map_err(body)?;
    let mut digests = Vec::new();
    for _ in 0..count {
        let at = reader.at();
        let alg = reader.u16("hashAlg").map_err(body)?;
        let size = digest_size(alg).ok_or(CommandError::UnknownHash { alg, at })?;
        digests.push((alg, reader.take("digest", size).map_err(body)?.to_vec()));
    }
    reader.finish().map_err(body)?;
    Ok(Command::PcrExtend { pcr, digests })
}

/// Skips an authorization area: its size, then sessions of handle, nonce, attributes, HMAC or password (Part 1,
/// 18.6).
fn authorizations(tag: u16, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    if tag != ST_SESSIONS {
        let expected = "TPM_ST_SESSIONS";
        return Err(Malformed::Value { field: "tag", at: 0, expected, found: tag.into() });
    }
    let at = reader.at();
    let size = reader.u32("authorizationSize")?;
    let end = reader.at().saturating_add(size as usize);
    loop {
        reader.u32("session handle")?;
        reader.sized("session nonce")?;
        reader.u8("session attributes")?;
        reader.sized("session HMAC")?;
        if reader.at() == end {
            return Ok(());
        }
        if reader.at() > end {
            let expected = "the length of the sessions";
            return Err(Malformed::Value { field: "authorizationSize", at, expected, found: size.into() });
        }
    }
}

/// Digest size in bytes of a `TPM_ALG_ID` (Part 2, 6.3 and 10.3).
fn digest_size(alg: u16) -> Option<usize> {
    Some(match alg {
        0x0004 => 20,
        0x000b | 0x0012 | 0x0027 => 32,
        0x000c | 0x0028 => 48,
        0x000d | 0x0029 => 64,
        _ => return None,
    })
}
