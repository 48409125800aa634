//! Looks a connection up in the kernel's tables of all sockets (`/proc/net/tcp`, `get_tcp4_sock`, `net/ipv4/tcp_ipv4.c`).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddrV4;

use super::{ESTABLISHED, Peer};

/// Bytes of a table that are looked at: some 400,000 sockets. One that stands behind them is not found.
const MOST: u64 = 64 * 1024 * 1024;

/// The established socket at `theirs` that is connected to `ours`, if there is one.
pub(super) fn peer(theirs: SocketAddrV4, ours: SocketAddrV4) -> Option<Peer> {
    let four = |address: SocketAddrV4| {
        format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
    };
    // A socket of the newer family may be connected to an address of the older one.
    // Its words are printed one by one: zeros, and 0xffff in the order of the network.
    let six = |address: SocketAddrV4| {
        format!("{:016X}{:08X}{}", 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]), four(address))
    };
    find("/proc/net/tcp", &four(theirs), &four(ours))
        .or_else(|| find("/proc/net/tcp6", &six(theirs), &six(ours)))
}

fn find(table: &str, theirs: &str, ours: &str) -> Option<Peer> {
    let table = File::open(table).ok()?;
    let lines = BufReader::new(table.take(MOST)).lines().map_while(Result::ok);
    lines.skip(1).find_map(|line| read(&line, theirs, ours))
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`
fn read(line: &str, theirs: &str, ours: &str) -> Option<Peer> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if (fields.next()?, fields.next()?) != (theirs, ours) {
        return None;
    }
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let mut rest = fields.skip(3);
    let uid = rest.next()?.parse().ok()?;
    let inode = rest.nth(1)?.parse().ok()?;
    (state == ESTABLISHED && inode != 0).then_some(Peer { uid, inode })
}
