//! One TPM command or answer on a stream: a 10-byte header that carries the length, and the rest.
//!
//! Nobody may have two commands under way, so that whatever can be read belongs to the one command, and a length
//! that says otherwise is a lie that must not reach swtpm: it reads by the length alone and would take what is
//! left for the next command (`src/swtpm/swtpm_io.c`).

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(super) use imalab_formats::tpm::message::{
    HEADER, LONGEST, RC_CANCELED, RC_COMMAND_SIZE, RC_FAILURE, RC_SUCCESS, bare, bare_answer, code,
    with_sessions,
};

/// How long the rest of a message may be behind its beginning. A whole command is written at once; swtpm allows
/// the same for a message on its control channel.
pub(super) const REST: Duration = Duration::from_millis(500);

/// A stream whose reads can be given a limit.
pub(super) trait Channel: Read + Write {
    fn limit_reads(&self, limit: Option<Duration>) -> io::Result<()>;
    fn block(&self, block: bool) -> io::Result<()>;
}

impl Channel for UnixStream {
    fn limit_reads(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)
    }

    fn block(&self, block: bool) -> io::Result<()> {
        self.set_nonblocking(!block)
    }
}

impl Channel for TcpStream {
    fn limit_reads(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)
    }

    fn block(&self, block: bool) -> io::Result<()> {
        self.set_nonblocking(!block)
    }
}

/// What a sender sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A message of the length that its header gives.
    Whole(Vec<u8>),
    /// Bytes that are no message.
    Bad(Vec<u8>, BadFrame),
    /// The sender closed the stream between two messages.
    Closed,
}

/// How bytes fail to be one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Not even a header arrived.
    #[error("{got} bytes where a header of {HEADER} was expected")]
    NoHeader {
        /// Bytes that arrived.
        got: usize,
    },
    /// The header gives a length that no message can have.
    #[error("header gives a length of {claimed} bytes, expected {HEADER} to {LONGEST}")]
    Length {
        /// The length in the header.
        claimed: u32,
    },
    /// Fewer bytes than the header gives.
    #[error("header gives a length of {claimed} bytes, {got} arrived")]
    Short {
        /// The length in the header.
        claimed: u32,
        /// Bytes that arrived.
        got: usize,
    },
    /// More bytes than the header gives.
    #[error("header gives a length of {claimed} bytes, {got} arrived at once")]
    Long {
        /// The length in the header.
        claimed: u32,
        /// Bytes that arrived.
        got: usize,
    },
}

/// Reads one message; blocks without limit until it begins, and then `rest` at most for each further part.
pub(super) fn receive(stream: &mut impl Channel, rest: Option<Duration>) -> io::Result<Received> {
    let mut buffer = vec![0; LONGEST + 1];
    let mut got = read(stream, &mut buffer)?;
    if got == 0 {
        return Ok(Received::Closed);
    }
    let mut limited = false;
    let verdict = loop {
        let claimed = claimed(&buffer[..got]);
        match claimed {
            Some(length) if !(HEADER..=LONGEST).contains(&(length as usize)) => {
                break Some(BadFrame::Length { claimed: length });
            }
            Some(length) if got > length as usize => break Some(BadFrame::Long { claimed: length, got }),
            Some(length) if got == length as usize => break None,
            Some(_) | None => {}
        }
        if !limited && rest.is_some() {
            stream.limit_reads(rest)?;
            limited = true;
        }
        match read(stream, &mut buffer[got..]) {
            Ok(0) => break Some(cut(claimed, got)),
            Ok(more) => got += more,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break Some(cut(claimed, got));
            }
            Err(error) => return Err(error),
        }
    };
    if limited {
        stream.limit_reads(None)?;
    }
    if verdict.is_some() && got == buffer.len() {
        drain(stream)?;
    }
    buffer.truncate(got);
    Ok(match verdict {
        None => Received::Whole(buffer),
        Some(bad) => Received::Bad(buffer, bad),
    })
}

/// Drops what is left of a message that was too long, as far as it has arrived.
fn drain(stream: &mut impl Channel) -> io::Result<()> {
    let mut buffer = [0; LONGEST];
    stream.block(false)?;
    let result = loop {
        match read(stream, &mut buffer) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    stream.block(true)?;
    result
}

fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The length field, once it has arrived.
fn claimed(bytes: &[u8]) -> Option<u32> {
    bytes.get(2..6).map(|field| field.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
}

fn cut(claimed: Option<u32>, got: usize) -> BadFrame {
    match claimed {
        Some(claimed) => BadFrame::Short { claimed, got },
        None => BadFrame::NoHeader { got },
    }
}
