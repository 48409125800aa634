//! The files that are shown, and what a request for them is answered with.

use imalab_logview::Form;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{S_IFDIR, S_IFREG};

use super::wire::{self, Ask, Attributes, Request};

/// What a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The log.
    Log(Form),
    /// How many records it has.
    Count,
    /// The kernel's own counter of violations, which taking records out leaves alone.
    Violations,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) content: Content,
    pub(crate) attributes: Attributes,
}

/// The node of the folder, which is seen by nobody once its files are bound.
const ROOT: u64 = 1;

impl Content {
    /// What the kernel shows under a name; `None` for what is left as it is.
    pub(crate) fn of(name: &str) -> Option<Content> {
        let log = |name: &str| {
            // The list without a bank in its name is that of SHA-1.
            let (ascii, rest) = match name.strip_prefix("ascii") {
                Some(rest) => (true, rest),
                None => (false, name.strip_prefix("binary")?),
            };
            let bank = match rest.strip_prefix("_runtime_measurements")? {
                "" => imalab_ima::Bank::Sha1,
                bank => bank.strip_prefix('_')?.parse().ok()?,
            };
            Some(Content::Log(Form { ascii, bank }))
        };
        match name {
            "runtime_measurements_count" => Some(Content::Count),
            "violations" => Some(Content::Violations),
            name => log(name),
        }
    }
}

/// Answers a request; `None` where no answer is expected. `read` gives what a file has at an offset, at most so many bytes.
pub(crate) fn answer(
    request: &Request<'_>,
    files: &[Shown],
    read: impl FnOnce(Content, u64, usize) -> Result<Vec<u8>, Errno>,
) -> Option<Vec<u8>> {
    let file = request.node.checked_sub(ROOT + 1).and_then(|index| files.get(usize::try_from(index).ok()?));
    let attributes = match file {
        Some(file) => file.attributes,
        None => Attributes { mode: S_IFDIR | 0o555, uid: 0, gid: 0, time: 0 },
    };
    let known = file.is_some() || request.node == ROOT;
    let body = match request.ask {
        Ask::Forget => return None,
        Ask::Init { .. } => Ok(wire::init()),
        Ask::Release => Ok(Vec::new()),
        Ask::StatFs => Ok(wire::stat_fs()),
        Ask::Change => Err(Errno::EPERM),
        Ask::Other => Err(Errno::ENOSYS),
        _ if !known => Err(Errno::ESTALE),
        Ask::GetAttr => Ok(wire::attributes(request.node, attributes)),
        Ask::Lookup { name } => (0..)
            .zip(files)
            .find(|(_, file)| request.node == ROOT && file.name.as_bytes() == name)
            .map(|(index, file)| wire::entry(ROOT + 1 + index, file.attributes))
            .ok_or(Errno::ENOENT),
        // A keeper takes records out of the kernel, and nobody else; the kernel says so too where somebody has a list open.
        Ask::Open { flags } if flags & OFlag::O_ACCMODE.bits() != OFlag::O_RDONLY.bits() => Err(Errno::EBUSY),
        Ask::Open { .. } => Ok(wire::open()),
        Ask::Read { offset, size } => match file {
            Some(file) => read(file.content, offset, size),
            None => Err(Errno::EISDIR),
        },
        // SEEK_DATA and SEEK_HOLE, which a list of the kernel's does not know (`seq_lseek`, `fs/seq_file.c`).
        Ask::Seek => Err(Errno::EINVAL),
    };
    Some(match body {
        Ok(body) => request.reply(&body),
        Err(errno) => request.fail(errno),
    })
}

/// The attributes of the kernel's own file.
pub(crate) fn attributes_of(about: &nix::sys::stat::FileStat) -> Attributes {
    Attributes {
        mode: S_IFREG | about.st_mode & 0o777,
        uid: about.st_uid,
        gid: about.st_gid,
        time: about.st_mtime.try_into().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::wire::tests::request;
    use imalab_ima::Bank;
    use rstest::rstest;

    fn files() -> Vec<Shown> {
        let attributes = Attributes { mode: S_IFREG | 0o440, uid: 0, gid: 7, time: 5 };
        ["ascii_runtime_measurements_sha256", "runtime_measurements_count", "violations"]
            .map(|name| Shown { name: name.into(), content: Content::of(name).unwrap(), attributes })
            .to_vec()
    }

    /// The errno and the body of an answer.
    fn answered(opcode: u32, node: u64, body: &[u8]) -> Option<(i32, Vec<u8>)> {
        let bytes = request(opcode, node, body);
        let read = |content, offset: u64, size: usize| match content {
            Content::Count => Ok(format!("{offset} {size}").into_bytes()),
            _ => Err(Errno::EIO),
        };
        let answer = answer(&Request::decode(&bytes).unwrap(), &files(), read)?;
        let length = u32::from_ne_bytes(answer[..4].try_into().unwrap());
        assert_eq!((length as usize, &answer[8..16]), (answer.len(), 77_u64.to_ne_bytes().as_slice()));
        Some((-i32::from_ne_bytes(answer[4..8].try_into().unwrap()), answer[16..].to_vec()))
    }

    fn open(flags: OFlag) -> Vec<u8> {
        [flags.bits().to_ne_bytes(), [0; 4]].concat()
    }

    #[rstest]
    #[case("ascii_runtime_measurements", Some(Content::Log(Form { ascii: true, bank: Bank::Sha1 })))]
    #[case("binary_runtime_measurements_sha384", Some(Content::Log(Form { ascii: false, bank: Bank::Sha384 })))]
    #[case("runtime_measurements_count", Some(Content::Count))]
    #[case("violations", Some(Content::Violations))]
    #[case("binary_runtime_measurements_sha1_staged", None)]
    #[case("binary_runtime_measurements_staged_sha1", None)]
    #[case("binary_runtime_measurements_", None)]
    #[case("binary_runtime_measurements_sha3-256", None)]
    #[case("policy", None)]
    fn names_tell_what_is_shown(#[case] name: &str, #[case] expected: Option<Content>) {
        assert_eq!(Content::of(name), expected);
    }

    #[test]
    fn a_file_is_found_opened_and_read() {
        let (errno, entry) = answered(1, 1, b"runtime_measurements_count\0").unwrap();
        assert_eq!((errno, &entry[..8]), (0, 3_u64.to_ne_bytes().as_slice()));
        assert_eq!(answered(14, 3, &open(OFlag::O_RDONLY)).unwrap().0, 0);
        let read = [0_u64, 12, 100].map(u64::to_ne_bytes).concat();
        assert_eq!(answered(15, 3, &read).unwrap(), (0, b"12 100".to_vec()));
        assert_eq!(answered(15, 2, &read).unwrap().0, Errno::EIO as i32);
    }

    #[test]
    fn owner_and_mode_are_the_kernels_and_the_size_is_0() {
        let (errno, body) = answered(3, 2, &[0; 16]).unwrap();
        let attr = &body[16..];
        let word = |at: usize| u32::from_ne_bytes(attr[at..at + 4].try_into().unwrap());
        assert_eq!((errno, &attr[8..16]), (0, [0; 8].as_slice()));
        assert_eq!([word(60), word(68), word(72)], [S_IFREG | 0o440, 0, 7]);
    }

    #[rstest]
    #[case::writing(14, 2, open(OFlag::O_WRONLY), Errno::EBUSY)]
    #[case::reading_and_writing(14, 2, open(OFlag::O_RDWR), Errno::EBUSY)]
    #[case::no_such_name(1, 1, b"policy\0".to_vec(), Errno::ENOENT)]
    #[case::a_path(1, 1, b"../violations\0".to_vec(), Errno::ENOENT)]
    #[case::below_a_file(1, 2, b"violations\0".to_vec(), Errno::ENOENT)]
    #[case::no_such_node(3, 5, vec![0; 16], Errno::ESTALE)]
    #[case::node_0(3, 0, vec![0; 16], Errno::ESTALE)]
    #[case::last_node(3, u64::MAX, vec![0; 16], Errno::ESTALE)]
    #[case::reading_the_folder(15, 1, vec![0; 40], Errno::EISDIR)]
    #[case::setattr(4, 2, vec![0; 88], Errno::EPERM)]
    #[case::unlink(10, 1, b"violations\0".to_vec(), Errno::EPERM)]
    #[case::write(16, 2, vec![0; 40], Errno::EPERM)]
    #[case::seek_data(46, 2, vec![0; 24], Errno::EINVAL)]
    #[case::getxattr(22, 2, vec![0; 8], Errno::ENOSYS)]
    #[case::ioctl(39, 2, vec![0; 32], Errno::ENOSYS)]
    #[case::interrupt(36, 0, vec![0; 8], Errno::ENOSYS)]
    #[case::readdir(28, 1, vec![0; 40], Errno::ENOSYS)]
    #[case::unheard_of(4711, 1, vec![0; 8], Errno::ENOSYS)]
    fn the_rest_is_refused(
        #[case] opcode: u32,
        #[case] node: u64,
        #[case] body: Vec<u8>,
        #[case] errno: Errno,
    ) {
        assert_eq!(answered(opcode, node, &body).unwrap(), (errno as i32, Vec::new()));
    }

    #[test]
    fn what_is_forgotten_is_not_answered() {
        assert_eq!(answered(2, 2, &[0; 8]), None);
        assert_eq!(answered(42, 0, &[0; 8]), None);
    }

    #[test]
    fn every_opcode_is_answered_whatever_follows() {
        for opcode in 0..70 {
            for length in [0, 1, 8, 40, 200] {
                let bytes = request(opcode, 2, &vec![0xff; length]);
                let Some(request) = Request::decode(&bytes) else { continue };
                let answer = answer(&request, &files(), |_, _, _| Ok(Vec::new()));
                assert_eq!(answer.is_none(), matches!(opcode, 2 | 42), "{opcode}");
            }
        }
    }
}
