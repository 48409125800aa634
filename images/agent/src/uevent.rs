//! The kernel's own announcements of devices.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use crate::sockets::retry;

/// Largest announcement, `UEVENT_BUFFER_SIZE` and the header before it (`include/linux/kobject.h`), rounded up.
const ANNOUNCEMENT: usize = 4096;

/// A socket that hears what happens to devices from its creation on.
#[derive(Debug)]
pub(crate) struct Uevents(OwnedFd);

impl Uevents {
    pub(crate) fn listen() -> nix::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // Group 1 are the kernel's own (`lib/kobject_uevent.c`).
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 1))?;
        Ok(Self(socket))
    }

    /// Waits until something happened to some device; `false` when nothing did in time.
    pub(crate) fn wait(&self, timeout: PollTimeout) -> nix::Result<bool> {
        let ready = retry(|| poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout))?;
        if ready == 0 {
            return Ok(false);
        }
        let mut buffer = [0; ANNOUNCEMENT];
        match retry(|| recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)) {
            // ENOBUFS: some were lost, so something did happen.
            Ok(_) | Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(true),
            Err(errno) => Err(errno),
        }
    }
}
