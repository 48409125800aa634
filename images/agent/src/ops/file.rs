//! System calls on named descriptors.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use imalab_wire::Slot;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, close, lseek, read, write};

use super::{Failure, Report};
use crate::uplink::Uplink;

/// Bytes read and not sent after which a reading operation says that it goes on.
const QUIET: u64 = 4 * 1024 * 1024;

/// A task's named descriptors.
#[derive(Debug, Default)]
pub(crate) struct Slots(BTreeMap<Slot, OwnedFd>);

impl Slots {
    pub(crate) fn is_open(&self, slot: Slot) -> bool {
        self.0.contains_key(&slot)
    }

    /// The descriptor; a slot with none is what a closed descriptor is to the kernel.
    fn get(&self, slot: Slot) -> Result<&OwnedFd, Errno> {
        self.0.get(&slot).ok_or(Errno::EBADF)
    }

    pub(super) fn open<U: Uplink>(
        &mut self,
        slot: Slot,
        path: &str,
        flags: i32,
        mode: u32,
        report: &mut Report<'_, U>,
    ) -> Result<i64, Failure> {
        if self.is_open(slot) {
            // No kernel file answers EBADFD; the fault voids the run anyway.
            report.fault(&format!("slot {slot} is open already"))?;
            return Err(Errno::EBADFD.into());
        }
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC;
        self.0.insert(slot, open(path, flags, Mode::from_bits_retain(mode))?);
        Ok(0)
    }

    pub(super) fn read<U: Uplink>(
        &self,
        slot: Slot,
        chunk: u32,
        limit: Option<u64>,
        send: bool,
        report: &mut Report<'_, U>,
    ) -> Result<i64, Failure> {
        let file = self.get(slot)?;
        let chunk = u64::from(chunk);
        let mut buffer = Vec::new();
        let size = usize::try_from(chunk.min(limit.unwrap_or(u64::MAX))).unwrap_or(usize::MAX);
        buffer.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
        buffer.resize(size, 0);
        let mut total = 0u64;
        let mut told = 0;
        loop {
            let left = limit.map_or(u64::MAX, |limit| limit - total);
            let want = usize::try_from(left).map_or(size, |left| left.min(size));
            if want == 0 {
                break;
            }
            let len = read(file, &mut buffer[..want])?;
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

    pub(super) fn write(&self, slot: Slot, bytes: &[u8]) -> Result<i64, Failure> {
        let written = write(self.get(slot)?, bytes)?;
        Ok(i64::try_from(written).unwrap_or(i64::MAX))
    }

    pub(super) fn seek(&self, slot: Slot, offset: i64, whence: i32) -> Result<i64, Failure> {
        // The numbers of include/uapi/linux/fs.h.
        let whence = match whence {
            0 => Whence::SeekSet,
            1 => Whence::SeekCur,
            2 => Whence::SeekEnd,
            3 => Whence::SeekData,
            4 => Whence::SeekHole,
            _ => return Err(Errno::EINVAL.into()),
        };
        Ok(lseek(self.get(slot)?, offset, whence)?)
    }

    /// The slot is free afterwards even when the call fails: Linux closes the descriptor in any case.
    pub(super) fn close(&mut self, slot: Slot) -> Result<i64, Failure> {
        close(self.0.remove(&slot).ok_or(Errno::EBADF)?)?;
        Ok(0)
    }
}
