//! What is said over `/dev/fuse` (`include/uapi/linux/fuse.h`), as far as files that are only read need it.
//!
//! Numbers are in the machine's own byte order.

use nix::errno::Errno;

/// The version whose structures these are. Every later kernel speaks it.
const MAJOR: u32 = 7;
const MINOR: u32 = 31;

/// Longest request: the largest write that is let through, and its headers.
pub(crate) const LONGEST_REQUEST: usize = MAX_WRITE as usize + 4096;

/// The least that the kernel takes (`FUSE_MIN_READ_BUFFER` without headers); nothing is written here.
const MAX_WRITE: u32 = 8192;

/// Most bytes that are given at once, whatever is asked for.
pub(crate) const MOST: usize = 1 << 20;

const HEADER: usize = 40;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask<'a> {
    Init {
        major: u32,
    },
    Lookup {
        name: &'a [u8],
    },
    GetAttr,
    Open {
        flags: i32,
    },
    Read {
        offset: u64,
        size: usize,
    },
    StatFs,
    /// The file is closed, or the file system is gone.
    Release,
    Seek,
    /// No answer is expected.
    Forget,
    /// Anything that changes something.
    Change,
    Other,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) unique: u64,
    pub(crate) node: u64,
    pub(crate) ask: Ask<'a>,
}

/// A file's attributes, as far as there is something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// With the file's type.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since the epoch.
    pub(crate) time: u64,
}

/// How long the kernel may rely on names and attributes, seconds: they never change.
const FOR_EVER: u64 = 1 << 30;

/// `FOPEN_DIRECT_IO`: without it nothing is read of a file whose size is 0; and `FOPEN_NOFLUSH`.
const OPEN_FLAGS: u32 = 1 | 1 << 5;

impl<'a> Request<'a> {
    /// Reads a request; `None` for bytes that are none.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Request<'a>> {
        let body = bytes.get(HEADER..)?;
        let ask = match u32_at(bytes, 4)? {
            1 => Ask::Lookup { name: body.strip_suffix(b"\0")? },
            2 | 42 => Ask::Forget,
            3 => Ask::GetAttr,
            // setattr, symlink, mknod, mkdir, unlink, rmdir, rename, link, write, setxattr, removexattr, create, fallocate, rename2,
            // copy_file_range, tmpfile
            4 | 6 | 8..=13 | 16 | 21 | 24 | 35 | 43 | 45 | 47 | 51 => Ask::Change,
            14 => Ask::Open { flags: i32::from_ne_bytes(body.get(..4)?.try_into().ok()?) },
            15 => Ask::Read { offset: u64_at(body, 8)?, size: (u32_at(body, 16)? as usize).min(MOST) },
            17 => Ask::StatFs,
            18 | 38 => Ask::Release,
            26 => Ask::Init { major: u32_at(body, 0)? },
            46 => Ask::Seek,
            _ => Ask::Other,
        };
        Some(Request { unique: u64_at(bytes, 8)?, node: u64_at(bytes, 16)?, ask })
    }

    /// An answer with this in it.
    pub(crate) fn reply(&self, body: &[u8]) -> Vec<u8> {
        message(0, self.unique, body)
    }

    /// An answer that says that it failed.
    pub(crate) fn fail(&self, errno: Errno) -> Vec<u8> {
        message(-(errno as i32), self.unique, &[])
    }
}

/// An answer to bytes that are no request; `None` where not even that can be said of which they are one.
pub(crate) fn refuse(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(message(-(Errno::EINVAL as i32), u64_at(bytes, 8)?, &[]))
}

/// Asks the kernel for the requests that nobody has answered, once more (Linux 6.9).
pub(crate) fn resend() -> Vec<u8> {
    const FUSE_NOTIFY_RESEND: i32 = 7;
    message(FUSE_NOTIFY_RESEND, 0, &[])
}

fn message(error: i32, unique: u64, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 + body.len());
    // What is asked for is at most `MOST`.
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(error.to_ne_bytes());
    message.extend(unique.to_ne_bytes());
    message.extend(body);
    message
}

/// `fuse_init_out`
pub(crate) fn init() -> Vec<u8> {
    let mut body = Vec::new();
    for word in [MAJOR, MINOR, 0, 0] {
        body.extend(word.to_ne_bytes());
    }
    // Requests that may be in the background, before and after which it is congested: nothing here is.
    for half in [16_u16, 12] {
        body.extend(half.to_ne_bytes());
    }
    for word in [MAX_WRITE, 1] {
        body.extend(word.to_ne_bytes());
    }
    body.resize(64, 0);
    body
}

/// `fuse_entry_out`
pub(crate) fn entry(node: u64, attributes: Attributes) -> Vec<u8> {
    let mut body = Vec::new();
    for long in [node, 0, FOR_EVER, FOR_EVER, 0] {
        body.extend(long.to_ne_bytes());
    }
    body.extend(attr(node, attributes));
    body
}

/// `fuse_attr_out`
pub(crate) fn attributes(node: u64, attributes: Attributes) -> Vec<u8> {
    let mut body = Vec::new();
    for long in [FOR_EVER, 0] {
        body.extend(long.to_ne_bytes());
    }
    body.extend(attr(node, attributes));
    body
}

/// `fuse_attr`. The size is 0, as it is in securityfs: IMA hashes so many bytes at each open.
fn attr(node: u64, attributes: Attributes) -> Vec<u8> {
    let mut attr = Vec::new();
    for long in [node, 0, 0, attributes.time, attributes.time, attributes.time] {
        attr.extend(long.to_ne_bytes());
    }
    for word in [0, 0, 0, attributes.mode, 1, attributes.uid, attributes.gid, 0, 4096, 0] {
        attr.extend(u32::to_ne_bytes(word));
    }
    attr
}

/// `fuse_open_out`
pub(crate) fn open() -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(OPEN_FLAGS.to_ne_bytes());
    body.resize(16, 0);
    body
}

/// `fuse_statfs_out`
pub(crate) fn stat_fs() -> Vec<u8> {
    let mut body = vec![0; 40];
    // Block size, longest name, fragment size.
    for word in [4096_u32, 255, 4096] {
        body.extend(word.to_ne_bytes());
    }
    body.resize(80, 0);
    body
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request as a kernel sends it.
    pub(crate) fn request(opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((40 + body.len() as u32).to_ne_bytes());
        bytes.extend(opcode.to_ne_bytes());
        bytes.extend(77_u64.to_ne_bytes());
        bytes.extend(node.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn structures_have_the_sizes_of_the_kernels_header() {
        let attributes = Attributes { mode: 0o100_440, uid: 0, gid: 0, time: 0 };
        let sizes = [
            init().len(),
            entry(2, attributes).len(),
            super::attributes(2, attributes).len(),
            open().len(),
            stat_fs().len(),
        ];
        assert_eq!(sizes, [64, 128, 104, 16, 80]);
        assert_eq!(resend(), [[16, 0, 0, 0, 7, 0, 0, 0], [0; 8]].concat());
    }

    #[test]
    fn requests_are_read() {
        let read =
            [9_u64.to_ne_bytes(), 70_000_u64.to_ne_bytes(), (u64::from(u32::MAX)).to_ne_bytes()].concat();
        let bytes = request(15, 3, &read);
        let read = Request::decode(&bytes).unwrap();
        assert_eq!(read, Request { unique: 77, node: 3, ask: Ask::Read { offset: 70_000, size: MOST } });
        let bytes = request(1, 1, b"violations\0");
        assert_eq!(Request::decode(&bytes).unwrap().ask, Ask::Lookup { name: b"violations" });
    }

    #[test]
    fn what_is_cut_short_is_none() {
        for (opcode, body) in [(1, b"name".as_slice()), (14, b"123"), (15, &[0; 19]), (26, b"")] {
            assert_eq!(Request::decode(&request(opcode, 1, body)), None, "{opcode}");
        }
        let whole = request(3, 1, b"");
        for length in 0..whole.len() {
            assert_eq!(Request::decode(&whole[..length]), None);
        }
    }
}
