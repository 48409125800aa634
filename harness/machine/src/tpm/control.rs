//! swtpm's control channel: a big-endian command and its payload one way, a result and its payload back.
//!
//! Codes and structures are those of `include/swtpm/tpm_ioctl.h`, how much of them is on the wire those of
//! `src/swtpm/ctrlchannel.c` (0.7 to 0.10). Answers have no header, so who asks has to know what comes.

use std::io::{self, ErrorKind, IoSliceMut, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::frame::REST;
use crate::send::send;

pub(super) const GET_CAPABILITY: u32 = 0x01;
pub(super) const INIT: u32 = 0x02;
pub(super) const SHUTDOWN: u32 = 0x03;
pub(super) const GET_TPMESTABLISHED: u32 = 0x04;
pub(super) const SET_LOCALITY: u32 = 0x05;
pub(super) const HASH_DATA: u32 = 0x07;
pub(super) const CANCEL_TPM_CMD: u32 = 0x09;
pub(super) const RESET_TPMESTABLISHED: u32 = 0x0b;
pub(super) const GET_STATEBLOB: u32 = 0x0c;
pub(super) const SET_STATEBLOB: u32 = 0x0d;
pub(super) const STOP: u32 = 0x0e;
pub(super) const GET_CONFIG: u32 = 0x0f;
pub(super) const SET_DATAFD: u32 = 0x10;
pub(super) const SET_BUFFERSIZE: u32 = 0x11;
pub(super) const GET_INFO: u32 = 0x12;
pub(super) const LOCK_STORAGE: u32 = 0x13;

/// Results, from `libtpms/tpm_error.h` (TPM 1.2 numbers, which swtpm uses for TPM 2 as well).
pub(super) const SUCCESS: u32 = 0;
pub(super) const BAD_PARAMETER: u32 = 0x03;
pub(super) const BAD_ORDINAL: u32 = 0x0a;
pub(super) const IOERROR: u32 = 0x1f;
pub(super) const BAD_LOCALITY: u32 = 0x3d;

/// Longest request or answer that is let through, in bytes. swtpm itself takes state blobs up to 512 KiB.
const LONGEST: usize = 1 << 20;

/// A request as it arrived.
#[derive(Debug)]
pub(super) struct Request {
    /// Command, payload, and whatever padding the sender added (QEMU sends whole unions).
    pub(super) bytes: Vec<u8>,
    /// A descriptor that came with it.
    pub(super) fd: Option<OwnedFd>,
}

impl Request {
    pub(super) fn code(&self) -> u32 {
        be32(&self.bytes, 0)
    }
}

/// Why the channel cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The peer closed it in the middle of a message, or swtpm did before it answered.
    #[error("control channel closed")]
    Closed,
    /// The rest of a request did not come.
    #[error("control request {code:#x}: {got} bytes arrived, {needed} were expected")]
    Cut {
        /// Its command.
        code: u32,
        /// Bytes that arrived.
        got: usize,
        /// Bytes that it needs.
        needed: usize,
    },
    /// A request or an answer is longer than anything that swtpm takes.
    #[error("control message of {length} bytes, at most {LONGEST} are let through")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// An answer has more bytes than there are in an answer to this command.
    #[error("answer to control request {code:#x}: expected {expected} bytes, got {got}")]
    Excess {
        /// The command.
        code: u32,
        /// Bytes of its answer.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// swtpm refused a command of ours.
    #[error("swtpm refused control request {code:#x} with result {result:#x}")]
    Refused {
        /// The command.
        code: u32,
        /// swtpm's result.
        result: u32,
    },
    /// swtpm did not answer in the time it was given.
    #[error("swtpm does not answer control request {code:#x}")]
    Silent {
        /// The command.
        code: u32,
    },
    /// The socket failed.
    #[error("control channel: {0}")]
    Io(#[from] io::Error),
}

/// Reads one request with the descriptor that may come with it; `None` when the peer has closed the channel.
pub(super) fn receive_request(stream: &UnixStream) -> Result<Option<Request>, ControlError> {
    let mut bytes = vec![0; 8192];
    let (mut got, fd) = receive_with_fd(stream, &mut bytes)?;
    if got == 0 {
        return Ok(None);
    }
    let mut limited = false;
    let result = loop {
        let needed = request_length(&bytes[..got]);
        if needed > LONGEST {
            break Err(ControlError::TooLong { length: needed });
        }
        if got >= needed {
            break Ok(());
        }
        if !limited {
            stream.set_read_timeout(Some(REST))?;
            limited = true;
        }
        bytes.resize(bytes.len().max(needed), 0);
        match (&*stream).read(&mut bytes[got..]) {
            Ok(0) => break Err(ControlError::Closed),
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let code = if got >= 4 { be32(&bytes, 0) } else { 0 };
                break Err(ControlError::Cut { code, got, needed });
            }
            Err(error) => break Err(error.into()),
        }
    };
    if limited {
        stream.set_read_timeout(None)?;
    }
    bytes.truncate(got);
    result.map(|()| Some(Request { bytes, fd }))
}

/// Sends `request`, with a descriptor if there is one, and reads the answer.
pub(super) fn ask(stream: &UnixStream, request: &[u8], fd: Option<RawFd>) -> Result<Vec<u8>, ControlError> {
    send(stream, request, fd)?;
    let code = be32(request, 0);
    let mut answer = vec![0; 8192];
    let mut got = 0;
    loop {
        if got == answer.len() {
            answer.resize(got * 2, 0);
        }
        match (&*stream).read(&mut answer[got..]) {
            Ok(0) => return Err(ControlError::Closed),
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ControlError::Silent { code }),
            Err(error) => return Err(error.into()),
        }
        // An error is often the result alone, shorter than a success; swtpm writes it at once.
        if got >= 4 && be32(&answer, 0) != SUCCESS {
            break;
        }
        let expected = answer_length(code, &answer[..got]);
        if expected > LONGEST {
            return Err(ControlError::TooLong { length: expected });
        }
        if got > expected {
            return Err(ControlError::Excess { code, expected, got });
        }
        if got == expected {
            break;
        }
    }
    answer.truncate(got);
    Ok(answer)
}

/// Sends a request of our own and expects success.
pub(super) fn command(
    stream: &UnixStream,
    code: u32,
    payload: &[u8],
    fd: Option<RawFd>,
) -> Result<(), ControlError> {
    let answer = ask(stream, &[&code.to_be_bytes()[..], payload].concat(), fd)?;
    match be32(&answer, 0) {
        SUCCESS => Ok(()),
        result => Err(ControlError::Refused { code, result }),
    }
}

/// Bytes of a whole request, as far as `begun` tells.
fn request_length(begun: &[u8]) -> usize {
    if begun.len() < 4 {
        return 4;
    }
    let payload = match be32(begun, 0) {
        INIT | SET_BUFFERSIZE | LOCK_STORAGE => 4,
        SET_LOCALITY | RESET_TPMESTABLISHED => 1,
        GET_STATEBLOB => 12,
        HASH_DATA if begun.len() >= 8 => 4 + be32(begun, 4) as usize,
        HASH_DATA => 4,
        SET_STATEBLOB if begun.len() >= 16 => 12 + be32(begun, 12) as usize,
        SET_STATEBLOB => 12,
        GET_INFO => 16,
        _ => 0,
    };
    4 + payload
}

/// Bytes of a whole successful answer to `code`, as far as `begun` tells.
fn answer_length(code: u32, begun: &[u8]) -> usize {
    match code {
        GET_CAPABILITY | GET_TPMESTABLISHED | GET_CONFIG => 8,
        SET_BUFFERSIZE => 16,
        GET_STATEBLOB if begun.len() >= 16 => 16 + be32(begun, 12) as usize,
        GET_STATEBLOB => 16,
        GET_INFO if begun.len() >= 12 => 12 + be32(begun, 8) as usize,
        GET_INFO => 12,
        _ => 4,
    }
}

pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

/// One `recvmsg`; descriptors beyond the first are closed.
fn receive_with_fd(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; 4]);
    let mut parts = [IoSliceMut::new(buffer)];
    loop {
        let message =
            match recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
            {
                Ok(message) => message,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
        let mut received = Vec::new();
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = part {
                received.extend(fds.into_iter().map(received_fd::own));
            }
        }
        return Ok((message.bytes, received.into_iter().next()));
    }
}

#[expect(unsafe_code, reason = "nix hands over received descriptors as plain numbers")]
mod received_fd {
    use std::os::fd::{FromRawFd, OwnedFd, RawFd};

    /// Owns a descriptor that `recvmsg` has just put into this process.
    pub(super) fn own(fd: RawFd) -> OwnedFd {
        // SAFETY: the kernel made this number for this very message (unix(7), SCM_RIGHTS); nobody else has it.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }
}
