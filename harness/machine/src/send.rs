//! Bytes and a descriptor through a socket.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Sends all of `bytes`, the descriptor with the first of them (`SCM_RIGHTS`, unix(7)).
pub(crate) fn send(stream: &UnixStream, bytes: &[u8], fd: Option<RawFd>) -> io::Result<()> {
    let fds: Vec<RawFd> = fd.into_iter().collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let mut sent = 0;
    while sent < bytes.len() {
        let with = if sent == 0 && !fds.is_empty() { &rights[..] } else { &[] };
        match sendmsg::<()>(
            stream.as_raw_fd(),
            &[IoSlice::new(&bytes[sent..])],
            with,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Ok(more) => sent += more,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
