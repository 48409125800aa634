//! Moves what a descriptor holds by other calls than read and write: mappings, pipes; and asks whether it could.

use std::os::fd::AsFd;

use imalab_wire::Slot;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll as poll_files};
use nix::unistd::{pipe2, read, write};

use super::file::{buffer, size, value};
use super::{Failure, Report};
use crate::raw;
use crate::slots::Slots;
use crate::uplink::Uplink;

pub(super) fn map(slots: &Slots, slot: Slot, bytes: u32, write: bool) -> Result<i64, Failure> {
    let protection = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
    raw::map_and_unmap(&*slots.get(slot)?, size(bytes), protection, libc::MAP_SHARED)?;
    Ok(0)
}

pub(super) fn splice_out<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    bytes: u32,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let file = slots.get(slot)?;
    let (out, into) = pipe2(OFlag::O_CLOEXEC)?;
    let moved = raw::splice(&*file, &into, size(bytes))?;
    let mut buffer = buffer(moved)?;
    let mut rest = &mut buffer[..];
    while !rest.is_empty() {
        let len = read(&out, rest)?;
        rest = &mut rest[len..];
    }
    report.data(&buffer)?;
    Ok(value(moved))
}

/// # Errors
/// `EINVAL` also for more bytes than a pipe holds.
pub(super) fn splice_in(slots: &Slots, slot: Slot, bytes: &[u8]) -> Result<i64, Failure> {
    let file = slots.get(slot)?;
    let (out, into) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    if !bytes.is_empty() && write(&into, bytes)? != bytes.len() {
        return Err(Errno::EINVAL.into());
    }
    Ok(value(raw::splice(&out, &*file, bytes.len())?))
}

pub(super) fn poll(slots: &Slots, slot: Slot, events: i16) -> Result<i64, Failure> {
    let file = slots.get(slot)?;
    let mut asked = [PollFd::new(file.as_fd(), PollFlags::from_bits_retain(events))];
    poll_files(&mut asked, PollTimeout::ZERO)?;
    // `None` for a bit that the wrapper does not know, which the kernel gives only when it was asked for.
    asked[0].revents().map_or(Err(Errno::EPROTO.into()), |found| Ok(found.bits().into()))
}
