//! The system calls that have no safe wrapper, each with the reason why calling it is sound.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::without_provenance_mut;
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, Pid};

/// An address within the first page of the address space, where nothing is ever mapped (`vm.mmap_min_addr`).
const NOWHERE: usize = 16;

/// `fork(2)`.
///
/// The child has the calling thread alone. What the agent does in it needs no lock of its other threads: glibc puts
/// the allocator's locks in order, and the agent's own are taken by the forking thread or not used (`process.rs`).
#[expect(unsafe_code, reason = "no safe wrapper; see above")]
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: as above, the child takes no lock that another thread may have held.
    unsafe { nix::unistd::fork() }
}

/// `exit_group(2)` without anything that a library wants to do at the end.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn quit(status: i32) -> ! {
    // SAFETY: it does not return, and touches no memory of the process.
    unsafe { libc::_exit(status) }
}

/// `prctl(2)` of an option that no kernel knows: it reads and writes nothing.
#[expect(unsafe_code, reason = "no safe wrapper takes any option")]
pub(crate) fn prctl(option: i32, argument: u64) -> nix::Result<i32> {
    // SAFETY: the kernel looks at no memory for an option that it does not know.
    Errno::result(unsafe { libc::prctl(option, argument, 0, 0, 0) })
}

/// Takes over a descriptor that the kernel has just given this process.
#[expect(unsafe_code, reason = "the wrapper of recvmsg gives bare numbers")]
pub(crate) fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the callers pass what SCM_RIGHTS has just made for this process, each number once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A descriptor of the open file that a process has under this number: `pidfd_open(2)` and `pidfd_getfd(2)`. It is closed by
/// `execve(2)`.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn descriptor_of(pid: Pid, number: RawFd) -> nix::Result<OwnedFd> {
    let made = |result: libc::c_long| -> nix::Result<OwnedFd> {
        let number = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EPROTO)?;
        // SAFETY: the call has just made it for this process, and nobody else knows the number.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    // SAFETY: neither call touches memory of this process.
    let process = made(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: as above.
    made(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })
}

/// The descriptor of an [`Arc`] whose other owners were threads of the process that this one was forked from.
#[expect(unsafe_code, reason = "the other owners do not exist in this process")]
pub(crate) fn inherited(shared: Arc<OwnedFd>) -> OwnedFd {
    Arc::try_unwrap(shared).unwrap_or_else(|shared| {
        let number = shared.as_raw_fd();
        std::mem::forget(shared);
        // SAFETY: in this process nobody has the `Arc` any more, so that nobody else will close the number.
        unsafe { OwnedFd::from_raw_fd(number) }
    })
}

/// Closes every descriptor from 3 on that is not one of these.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn keep_only(kept: &[BorrowedFd<'_>]) -> nix::Result<()> {
    let mut numbers: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    numbers.sort_unstable();
    let mut from = 3;
    for number in numbers.into_iter().chain([u32::MAX]) {
        if from < number {
            // SAFETY: called in a child of fork before anything of it owns other descriptors than the kept.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, from, number - 1, 0) })?;
        }
        from = from.max(number.saturating_add(1));
    }
    Ok(())
}

/// `read(2)` to an address at which nothing is mapped.
#[expect(unsafe_code, reason = "no safe wrapper takes a bad address")]
pub(crate) fn read_nowhere(file: impl AsFd, bytes: usize) -> nix::Result<usize> {
    // SAFETY: the kernel checks the address and answers EFAULT; no memory of the process is there.
    let len = unsafe { libc::read(file.as_fd().as_raw_fd(), without_provenance_mut(NOWHERE), bytes) };
    Errno::result(len).map(isize::cast_unsigned)
}

/// `write(2)` from an address at which nothing is mapped.
#[expect(unsafe_code, reason = "no safe wrapper takes a bad address")]
pub(crate) fn write_nowhere(file: impl AsFd, bytes: usize) -> nix::Result<usize> {
    // SAFETY: as in `read_nowhere`.
    let len = unsafe { libc::write(file.as_fd().as_raw_fd(), without_provenance_mut(NOWHERE), bytes) };
    Errno::result(len).map(isize::cast_unsigned)
}

/// `mmap(2)` from the start of the file where the kernel likes it, and `munmap(2)`.
#[expect(unsafe_code, reason = "a mapping is memory")]
pub(crate) fn map_and_unmap(file: impl AsFd, bytes: usize, protection: i32, flags: i32) -> nix::Result<()> {
    // SAFETY: without MAP_FIXED no mapping of the process is replaced, and nothing is read or written through
    // the new one.
    let place =
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, file.as_fd().as_raw_fd(), 0) };
    if place == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: it is the mapping that was just made, and nobody refers to it.
    Errno::result(unsafe { libc::munmap(place, bytes) }).map(drop)
}

/// `splice(2)` of what comes next on both sides.
#[expect(unsafe_code, reason = "the safe wrapper comes with a feature that nothing else here needs")]
pub(crate) fn splice(from: impl AsFd, to: impl AsFd, bytes: usize) -> nix::Result<usize> {
    use std::ptr::null_mut;
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    // SAFETY: both offsets are absent.
    Errno::result(unsafe { libc::splice(from, null_mut(), to, null_mut(), bytes, 0) })
        .map(isize::cast_unsigned)
}

/// `finit_module(2)` without parameters.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn finit_module(file: impl AsFd) -> nix::Result<()> {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the parameters are a string that ends with a zero, and the kernel copies it.
    Errno::result(unsafe { libc::syscall(libc::SYS_finit_module, file, c"".as_ptr(), 0) }).map(drop)
}

/// `kexec_file_load(2)`. The numbers of descriptors that the flags make meaningless are -1.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn kexec_file_load(
    kernel: Option<BorrowedFd<'_>>,
    initrd: Option<BorrowedFd<'_>>,
    command_line: &CStr,
    flags: u64,
) -> nix::Result<()> {
    let number = |fd: Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
    let bytes = command_line.to_bytes_with_nul();
    // SAFETY: the command line is as long as is said, its zero included, and the kernel copies it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            number(kernel),
            number(initrd),
            bytes.len(),
            bytes.as_ptr(),
            flags,
        )
    };
    Errno::result(result).map(drop)
}

/// A piece of memory and where it goes: `struct kexec_segment` (`include/uapi/linux/kexec.h`).
#[repr(C)]
struct KexecSegment {
    buffer: *const u8,
    buffer_size: usize,
    memory: usize,
    memory_size: usize,
}

/// `kexec_load(2)`: pieces of memory with the physical address of each, and the address to go on at.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn kexec_load(entry: u64, segments: &[(u64, Vec<u8>)], flags: u64) -> nix::Result<()> {
    let address = |at: u64| usize::try_from(at).map_err(|_| Errno::EINVAL);
    let list = segments
        .iter()
        .map(|(at, bytes)| {
            Ok(KexecSegment {
                buffer: bytes.as_ptr(),
                buffer_size: bytes.len(),
                memory: address(*at)?,
                memory_size: bytes.len().next_multiple_of(4096),
            })
        })
        .collect::<nix::Result<Vec<_>>>()?;
    let entry = address(entry)?;
    // SAFETY: each piece is as long as is said and outlives the call, in which the kernel copies it. What the machine does
    // at the entry concerns no process: by then there is none.
    let result = unsafe { libc::syscall(libc::SYS_kexec_load, entry, list.len(), list.as_ptr(), flags) };
    Errno::result(result).map(drop)
}

/// `_LINUX_CAPABILITY_VERSION_3` (`include/uapi/linux/capability.h`).
const CAPABILITIES: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`, of which there is one for each 32 capabilities.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Takes one capability out of the effective and permitted sets of the calling thread.
#[expect(unsafe_code, reason = "capget(2) and capset(2) have no safe wrapper")]
pub(crate) fn drop_capability(capability: u8) -> nix::Result<()> {
    let mut header = CapabilityHeader { version: CAPABILITIES, pid: 0 };
    let mut words = [CapabilityWord::default(); 2];
    if usize::from(capability / 32) >= words.len() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: both point to what version 3 says: a header and two words.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) })?;
    let (word, bit) = (&mut words[usize::from(capability / 32)], 1 << (capability % 32));
    word.effective &= !bit;
    word.permitted &= !bit;
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) }).map(drop)
}

/// `RNDADDENTROPY` (`include/uapi/linux/random.h`): `_IOW('R', 3, int[2])`.
const ADD_ENTROPY: libc::Ioctl = 0x4008_5203;
/// `RNDRESEEDCRNG`: `_IO('R', 7)`.
const RESEED: libc::Ioctl = 0x5207;

/// `struct rand_pool_info` with room for one seed.
#[repr(C)]
struct PoolInfo {
    bits: i32,
    bytes: i32,
    seed: [u8; imalab_wire::SEED],
}

/// Gives the kernel's random numbers a seed that counts in full, and has what they come from made anew with it.
#[expect(unsafe_code, reason = "ioctl(2) has no safe wrapper")]
pub(crate) fn add_entropy(random: impl AsFd, seed: &[u8; imalab_wire::SEED]) -> nix::Result<()> {
    const BYTES: i32 = imalab_wire::SEED as i32;
    let (random, info) =
        (random.as_fd().as_raw_fd(), PoolInfo { bits: BYTES * 8, bytes: BYTES, seed: *seed });
    // SAFETY: the kernel reads the two numbers and so many bytes behind them as the second says.
    Errno::result(unsafe { libc::ioctl(random, ADD_ENTROPY, &raw const info) })?;
    // SAFETY: it takes no argument.
    Errno::result(unsafe { libc::ioctl(random, RESEED) }).map(drop)
}

/// `kill(2)` with a signal that may have no name.
#[expect(unsafe_code, reason = "the safe wrapper knows the signals with names alone")]
pub(crate) fn kill(pid: Pid, signal: i32) -> nix::Result<()> {
    // SAFETY: it touches no memory of this process.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal) }).map(drop)
}

/// Has the kernel's EFBIG for a file that grows beyond `RLIMIT_FSIZE` come without the signal that kills.
#[expect(unsafe_code, reason = "sigaction(2) takes a function, which may do anything")]
pub(crate) fn ignore_file_size_signal() -> nix::Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no function is installed.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.map(drop)
}

/// `AUDIT_ARCH_X86_64` (`include/uapi/linux/audit.h`).
pub(crate) const ARCHITECTURE: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT` (`arch/x86/include/uapi/asm/unistd.h`).
pub(crate) const X32: u64 = 0x4000_0000;

/// What a traced process has stopped for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CallInfo {
    /// A call begins.
    Entry { number: u64, args: [u64; 6] },
    /// A call has returned this, which is an errno when it failed.
    Exit { value: i64, failed: bool },
    /// Something else.
    Neither,
}

/// Reads what ptrace(2) tells of a stop.
#[expect(unsafe_code, reason = "the structure has a union")]
pub(crate) fn call_info(info: &libc::ptrace_syscall_info) -> CallInfo {
    match info.op {
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: the kernel has filled in this member, as `op` says.
            let entry = unsafe { info.u.entry };
            CallInfo::Entry { number: entry.nr, args: entry.args }
        }
        libc::PTRACE_SYSCALL_INFO_EXIT => {
            // SAFETY: as above.
            let exit = unsafe { info.u.exit };
            CallInfo::Exit { value: exit.sval, failed: exit.is_error != 0 }
        }
        _ => CallInfo::Neither,
    }
}
