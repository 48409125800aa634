//! Goes on in another kernel.

mod archive;
mod command_line;
mod segments;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use imalab_wire::KERNELS;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::stat::Mode;

pub(crate) use self::command_line::boot_of;
use crate::ops::Failure;
use crate::raw;

/// `include/uapi/linux/kexec.h`.
const KEXEC_FILE_UNLOAD: u64 = 1;
const KEXEC_FILE_NO_INITRAMFS: u64 = 4;

/// Where the archive is while it is loaded.
const INITRD: &str = "/next-initrd";

/// Takes the keys of SysRq, whatever `kernel.sysrq` allows on a keyboard (`Documentation/admin-guide/sysrq.rst`).
const SYSRQ: &str = "/proc/sysrq-trigger";

/// Loads a kernel of the image for boot `boot` + 1.
pub(crate) fn load(kernel: &str, args: &str, flags: u64, boot: u16) -> Result<i64, Failure> {
    let line = next_line(args, boot)?;
    let kernel = open(&Path::new(KERNELS).join(kernel), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let initrd = if flags & KEXEC_FILE_NO_INITRAMFS == 0 { Some(initrd()?) } else { None };
    raw::kexec_file_load(Some(kernel.as_fd()), initrd.as_ref().map(AsFd::as_fd), &line, flags)?;
    Ok(0)
}

/// As [`load`], by the older call, which takes segments and no files.
pub(crate) fn load_segments(kernel: &str, args: &str, flags: u64, boot: u16) -> Result<i64, Failure> {
    let line = next_line(args, boot)?;
    let kernel = std::fs::read(Path::new(KERNELS).join(kernel))?;
    let running = std::fs::read(segments::RUNNING)?;
    let mut archive = Vec::new();
    File::from(initrd()?).read_to_end(&mut archive)?;
    let image = segments::image(&kernel, &running, line.as_bytes_with_nul(), archive)?;
    raw::kexec_load(image.entry, &image.segments, flags)?;
    Ok(0)
}

/// The command line of the next boot.
fn next_line(args: &str, boot: u16) -> Result<CString, Failure> {
    let running = std::fs::read_to_string("/proc/cmdline")?;
    let line = command_line::next(&running, boot.checked_add(1).ok_or(Errno::EOVERFLOW)?, args);
    Ok(CString::new(line).map_err(|_| Errno::EINVAL)?)
}

/// The archive of the next boot: this program, and the kernels of this image, so that it can do the same.
///
/// It lies in the root file system, where policies for files of the scenario (`fsname=tmpfs`) do not look, as they would
/// at a memfd.
fn initrd() -> Result<OwnedFd, Failure> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(INITRD)?;
    let written = archive::write(&mut file, Path::new("/proc/self/exe"), Path::new(KERNELS));
    // The kernel reads no file that is open for writing (`kernel_read_file`, fs/kernel_read_file.c).
    drop(file);
    let read = written.and_then(|()| File::open(INITRD));
    std::fs::remove_file(INITRD)?;
    Ok(read?.into())
}

pub(crate) fn unload() -> Result<i64, Failure> {
    raw::kexec_file_load(None, None, c"", KEXEC_FILE_UNLOAD)?;
    Ok(0)
}

/// Leaves for the loaded kernel; returns only when there is none.
pub(crate) fn execute() -> Result<i64, Failure> {
    match reboot(RebootMode::RB_KEXEC) {
        Ok(never) => match never {},
        Err(errno) => Err(errno.into()),
    }
}

/// Has the kernel panic, and so leaves for the kernel that is loaded for that; returns only when it could not be asked.
pub(crate) fn panic() -> Result<i64, Failure> {
    std::fs::write(SYSRQ, "c")?;
    Err(Errno::ENOSYS.into())
}
