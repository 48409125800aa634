//! Asks the kernel for one socket by its addresses (sock_diag(7), `include/uapi/linux/inet_diag.h`).

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::{ESTABLISHED, Peer};

/// `SOCK_DIAG_BY_FAMILY` (`include/uapi/linux/sock_diag.h`).
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`, `NLMSG_ERROR` (`include/uapi/linux/netlink.h`).
const REQUEST: u16 = 1;
const ERROR: u16 = 2;
/// Bytes of a `struct nlmsghdr`.
const HEADER: usize = 16;
/// `AF_INET`, `IPPROTO_TCP`.
const INET: u8 = 2;
const TCP: u8 = 6;
/// Places of fields in a `struct inet_diag_msg`: 4 bytes, a `struct inet_diag_sockid` of 48, three numbers.
const STATE: usize = 1;
const UID: usize = 64;
const INODE: usize = 68;

/// The kernel answers at once; this is for one that does not.
const PATIENCE: i64 = 5;

/// The established socket at `theirs` that is connected to `ours`, if there is one.
///
/// # Errors
/// When the kernel cannot be asked so.
pub(super) fn peer(theirs: SocketAddrV4, ours: SocketAddrV4) -> io::Result<Option<Peer>> {
    match ask(theirs, ours)? {
        Answer::Found(peer) => Ok(peer),
        // No such socket, or nobody who knows of TCP's: our own end is there.
        Answer::None => match ask(ours, theirs)? {
            Answer::Found(_) => Ok(None),
            Answer::None => Err(io::ErrorKind::Unsupported.into()),
        },
    }
}

enum Answer {
    /// A socket, whose peer counts when it is alive.
    Found(Option<Peer>),
    None,
}

/// Asks for the socket at `theirs` that is connected to `ours`.
fn ask(theirs: SocketAddrV4, ours: SocketAddrV4) -> io::Result<Answer> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE, 0))?;
    send(socket.as_raw_fd(), &request(theirs, ours), MsgFlags::empty())?;
    let mut answer = [0; 4096];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    read(&answer[..length])
}

fn request(theirs: SocketAddrV4, ours: SocketAddrV4) -> Vec<u8> {
    let mut body = vec![INET, TCP, 0, 0];
    body.extend(u32::MAX.to_ne_bytes()); // states: all
    body.extend(theirs.port().to_be_bytes());
    body.extend(ours.port().to_be_bytes());
    for address in [theirs.ip(), ours.ip()] {
        body.extend(address.octets());
        body.extend([0; 12]);
    }
    body.extend([0; 4]); // any interface
    body.extend([0xff; 8]); // INET_DIAG_NOCOOKIE
    let length = (HEADER + body.len()) as u32;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    request.extend(body);
    request
}

fn read(answer: &[u8]) -> io::Result<Answer> {
    let number =
        |at: usize| answer.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_ne_bytes);
    let kind = answer.get(4..6).and_then(|field| field.try_into().ok()).map(u16::from_ne_bytes);
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    match kind {
        Some(ERROR) => {
            match Errno::from_raw(number(HEADER).ok_or_else(malformed)?.cast_signed().wrapping_neg()) {
                Errno::ENOENT => Ok(Answer::None),
                errno => Err(errno.into()),
            }
        }
        Some(BY_FAMILY) => {
            let state = answer.get(HEADER + STATE).copied();
            let (Some(uid), Some(inode)) = (number(HEADER + UID), number(HEADER + INODE)) else {
                return Err(malformed());
            };
            let alive = state == Some(ESTABLISHED) && inode != 0;
            Ok(Answer::Found(alive.then_some(Peer { uid, inode })))
        }
        _ => Err(malformed()),
    }
}
