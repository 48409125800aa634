//! The sockets between PID 1 and its tasks: whole packets, in order, and whoever is too fast waits.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};

use crate::raw;

/// Two ends, neither of which outlives an `execve`.
pub(crate) fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Sends one packet; waits while the other side has too many to take.
pub(crate) fn send_packet(socket: &OwnedFd, packet: &[u8]) -> nix::Result<()> {
    send_with(socket, packet, None)
}

/// Sends one packet and, with it, a copy of a descriptor.
pub(crate) fn send_with(
    socket: &OwnedFd,
    packet: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> nix::Result<()> {
    let number = descriptor.map(|descriptor| [descriptor.as_raw_fd()]);
    let rights = number.as_ref().map(|number| ControlMessage::ScmRights(number));
    let flags = MsgFlags::MSG_NOSIGNAL;
    retry(|| sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(packet)], rights.as_slice(), flags, None))
        .map(drop)
}

/// What came out of a socket.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A packet of so many bytes.
    Packet {
        /// Bytes.
        len: usize,
        /// What was sent with it.
        descriptor: Option<OwnedFd>,
        /// Something was sent with it that this process may not have (`RLIMIT_NOFILE`).
        cut: bool,
    },
    /// There is none now.
    Nothing,
    /// There will be none: the other side has gone.
    Gone,
}

/// Waits for a packet.
///
/// # Errors
/// `EMSGSIZE` for a packet that is longer than `buffer`.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<Taken> {
    receive_with(socket, buffer, MsgFlags::empty())
}

/// Takes a packet that is there.
///
/// # Errors
/// `EMSGSIZE` for a packet that is longer than `buffer`.
pub(crate) fn take(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<Taken> {
    receive_with(socket, buffer, MsgFlags::MSG_DONTWAIT)
}

fn receive_with(socket: &OwnedFd, buffer: &mut [u8], flags: MsgFlags) -> nix::Result<Taken> {
    let mut control = cmsg_space!([std::os::fd::RawFd; 1]);
    let size = buffer.len();
    let mut place = [IoSliceMut::new(buffer)];
    // With MSG_TRUNC the length is that of the packet, not of what fitted.
    let flags = flags | MsgFlags::MSG_TRUNC | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut place, Some(&mut control), flags) {
            Err(Errno::EINTR) => {}
            // The other side ended with packets from here unread; on this side it has simply gone.
            Err(Errno::ECONNRESET) => return Ok(Taken::Gone),
            Err(Errno::EAGAIN) => return Ok(Taken::Nothing),
            Err(errno) => return Err(errno),
            Ok(message) => break message,
        }
    };
    let mut descriptor = None;
    let cut = message.flags.contains(MsgFlags::MSG_CTRUNC);
    if !cut {
        for message in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = message {
                descriptor = numbers.into_iter().map(raw::own).next();
            }
        }
    }
    // Nobody sends an empty packet.
    match message.bytes {
        0 => Ok(Taken::Gone),
        len if len > size => Err(Errno::EMSGSIZE),
        len => Ok(Taken::Packet { len, descriptor, cut }),
    }
}

/// Calls again what a signal interrupted.
pub(crate) fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}
