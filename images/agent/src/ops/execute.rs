//! Executes a file: the program that is written into it, and the process that runs it.

use std::ffi::CStr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, execve, pipe2, read, write};

use super::{Failure, Report};
use crate::packet::Notice;
use crate::process::Process;
use crate::raw;
use crate::sockets::retry;
use crate::uplink::Uplink;

/// Where the program is loaded: any free address will do.
const BASE: u64 = 0x40_0000;
/// Bytes of the ELF header and of the one program header (System V ABI, chapters 4 and 5).
const HEADERS: u16 = 64 + 56;
/// `exit(0)`: `xor edi, edi; mov eax, 60; syscall`.
const CODE: [u8; 9] = [0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
/// Bytes of the program.
const SIZE: usize = HEADERS as usize + CODE.len();

/// A static x86-64 program that ends with 0. What follows it in its file is not loaded.
pub(super) fn program() -> Vec<u8> {
    let size = SIZE as u64;
    let mut bytes = Vec::with_capacity(SIZE);
    // 64 bits, little-endian, version 1, System V.
    bytes.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // ET_EXEC, EM_X86_64.
    bytes.extend_from_slice(&[2, 0, 62, 0]);
    bytes.extend_from_slice(&1u32.to_le_bytes());
    // Entry point, program headers, no section headers.
    for word in [BASE + u64::from(HEADERS), 64, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&0u32.to_le_bytes());
    // Sizes and numbers of the headers.
    for half in [64u16, 56, 1, 0, 0, 0] {
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    // PT_LOAD, readable and executable: from byte 0, at BASE, all of it, a page's alignment.
    bytes.extend_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, BASE, BASE, size, size, 0x1000] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&CODE);
    bytes
}

/// Executes a file in a child and waits for its end.
pub(super) fn run<U: Uplink>(
    path: &CStr,
    process: &Process,
    report: &mut Report<'_, U>,
) -> Result<(), Failure> {
    // Closed by a successful execve; else the errno comes through it.
    let (trouble, into) = pipe2(OFlag::O_CLOEXEC)?;
    // The child waits for it, so that PID 1 knows whose calls may sleep before there is one.
    let (leave, give) = pipe2(OFlag::O_CLOEXEC)?;
    let forked = {
        let _written = process.forks();
        raw::fork()?
    };
    let child = match forked {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            // Also ends of other threads' pipes, which else would not end before this process, nor it before them.
            if let Err(errno) = raw::keep_only(&[leave.as_fd(), into.as_fd()]) {
                raw::quit(errno as i32)
            }
            let _ = retry(|| read(&leave, &mut [0]));
            let Err(errno) = execve(path, &[path], &[] as &[&CStr]);
            let _ = write(&into, &(errno as i32).to_le_bytes());
            raw::quit(1)
        }
    };
    drop(into);
    let told = report.notify(Notice::Child(child.as_raw()));
    drop(give);
    let mut errno = [0; 4];
    let len = retry(|| read(&trouble, &mut errno));
    let ended = retry(|| waitpid(child, None));
    told?;
    if len? == errno.len() {
        return Err(Errno::from_raw(i32::from_le_bytes(errno)).into());
    }
    match ended? {
        WaitStatus::Exited(_, 0) => Ok(()),
        // It cannot end otherwise unless it was killed.
        _ => Err(Errno::EINTR.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_as_large_as_its_header_says() {
        let program = program();
        assert_eq!(program.len(), SIZE);
        assert_eq!(program[96..104], (SIZE as u64).to_le_bytes());
        assert_eq!(program[usize::from(HEADERS)..], CODE);
    }
}
