//! The operations, a file for each kind.

mod file;
mod list;
mod mark;
mod measure;
mod mount;
mod report;

use imalab_wire::Op;
pub(crate) use measure::{directory, measure_one};
use nix::errno::Errno;
pub(crate) use report::Report;

pub(crate) use self::file::Slots;
use crate::uplink::{Broken, Uplink};

/// Why an operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It failed, and that is its result.
    Op(Errno),
    /// Its result cannot be told.
    Uplink(Broken),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Op(errno)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // The standard library's own errors, without a number, are about arguments (a zero byte in a path).
        Self::Op(error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Uplink(broken)
    }
}

/// Carries out one operation; the value is as [`Op`] says.
pub(crate) fn run<U: Uplink>(op: &Op, slots: &mut Slots, report: &mut Report<'_, U>) -> Result<i64, Failure> {
    match op {
        Op::Open { slot, path, flags, mode } => slots.open(*slot, path, *flags, *mode, report),
        Op::Read { slot, chunk, limit, send } => slots.read(*slot, *chunk, *limit, *send, report),
        Op::Write { slot, bytes } => slots.write(*slot, bytes),
        Op::Seek { slot, offset, whence } => slots.seek(*slot, *offset, *whence),
        Op::Close { slot } => slots.close(*slot),
        Op::Measure { dir, name, salt, first, count } => {
            measure::run(dir, name, salt, *first, *count, report)
        }
        Op::List { path } => list::run(path, report),
        Op::Release => list::release(report),
        Op::Barrier { id, parties } => {
            report.barrier(*id, *parties)??;
            Ok(0)
        }
        Op::Mark { path, number } => mark::run(path, *number),
        Op::Mount { fstype, target } => mount::run(fstype, target),
        _ => Err(Errno::ENOSYS.into()),
    }
}
