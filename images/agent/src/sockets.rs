//! The sockets between PID 1 and its tasks: whole packets, in order, and whoever is too fast waits.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

/// Two ends, neither of which outlives an `execve`.
pub(crate) fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Sends one packet; waits while the other side has too many to take.
pub(crate) fn send_packet(socket: &OwnedFd, packet: &[u8]) -> nix::Result<()> {
    retry(|| send(socket.as_raw_fd(), packet, MsgFlags::MSG_NOSIGNAL)).map(drop)
}

/// Waits for a packet and returns its length; 0 when the other side has gone.
///
/// # Errors
/// `EMSGSIZE` for a packet that is longer than `buffer`.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<usize> {
    receive_with(socket, buffer, MsgFlags::empty())
}

/// Takes a packet that is there and returns its length; `None` when there is none (yet or any more).
///
/// # Errors
/// `EMSGSIZE` for a packet that is longer than `buffer`.
pub(crate) fn take(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<Option<usize>> {
    match receive_with(socket, buffer, MsgFlags::MSG_DONTWAIT) {
        Ok(0) | Err(Errno::EAGAIN) => Ok(None),
        Ok(len) => Ok(Some(len)),
        Err(errno) => Err(errno),
    }
}

fn receive_with(socket: &OwnedFd, buffer: &mut [u8], flags: MsgFlags) -> nix::Result<usize> {
    // With MSG_TRUNC the length is that of the packet, not of what fitted.
    let len = match retry(|| recv(socket.as_raw_fd(), buffer, flags | MsgFlags::MSG_TRUNC)) {
        // The other side ended with packets from here unread; on this side it has simply gone.
        Err(Errno::ECONNRESET) => 0,
        other => other?,
    };
    if len > buffer.len() { Err(Errno::EMSGSIZE) } else { Ok(len) }
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
