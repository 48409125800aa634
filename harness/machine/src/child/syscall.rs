//! The three steps of starting a child that have no safe wrapper.
//!
//! `unsafe` is here because (1) `pre_exec` runs between `fork` and `exec`, where only async-signal-safe calls
//! are sound, (2) `close_range` and `pidfd_open` are bare system calls in nix 0.31.
#![expect(unsafe_code, reason = "pre_exec, close_range and pidfd_open have no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::sys::signal::Signal;

/// Arms `command` so that its child dies with the calling *thread* and inherits, beside its three standard
/// streams, `keep` alone (under the same numbers).
///
/// `keep` must stay open until the child is spawned.
pub(super) fn die_with_us(command: &mut Command, keep: Vec<RawFd>) {
    let parent = std::process::id();
    // SAFETY: the closure only makes the system calls prctl, getppid, close_range and fcntl, which are
    // async-signal-safe, and reads memory that was allocated before the fork. Errors carry no allocation.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the line above: then the signal never comes.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            // Rust opens everything close-on-exec; this also closes what our own parent leaked into us.
            // Hosts before Linux 5.11 lack the flag; they lose just that.
            let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_int;
            if libc::close_range(3, libc::c_uint::MAX, flags) != 0 {
                let error = io::Error::last_os_error();
                if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) {
                    return Err(error);
                }
            }
            for &fd in &keep {
                if libc::fcntl(fd, libc::F_SETFD, 0) == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

/// Opens a descriptor that names the process `pid` as long as it is held and becomes readable when it ends.
///
/// `pid` must be an unreaped child of ours, or the number may already be another's.
pub(super) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed, and a non-negative result is a fresh descriptor that nobody else owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, libc::pid_t::try_from(pid).unwrap_or(-1), 0);
        match RawFd::try_from(fd) {
            Ok(fd) if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Numbers of `fds`, which the child will see.
pub(super) fn numbers(fds: &[OwnedFd]) -> Vec<RawFd> {
    fds.iter().map(AsRawFd::as_raw_fd).collect()
}
