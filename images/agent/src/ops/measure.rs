//! Makes IMA measure files.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, close, unlinkat, write};

use super::{Failure, Report};
use crate::uplink::Uplink;

/// Files after which the operation says that it goes on.
const TELL: u64 = 100;

pub(super) fn run<U: Uplink>(
    dir: &str,
    name: &str,
    salt: &str,
    first: u64,
    count: u64,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let dir = directory(dir)?;
    for done in 0..count {
        if done > 0 && done % TELL == 0 {
            report.progress(done)?;
        }
        let file = format!("{name}-{}", first.wrapping_add(done));
        let content = format!("{file} {salt}\n");
        if let Err(errno) = measure_one(&dir, &file, content.as_bytes()) {
            report.progress(done)?;
            return Err(errno.into());
        }
    }
    Ok(count.cast_signed())
}

/// Opens a directory for files to be measured in.
pub(crate) fn directory(path: &str) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Writes a new file, has it measured by opening it for reading, and removes it. A new inode has never been
/// measured; nobody has it open for writing any more when it is opened, so there is no violation.
pub(crate) fn measure_one(dir: impl AsFd, name: &str, content: &[u8]) -> nix::Result<()> {
    let dir = dir.as_fd();
    let create = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file = openat(dir, name, create, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let measured = (|| {
        let mut rest = content;
        while !rest.is_empty() {
            let len = write(&file, rest)?;
            rest = &rest[len..];
        }
        close(file)?;
        close(openat(dir, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)
    })();
    let removed = unlinkat(dir, name, UnlinkatFlags::NoRemoveDir);
    measured.and(removed)
}
