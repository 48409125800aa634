//! Who is at the other end of a connection to the tap's port.
//!
//! Any user of the host can connect to a port on the loopback address, and libtss2 3.2 reaches a swtpm by TCP alone
//! (`src/tss2-tcti/tcti-swtpm.c`). So the kernel is asked whose the other end is before a byte is read.
//!
//! The kernel's answer names the user and the inode of the socket that is connected to ours. A socket whose process has closed
//! it has no inode any more and no user that could be told (`inet_diag_msg_common_fill`, `net/ipv4/inet_diag.c`: user 0), so
//! that only one in established state with an inode counts.

mod diag;
mod table;

use std::fs;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;

use nix::unistd::Uid;

/// Who may use the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// This process alone, which is to say its own commands at marks.
    ThisProcess,
    /// Every process of the user that this one runs as.
    ThisUser,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Peer {
    /// The user that made the socket.
    uid: u32,
    /// The socket's inode, never 0.
    inode: u32,
}

/// `TCP_ESTABLISHED` (`include/net/tcp_states.h`).
const ESTABLISHED: u8 = 1;

impl Admit {
    /// Whether the peer of this connection is one of those. Whoever cannot be told is none of them.
    pub(super) fn admits(self, stream: &TcpStream) -> bool {
        let (Ok(SocketAddr::V4(ours)), Ok(SocketAddr::V4(theirs))) =
            (stream.local_addr(), stream.peer_addr())
        else {
            return false;
        };
        peer(theirs, ours).is_some_and(|peer| match self {
            Admit::ThisProcess => is_open_here(peer.inode),
            Admit::ThisUser => peer.uid == Uid::effective().as_raw(),
        })
    }
}

/// Asks for the one socket, which costs some microseconds; kernels without `CONFIG_INET_DIAG` have lists only.
fn peer(theirs: SocketAddrV4, ours: SocketAddrV4) -> Option<Peer> {
    diag::peer(theirs, ours).unwrap_or_else(|_| table::peer(theirs, ours))
}

/// Whether a descriptor of this process is the socket.
fn is_open_here(inode: u32) -> bool {
    let name = format!("socket:[{inode}]");
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else { return false };
    descriptors
        .flatten()
        .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|link| link == Path::new(&name)))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::fd::AsRawFd;

    use nix::sys::stat::fstat;
    use std::os::fd::AsFd;

    use super::*;

    type Ask = fn(SocketAddrV4, SocketAddrV4) -> Option<Peer>;

    const WAYS: [Ask; 2] = [|theirs, ours| diag::peer(theirs, ours).unwrap(), table::peer];

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        match address {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(address) => panic!("{address}"),
        }
    }

    fn connected(to: &str) -> (TcpStream, TcpStream, [SocketAddrV4; 2]) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let theirs = TcpStream::connect((to, port)).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let ends = [v4(ours.peer_addr().unwrap()), v4(ours.local_addr().unwrap())];
        (theirs, ours, ends)
    }

    #[test]
    fn the_other_end_is_found_either_way_whatever_its_family() {
        for to in ["127.0.0.1", "::ffff:127.0.0.1"] {
            let (theirs, _ours, ends) = connected(to);
            let inode = u32::try_from(fstat(theirs.as_fd()).unwrap().st_ino).unwrap();
            let expected = Peer { uid: Uid::effective().as_raw(), inode };
            for ask in WAYS {
                assert_eq!(ask(ends[0], ends[1]), Some(expected), "{to}");
            }
        }
    }

    #[test]
    fn an_end_that_is_closed_or_was_never_there_is_nobodys() {
        let (theirs, ours, ends) = connected("127.0.0.1");
        for ask in [peer, table::peer] {
            assert_eq!(ask(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1), ends[1]), None);
            // The listening socket of a port is no connection to it.
            assert_eq!(ask(ends[1], SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1)), None);
        }
        drop(theirs);
        // What comes in time or not at all is the end of the stream.
        let mut one = [0];
        assert_eq!(std::io::Read::read(&mut &ours, &mut one).unwrap(), 0);
        for ask in WAYS {
            assert_eq!(ask(ends[0], ends[1]), None);
        }
        assert!(!Admit::ThisUser.admits(&ours) && !Admit::ThisProcess.admits(&ours));
    }

    #[test]
    fn a_descriptor_of_ours_is_told_from_others() {
        let (theirs, ours, _) = connected("127.0.0.1");
        assert!(Admit::ThisProcess.admits(&ours) && Admit::ThisUser.admits(&ours));
        assert!(theirs.as_raw_fd() >= 0 && !is_open_here(u32::MAX));
    }
}
