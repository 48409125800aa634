//! Makes IMA measure files: by opening, executing, mapping, loading; and makes it see violations.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use imalab_wire::Violation;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::libc::{MAP_PRIVATE, PROT_EXEC, PROT_READ};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, close, unlinkat, write};

use super::execute::{self, program};
use super::{Failure, Report};
use crate::process::Process;
use crate::raw;
use crate::uplink::Uplink;

/// Files after which the operation says that it goes on.
const TELL: u64 = 100;

/// The files of one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) dir: &'a str,
    pub(super) name: &'a str,
    pub(super) salt: &'a str,
    pub(super) first: u64,
    pub(super) count: u64,
}

/// What is done to each file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Open,
    Execute,
    Map,
    Violate(Violation),
    /// As a module of the kernel, which it is not.
    Load,
}

pub(super) fn run<U: Uplink>(
    files: Files<'_>,
    way: Way,
    process: &Process,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let dir = directory(files.dir)?;
    for done in 0..files.count {
        if done > 0 && done % TELL == 0 {
            report.progress(done)?;
        }
        let name = format!("{}-{}", files.name, files.first.wrapping_add(done));
        let content = format!("{name} {}\n", files.salt);
        let file = File { dir: &dir, folder: files.dir, name: &name, process };
        if let Err(failure) = file.measure(content.as_bytes(), way, report) {
            report.progress(done)?;
            return Err(failure);
        }
    }
    Ok(files.count.cast_signed())
}

/// Opens a directory for files to be measured in.
pub(crate) fn directory(path: &str) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Writes a new file, has it measured by opening it for reading, and removes it.
pub(crate) fn measure_one(dir: &OwnedFd, name: &str, content: &[u8]) -> nix::Result<()> {
    let process = Process::default();
    let file = File { dir, folder: "", name, process: &process };
    file.with(content, || file.open().and_then(close))
}

/// A file that is there for one measurement. A new inode has never been measured; nobody has it open for writing
/// any more when it is opened, so that there is no violation unless one is wanted.
struct File<'a> {
    dir: &'a OwnedFd,
    folder: &'a str,
    name: &'a str,
    process: &'a Process,
}

impl File<'_> {
    fn measure<U: Uplink>(
        &self,
        content: &[u8],
        way: Way,
        report: &mut Report<'_, U>,
    ) -> Result<(), Failure> {
        match way {
            Way::Open => self.with(content, || Ok(self.open().and_then(close)?)),
            Way::Execute => {
                let path = CString::new(format!("{}/{}", self.folder, self.name))
                    .map_err(|_| Failure::Op(Errno::EINVAL))?;
                let content = [&program()[..], content].concat();
                self.with(&content, || execute::run(&path, self.process, report))
            }
            Way::Map => self.with(content, || {
                let file = self.open()?;
                Ok(raw::map_and_unmap(file, content.len(), PROT_READ | PROT_EXEC, MAP_PRIVATE)?)
            }),
            Way::Violate(Violation::OpenWriters) => {
                let writer = self.create(content)?;
                let read = self.open().and_then(close);
                Ok(close(writer).and(read).and(self.remove())?)
            }
            Way::Violate(Violation::TimeOfUse) => self.with(content, || {
                let reader = self.open()?;
                let write = openat(self.dir, self.name, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
                Ok(write.and_then(close).and(close(reader))?)
            }),
            Way::Load => self.with(content, || match raw::finit_module(self.open()?) {
                // What it says of a file that is not a module, after IMA has seen it (kernel/module/main.c).
                Ok(()) | Err(Errno::ENOEXEC) => Ok(()),
                Err(errno) => Err(errno.into()),
            }),
        }
    }

    /// Creates the file, does something to it, and removes it.
    fn with<E: From<Errno>>(&self, content: &[u8], act: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let written = {
            let _alone = self.process.writes();
            self.create(content).and_then(close)
        };
        if let Err(errno) = written {
            // A file of that name that was there before stays.
            return Err(errno.into());
        }
        let done = act();
        done.and(self.remove().map_err(E::from))
    }

    /// The new file with its content, open for writing; there is none when it fails.
    fn create(&self, content: &[u8]) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(self.dir, self.name, flags, Mode::S_IRWXU)?;
        write_all(&file, content).inspect_err(|_| {
            // The first failure is the result.
            let _ = self.remove();
        })?;
        Ok(file)
    }

    fn open(&self) -> nix::Result<OwnedFd> {
        openat(self.dir, self.name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    }

    fn remove(&self) -> nix::Result<()> {
        unlinkat(self.dir, self.name, UnlinkatFlags::NoRemoveDir)
    }
}

/// Writes all of it.
pub(super) fn write_all(file: impl AsFd, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        let len = write(&file, bytes)?;
        bytes = &bytes[len..];
    }
    Ok(())
}

/// Creates or replaces a file that stays.
pub(super) fn create(path: &str, bytes: &[u8], process: &Process) -> Result<i64, Failure> {
    let _alone = process.writes();
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
    let file = open(path, flags, Mode::from_bits_retain(0o644))?;
    write_all(&file, bytes)?;
    close(file)?;
    Ok(super::file::value(bytes.len()))
}
