//! What a system call of x86-64 is about, by its number and arguments (`arch/x86/entry/syscalls/syscall_64.tbl`). Pure.

use nix::libc;

/// A system call as it begins: its number and its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) args: [u64; 6],
}

/// Bytes in the memory of a program: an address and how many, or a vector of such and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    Plain(u64, u64),
    Vector(u64, u64),
}

/// What a call is about. Descriptors are of the process that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Opens the path at an address, from a folder on.
    Open {
        folder: i32,
        path: u64,
        flags: Flags,
    },
    Close {
        descriptor: i32,
    },
    /// Reads, at an offset or the file's own.
    Read {
        descriptor: i32,
        to: Memory,
        at: Option<i64>,
    },
    /// Writes likewise.
    Write {
        descriptor: i32,
        from: Memory,
        at: Option<i64>,
    },
    Seek {
        descriptor: i32,
        offset: i64,
        whence: i32,
    },
    /// Makes another descriptor of the same file, in the place of one where it says so.
    Duplicate {
        descriptor: i32,
        onto: Option<i32>,
    },
    Map {
        descriptor: i32,
        bytes: u64,
        write: bool,
    },
    /// Moves bytes between two files within the kernel.
    Move {
        from: i32,
        to: i32,
    },
    Truncate {
        descriptor: i32,
        length: i64,
    },
    /// Opens or closes descriptors in a way that only a look at them tells.
    Descriptors,
    SetUser {
        uid: u32,
    },
    /// Changes what the process may do in a way that is not followed.
    Rights,
    /// Sets up a way to use files without calls that could be seen.
    Hidden,
    /// Nothing that concerns descriptors or files that are open.
    Other,
}

/// `O_*` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flags {
    Here(i32),
    /// In memory, 64 bits wide (`struct open_how`).
    At(u64),
}

fn int(argument: u64) -> i32 {
    // The kernel takes the lower half.
    argument as u32 as i32
}

impl Entry {
    fn is(&self, number: libc::c_long) -> bool {
        u64::try_from(number).is_ok_and(|number| number == self.number)
    }

    fn is_one_of(&self, numbers: &[libc::c_long]) -> bool {
        numbers.iter().any(|number| self.is(*number))
    }

    /// What it is about.
    pub(super) fn call(&self) -> Call {
        let [first, second, third, fourth, ..] = self.args;
        let descriptor = int(first);
        let plain = Memory::Plain(second, third);
        let vector = Memory::Vector(second, third);
        let at = Some(fourth.cast_signed());
        let Ok(number) = libc::c_long::try_from(self.number) else { return Call::Other };
        match number {
            libc::SYS_open => {
                Call::Open { folder: libc::AT_FDCWD, path: first, flags: Flags::Here(int(second)) }
            }
            libc::SYS_creat => Call::Open {
                folder: libc::AT_FDCWD,
                path: first,
                flags: Flags::Here(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
            },
            libc::SYS_openat => {
                Call::Open { folder: descriptor, path: second, flags: Flags::Here(int(third)) }
            }
            libc::SYS_openat2 => Call::Open { folder: descriptor, path: second, flags: Flags::At(third) },
            libc::SYS_close => Call::Close { descriptor },
            libc::SYS_read => Call::Read { descriptor, to: plain, at: None },
            libc::SYS_readv => Call::Read { descriptor, to: vector, at: None },
            libc::SYS_pread64 => Call::Read { descriptor, to: plain, at },
            libc::SYS_preadv => Call::Read { descriptor, to: vector, at },
            // An offset of -1 is the file's own.
            libc::SYS_preadv2 => Call::Read { descriptor, to: vector, at: at.filter(|at| *at != -1) },
            libc::SYS_write => Call::Write { descriptor, from: plain, at: None },
            libc::SYS_writev => Call::Write { descriptor, from: vector, at: None },
            libc::SYS_pwrite64 => Call::Write { descriptor, from: plain, at },
            libc::SYS_pwritev => Call::Write { descriptor, from: vector, at },
            libc::SYS_pwritev2 => Call::Write { descriptor, from: vector, at: at.filter(|at| *at != -1) },
            libc::SYS_lseek => Call::Seek { descriptor, offset: second.cast_signed(), whence: int(third) },
            libc::SYS_dup => Call::Duplicate { descriptor, onto: None },
            libc::SYS_dup2 | libc::SYS_dup3 => Call::Duplicate { descriptor, onto: Some(int(second)) },
            libc::SYS_fcntl if matches!(int(second), libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) => {
                Call::Duplicate { descriptor, onto: None }
            }
            libc::SYS_mmap if int(fourth) & libc::MAP_ANONYMOUS == 0 => Call::Map {
                descriptor: int(self.args[4]),
                bytes: second,
                write: int(third) & libc::PROT_WRITE != 0,
            },
            libc::SYS_sendfile => Call::Move { from: int(second), to: descriptor },
            libc::SYS_splice | libc::SYS_copy_file_range => Call::Move { from: descriptor, to: int(third) },
            libc::SYS_ftruncate => Call::Truncate { descriptor, length: second.cast_signed() },
            libc::SYS_close_range
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg
            | libc::SYS_pidfd_getfd
            | libc::SYS_open_by_handle_at => Call::Descriptors,
            libc::SYS_io_uring_setup | libc::SYS_io_setup => Call::Hidden,
            libc::SYS_setuid => Call::SetUser { uid: first as u32 },
            // The effective one is what a capability is lost by.
            libc::SYS_setresuid | libc::SYS_setreuid => Call::SetUser { uid: second as u32 },
            libc::SYS_capset | libc::SYS_setns => Call::Rights,
            libc::SYS_unshare if first & (libc::CLONE_NEWUSER | libc::CLONE_FILES) as u64 != 0 => {
                Call::Rights
            }
            libc::SYS_unshare => Call::Other,
            _ => Call::Other,
        }
    }

    /// Whether it changes a file, a folder, a lock or a list when it succeeds: what is true after one such call is true until the
    /// next.
    pub(super) fn changes(&self) -> bool {
        let creates = |flags: u64| flags & libc::O_CREAT as u64 != 0;
        self.is_one_of(&[
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_pwrite64,
            libc::SYS_pwritev,
            libc::SYS_pwritev2,
            libc::SYS_flock,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_unlink,
            libc::SYS_unlinkat,
            libc::SYS_rename,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_link,
            libc::SYS_linkat,
            libc::SYS_mkdir,
            libc::SYS_mkdirat,
            libc::SYS_truncate,
            libc::SYS_ftruncate,
            libc::SYS_creat,
            libc::SYS_mount,
            libc::SYS_umount2,
        ]) || self.is(libc::SYS_open) && creates(self.args[1])
            || self.is(libc::SYS_openat) && creates(self.args[2])
    }

    /// Flags of a call that makes a process or a thread: in a register, or at an address.
    pub(super) fn clone_flags(&self) -> Flags {
        if self.is(libc::SYS_clone) {
            Flags::Here(int(self.args[0]))
        } else if self.is(libc::SYS_clone3) {
            Flags::At(self.args[0])
        } else {
            Flags::Here(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: libc::c_long, args: [u64; 6]) -> Entry {
        Entry { number: u64::try_from(number).unwrap(), args }
    }

    #[test]
    fn calls_are_read_by_their_numbers() {
        let none = u64::MAX;
        for (number, args, expected) in [
            (
                libc::SYS_openat,
                [none, 9, 2, 0, 0, 0],
                Call::Open { folder: -1, path: 9, flags: Flags::Here(2) },
            ),
            (libc::SYS_openat2, [3, 9, 8, 24, 0, 0], Call::Open { folder: 3, path: 9, flags: Flags::At(8) }),
            (
                libc::SYS_read,
                [3, 9, 8, 0, 0, 0],
                Call::Read { descriptor: 3, to: Memory::Plain(9, 8), at: None },
            ),
            (
                libc::SYS_preadv2,
                [3, 9, 8, none, 0, 0],
                Call::Read { descriptor: 3, to: Memory::Vector(9, 8), at: None },
            ),
            (
                libc::SYS_pwrite64,
                [3, 9, 8, 7, 0, 0],
                Call::Write { descriptor: 3, from: Memory::Plain(9, 8), at: Some(7) },
            ),
            (libc::SYS_dup2, [3, 4, 0, 0, 0, 0], Call::Duplicate { descriptor: 3, onto: Some(4) }),
            (libc::SYS_fcntl, [3, 1030, 9, 0, 0, 0], Call::Duplicate { descriptor: 3, onto: None }),
            (libc::SYS_fcntl, [3, 2, 1, 0, 0, 0], Call::Other),
            (libc::SYS_mmap, [0, 9, 3, 1, 5, 0], Call::Map { descriptor: 5, bytes: 9, write: true }),
            (libc::SYS_mmap, [0, 9, 3, 0x22, 5, 0], Call::Other),
            (libc::SYS_sendfile, [1, 3, 0, 8, 0, 0], Call::Move { from: 3, to: 1 }),
            (libc::SYS_splice, [3, 0, 1, 0, 8, 0], Call::Move { from: 3, to: 1 }),
            (libc::SYS_io_uring_setup, [8, 9, 0, 0, 0, 0], Call::Hidden),
            (libc::SYS_open_by_handle_at, [3, 9, 0, 0, 0, 0], Call::Descriptors),
            (libc::SYS_getpid, [3; 6], Call::Other),
        ] {
            assert_eq!(call(number, args).call(), expected);
        }
    }

    #[test]
    fn an_opening_changes_something_when_it_creates() {
        assert!(!call(libc::SYS_openat, [0, 9, 2, 0, 0, 0]).changes());
        assert!(call(libc::SYS_openat, [0, 9, 2 | libc::O_CREAT as u64, 0, 0, 0]).changes());
        assert!(call(libc::SYS_renameat, [0; 6]).changes());
        assert!(!call(libc::SYS_pread64, [0; 6]).changes());
    }
}
