//! System calls on named descriptors: opening, reading, writing, closing.

use std::hint::black_box;

use imalab_wire::Slot;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open as open_file};
use nix::sys::stat::Mode;
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{Whence, ftruncate, lseek, read as read_file, write as write_file};

use super::{Failure, Report};
use crate::raw;
use crate::slots::Slots;
use crate::uplink::Uplink;

/// Bytes read and not sent after which a reading operation says that it goes on.
const QUIET: u64 = 4 * 1024 * 1024;

/// Says that the program is wrong when a slot that is to be filled is not free.
pub(super) fn need_free<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    report: &mut Report<'_, U>,
) -> Result<(), Failure> {
    if !slots.is_open(slot) {
        return Ok(());
    }
    // No kernel file answers EBADFD; the fault voids the run anyway.
    report.fault(&format!("slot {slot} is open already"))?;
    Err(Errno::EBADFD.into())
}

pub(super) fn open<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    path: &str,
    flags: i32,
    mode: u32,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    need_free(slots, slot, report)?;
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC;
    slots.put(slot, open_file(path, flags, Mode::from_bits_retain(mode))?);
    Ok(0)
}

/// Zeros to read into; a size that the guest has no memory for is an errno, as for any process.
pub(super) fn buffer(bytes: usize) -> Result<Vec<u8>, Errno> {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| Errno::ENOMEM)?;
    // Or else the compiler may take it that there is room, which nothing is put into.
    drop(black_box(room));
    // Pages that the kernel gives are zero already. To fill such a buffer byte by byte was four in five of all instructions that a
    // short run executed.
    Ok(vec![0; bytes])
}

pub(super) fn size(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

pub(super) fn value(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// How a file is read, as [`imalab_wire::Op::Read`] says.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) chunk: u32,
    pub(super) limit: Option<u64>,
    pub(super) send: bool,
    pub(super) nothing: Option<i32>,
}

pub(super) fn read<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    asked: Asked,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let Asked { chunk, limit, send, nothing } = asked;
    // Of no descriptor, not even nothing can be read.
    slots.get(slot)?;
    let size = usize::try_from(u64::from(chunk).min(limit.unwrap_or(u64::MAX))).unwrap_or(usize::MAX);
    let mut buffer = buffer(size)?;
    let mut total = 0u64;
    let mut told = 0;
    loop {
        let left = limit.map_or(u64::MAX, |limit| limit - total);
        let want = usize::try_from(left).map_or(size, |left| left.min(size));
        if want == 0 {
            break;
        }
        // Looked up each time: another thread may have closed it.
        let len = match read_file(&*slots.get(slot)?, &mut buffer[..want]) {
            Err(errno) if total == 0 && nothing == Some(errno as i32) => 0,
            len => len?,
        };
        if len == 0 {
            break;
        }
        total += len as u64;
        if send {
            report.data(&buffer[..len])?;
        } else if total - told >= QUIET {
            told = total;
            report.progress(total)?;
        }
    }
    Ok(total.cast_signed())
}

pub(super) fn read_at<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    offset: i64,
    bytes: u32,
    send: bool,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let file = slots.get(slot)?;
    let mut buffer = buffer(size(bytes))?;
    let len = pread(&*file, &mut buffer, offset)?;
    if send {
        report.data(&buffer[..len])?;
    }
    Ok(value(len))
}

pub(super) fn write(slots: &Slots, slot: Slot, bytes: &[u8]) -> Result<i64, Failure> {
    Ok(value(write_file(&*slots.get(slot)?, bytes)?))
}

pub(super) fn write_at(slots: &Slots, slot: Slot, offset: i64, bytes: &[u8]) -> Result<i64, Failure> {
    Ok(value(pwrite(&*slots.get(slot)?, bytes, offset)?))
}

pub(super) fn read_bad_pointer(slots: &Slots, slot: Slot, bytes: u32) -> Result<i64, Failure> {
    Ok(value(raw::read_nowhere(&*slots.get(slot)?, size(bytes))?))
}

pub(super) fn write_bad_pointer(slots: &Slots, slot: Slot, bytes: u32) -> Result<i64, Failure> {
    Ok(value(raw::write_nowhere(&*slots.get(slot)?, size(bytes))?))
}

pub(super) fn seek(slots: &Slots, slot: Slot, offset: i64, whence: i32) -> Result<i64, Failure> {
    // The numbers of include/uapi/linux/fs.h.
    let whence = match whence {
        0 => Whence::SeekSet,
        1 => Whence::SeekCur,
        2 => Whence::SeekEnd,
        3 => Whence::SeekData,
        4 => Whence::SeekHole,
        _ => return Err(Errno::EINVAL.into()),
    };
    Ok(lseek(&*slots.get(slot)?, offset, whence)?)
}

pub(super) fn truncate(slots: &Slots, slot: Slot, length: i64) -> Result<i64, Failure> {
    ftruncate(&*slots.get(slot)?, length)?;
    Ok(0)
}

pub(super) fn close(slots: &Slots, slot: Slot) -> Result<i64, Failure> {
    slots.close(slot)?;
    Ok(0)
}

/// The copy is closed on `execve(2)`, as every descriptor of a task.
pub(super) fn duplicate<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    to: Slot,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    need_free(slots, to, report)?;
    slots.put(to, slots.get(slot)?.try_clone()?);
    Ok(0)
}
