//! What is read: files, and pipes, which can be read once.
//!
//! `sudo cat … | imalab verify --log -` and `--log <(zcat …)` are how lists reach a tool. What cannot be opened again is kept
//! in a file without a name as it is read, and is read from there from then on.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes that are kept of a pipe at most.
const KEPT: u64 = 1 << 30;

/// How long a named pipe is waited for; one that nobody writes to would be waited for without end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a file of PCR values, a key or a part of a quote at most.
const SMALL: u64 = 1 << 20;

/// A list that can be read as often as needed.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File(PathBuf),
    Stream(Arc<Mutex<Kept>>),
}

/// What was read of a pipe.
#[derive(Debug)]
pub(super) struct Kept {
    pipe: File,
    file: File,
    bytes: u64,
    ended: bool,
}

/// A list from its start.
pub(super) enum SourceReader {
    File(File),
    Stream(Arc<Mutex<Kept>>, u64),
}

impl Source {
    pub(super) fn of(path: &Path) -> io::Result<Source> {
        let (file, metadata) = open(path)?;
        if metadata.is_file() && path != Path::new("-") {
            return Ok(Source::File(path.to_owned()));
        }
        let kept = Kept { pipe: file, file: tempfile::tempfile()?, bytes: 0, ended: false };
        Ok(Source::Stream(Arc::new(Mutex::new(kept))))
    }

    pub(super) fn open(&self) -> io::Result<SourceReader> {
        match self {
            Source::File(path) => File::open(path).map(SourceReader::File),
            Source::Stream(kept) => Ok(SourceReader::Stream(Arc::clone(kept), 0)),
        }
    }
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            SourceReader::File(file) => file.read(buffer),
            SourceReader::Stream(kept, at) => {
                let count = kept.lock().unwrap_or_else(PoisonError::into_inner).read(*at, buffer)?;
                *at += count as u64;
                Ok(count)
            }
        }
    }
}

impl Kept {
    /// Reads from `at` on, out of what is kept or else from the pipe.
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if at < self.bytes {
            let most = usize::try_from(self.bytes - at).unwrap_or(usize::MAX).min(buffer.len());
            return self.file.read_at(&mut buffer[..most], at);
        }
        if self.ended {
            return Ok(0);
        }
        let count = self.pipe.read(buffer)?;
        self.ended = count == 0;
        if self.bytes + count as u64 > KEPT {
            return Err(io::Error::other(format!(
                "more than {} MiB came through a pipe: save them to a file, and name that",
                KEPT >> 20
            )));
        }
        self.file.write_all_at(&buffer[..count], self.bytes).map_err(|error| {
            io::Error::new(error.kind(), format!("what came through a pipe cannot be kept: {error}"))
        })?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Reads a file that is not large, or what comes through a pipe.
pub(super) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.0.take(SMALL + 1).read_to_end(&mut content)?;
    if content.len() as u64 > SMALL {
        return Err(io::Error::other(format!("it is longer than {} MiB", SMALL >> 20)));
    }
    Ok(content)
}

/// The first of `paths` that is a pipe which an earlier one is as well.
pub(super) fn pipe_named_twice<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Option<&'a Path> {
    let mut pipes = Vec::new();
    paths.into_iter().find(|path| {
        let metadata = if is_stdin(path) {
            io::stdin().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata())
        } else {
            std::fs::metadata(path)
        };
        let Ok(metadata) = metadata else { return false };
        let pipe = (metadata.dev(), metadata.ino());
        let once =
            metadata.file_type().is_fifo() || metadata.file_type().is_socket() || *path == Path::new("-");
        let twice = once && pipes.contains(&pipe);
        if once {
            pipes.push(pipe);
        }
        twice
    })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdin")
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // A socket cannot be opened by its name.
    if is_stdin(path) {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let metadata = file.metadata()?;
        if path == Path::new("-") || !metadata.is_file() {
            return Ok((file, metadata));
        }
    }
    let file = if is_named_pipe(path) { open_pipe(path, PATIENCE)? } else { File::open(path)? };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    Ok((file, metadata))
}

/// Whether it is a FIFO of the file system; those of a shell (`<(…)`) have a writer, and no name there.
fn is_named_pipe(path: &Path) -> bool {
    let real = std::fs::canonicalize(path);
    real.and_then(std::fs::symlink_metadata).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Opens a FIFO when something comes through it within `patience`.
fn open_pipe(path: &Path, patience: Duration) -> io::Result<File> {
    let mut options = File::options();
    let pipe = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout)?;
    if ready == 0 {
        let seconds = patience.as_secs();
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing came through this named pipe for {seconds} s"),
        ));
    }
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(pipe)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nix::sys::stat::Mode;

    use super::*;

    fn fifo() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        (folder, path)
    }

    #[test]
    fn a_pipe_is_read_once_and_its_bytes_twice() {
        let (_folder, path) = fifo();
        let content: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| File::options().write(true).open(&path).unwrap().write_all(&content).unwrap());
            let source = Source::of(&path).unwrap();
            let mut start = vec![0; 100_000];
            source.open().unwrap().read_exact(&mut start).unwrap();
            assert_eq!(start, content[..100_000]);
            for _ in 0..2 {
                let mut all = Vec::new();
                source.open().unwrap().read_to_end(&mut all).unwrap();
                assert_eq!(all, content);
            }
        });
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_not_waited_for_without_end() {
        let (_folder, path) = fifo();
        assert!(is_named_pipe(&path));
        let error = open_pipe(&path, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        assert!(read_small(Path::new("/dev/zero")).unwrap_err().to_string().contains("longer than 1 MiB"));
        assert_eq!(read_small(Path::new("/dev/null")).unwrap(), b"");
    }

    #[test]
    fn a_pipe_is_named_once() {
        let (folder, path) = fifo();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(pipe_named_twice([&*file, &*path, &*file]), None);
        assert_eq!(pipe_named_twice([&*file, &*path, &*file, &*path]), Some(&*path));
    }
}
