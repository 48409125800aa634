//! Files that somebody else may have made: read only when they are regular, and only so much of them.
//!
//! A FIFO would keep the call for ever, a device has no end, and a sparse file of an exabyte costs nothing to send.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use imalab_files::atomic::FileError;

/// Most bytes of a suite's results: a hundred thousand runs.
pub const RESULTS: u64 = 512 << 20;
/// Most bytes of a plan: a scenario has 256 KiB at most.
pub const PLAN: u64 = 16 << 20;
/// Most bytes of a bundle's own document.
pub const BUNDLE: u64 = 16 << 20;
/// Most bytes of a scenario's text in a bundle: what is read as one has 256 KiB at most.
pub const SCENARIO: u64 = 1 << 20;
/// Most bytes of a schedule: some hundred for each preemption, of which a run has some thousands.
pub const SCHEDULE: u64 = 64 << 20;
/// Most bytes of one run's result.
pub const RESULT: u64 = 64 << 20;
/// Most bytes of a trace: forty times that of a million records.
pub const TRACE: u64 = 128 << 30;
/// Most bytes of a file that only its sum is taken of: kernels, images, evidence.
pub const HASHED: u64 = 128 << 30;

/// Opens a regular file of at most `most` bytes.
///
/// # Errors
/// When it cannot be opened, is no regular file, or is longer.
pub fn open(path: &Path, most: u64) -> Result<File, FileError> {
    let fail = |error| FileError::new("read", path, error);
    // Of a FIFO that nobody writes to, opening alone would wait.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if meta.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    if !meta.is_file() {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    if meta.len() > most {
        let text = format!("it has {} bytes, and at most {most} are read", meta.len());
        return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, text)));
    }
    Ok(file)
}

/// Reads such a file.
///
/// # Errors
/// As [`open`], and when reading fails.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let file = open(path, most)?;
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    file.take(most).read_to_end(&mut bytes).map_err(|error| FileError::new("read", path, error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_regular_file_is_read_as_far_as_it_may_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err();
        assert!(super::super::chain(&error).contains("it has 5 bytes, and at most 4 are read"), "{error}");
    }

    #[rstest]
    #[case::fifo("fifo", "it is not a regular file")]
    #[case::device("/dev/zero", "it is not a regular file")]
    #[case::folder("folder", "directory")]
    #[case::link_to_a_device("link", "it is not a regular file")]
    #[case::endless("sparse", "at most")]
    #[case::none("none", "No such file")]
    fn what_has_no_end_is_refused(#[case] name: &str, #[case] why: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        match name {
            "fifo" => nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap(),
            "folder" => std::fs::create_dir(&path).unwrap(),
            "link" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
            "sparse" => File::create(&path).unwrap().set_len(1 << 40).unwrap(),
            _ => {}
        }
        let error = read(&path, RESULT).unwrap_err();
        assert!(super::super::chain(&error).contains(why), "{}", super::super::chain(&error));
    }
}
