//! Files that a user named for results: written whole or not at all where they are regular, and written *through* where
//! they are anything else.
//!
//! A file is replaced by another one under its name, so that nobody ever sees half of it. A device, a FIFO or a link is
//! there for a reason, and stays.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::atomic::{FileError, PendingFile};

/// Longest way from a link to what it leads to, as the kernel has it (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// What a user's path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `-`, or one of its other names.
    Stdout,
    /// The standard error stream, by one of its names.
    Stderr,
    /// A file that is replaced: there already or not, at the end of all links.
    File(PathBuf),
    /// Something that is written into.
    Through(PathBuf),
}

/// Tells what `path` leads to.
///
/// # Errors
/// When nothing can be written there: a folder, a socket, a disk, a folder that is not there.
fn place(path: &Path) -> Result<Place, FileError> {
    let fail = |error| FileError::new("write", path, error);
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        match at.to_str() {
            Some("-") if at == path => return Ok(Place::Stdout),
            Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => return Ok(Place::Stdout),
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => return Ok(Place::Stderr),
            _ => {}
        }
        let kind = match std::fs::symlink_metadata(&at) {
            Ok(meta) => meta.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::File(at)),
            Err(error) => return Err(fail(error)),
        };
        let folder = at.parent().unwrap_or(Path::new("")).to_owned();
        if kind.is_symlink() && [Path::new("/dev/fd"), Path::new("/proc/self/fd")].contains(&folder.as_path())
        {
            // A descriptor of ours: whatever it is open on is meant, and not a file of that name.
            return Ok(Place::Through(at));
        } else if kind.is_symlink() {
            at = folder.join(std::fs::read_link(&at).map_err(fail)?);
        } else if kind.is_file() {
            return Ok(Place::File(at));
        } else if kind.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        } else if kind.is_block_device() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is a disk")));
        } else if kind.is_socket() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is a socket")));
        } else {
            return Ok(Place::Through(at));
        }
    }
    Err(fail(io::Error::from_raw_os_error(nix::libc::ELOOP)))
}

/// A place for results, claimed before there are any: an hour's work is not to be lost to a misspelt folder, or to a FIFO
/// that nobody reads.
#[derive(Debug)]
pub struct Output {
    /// As the user named it.
    path: PathBuf,
    place: Place,
    /// What is written through, open from now on: a FIFO that was closed again would tell its reader that this was all.
    through: Option<File>,
}

impl Output {
    /// Claims what `path` leads to. A file is left as it is until it is written.
    ///
    /// # Errors
    /// When nothing can be written there, or nobody reads from the FIFO.
    pub fn claim(path: &Path) -> Result<Output, FileError> {
        let place = place(path)?;
        let through = match &place {
            Place::Stdout | Place::Stderr => None,
            Place::File(file) => {
                PendingFile::create(file).map(drop).map_err(|error| named(error, path))?;
                None
            }
            Place::Through(there) => {
                Some(through(there).map_err(|error| FileError::new("write", path, error))?)
            }
        };
        Ok(Output { path: path.to_owned(), place, through })
    }

    /// As the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// One name for it, whichever path leads there; two results must not have the same.
    pub fn identity(&self) -> PathBuf {
        identity(&self.place)
    }

    /// Writes all of it at once: a file is replaced by a whole one.
    ///
    /// # Errors
    /// When it cannot be written whole; a file that is replaced is then as it was.
    pub fn write_with(self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), FileError> {
        let fail = |error| FileError::new("write", &self.path, error);
        match (self.place, self.through) {
            (Place::Stdout, _) => whole(&mut io::stdout().lock(), content).map_err(fail),
            (Place::Stderr, _) => whole(&mut io::stderr().lock(), content).map_err(fail),
            (Place::Through(_), Some(file)) => whole(&mut io::BufWriter::new(file), content).map_err(fail),
            (Place::File(there) | Place::Through(there), _) => {
                let mut file = PendingFile::create(&there).map_err(|error| named(error, &self.path))?;
                content(&mut file).map_err(fail)?;
                file.finish().map_err(|error| named(error, &self.path))
            }
        }
    }

    /// Opens it to be written piece by piece, as there is something to write: a file begins empty.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn stream(self) -> Result<Box<dyn Write + Send>, FileError> {
        Ok(match (self.place, self.through) {
            (Place::Stdout, _) => Box::new(io::stdout()),
            (Place::Stderr, _) => Box::new(io::stderr()),
            (Place::Through(_), Some(file)) => Box::new(file),
            (Place::File(there) | Place::Through(there), _) => {
                Box::new(File::create(there).map_err(|error| FileError::new("write", &self.path, error))?)
            }
        })
    }
}

/// One name for a place, whichever way leads there.
fn identity(place: &Place) -> PathBuf {
    match place {
        Place::Stdout => "-".into(),
        Place::Stderr => "/dev/stderr".into(),
        Place::File(path) | Place::Through(path) => {
            let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            folder.join(path.file_name().unwrap_or(OsStr::new("")))
        }
    }
}

/// Writes what `content` makes to what `path` leads to.
///
/// # Errors
/// When it cannot be written whole; a file that is replaced is then as it was.
pub fn write_with(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    Output::claim(path)?.write_with(content)
}

/// Writes `bytes` to what `path` leads to.
///
/// # Errors
/// As [`write_with`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_with(path, |out| out.write_all(bytes))
}

fn whole(out: &mut dyn Write, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    content(out)?;
    out.flush()
}

/// Opens what is there to write into it. A FIFO that nobody reads is an error and not a wait without end.
fn through(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_APPEND;
    let file = OpenOptions::new().write(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(|error| match error.raw_os_error() {
        Some(nix::libc::ENXIO) => {
            io::Error::new(io::ErrorKind::NotConnected, "nobody reads from it: start its reader first")
        }
        _ => error,
    })?;
    // From here on a reader that is slow is waited for.
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
    Ok(file)
}

/// The user's own name for what went wrong at the end of his links.
fn named(error: FileError, path: &Path) -> FileError {
    FileError { path: path.to_owned(), ..error }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("-", Place::Stdout)]
    #[case("/dev/stdout", Place::Stdout)]
    #[case("/proc/self/fd/1", Place::Stdout)]
    #[case("/dev/stderr", Place::Stderr)]
    #[case("/dev/null", Place::Through("/dev/null".into()))]
    #[case("/dev/full", Place::Through("/dev/full".into()))]
    #[case("./-", Place::File("./-".into()))]
    fn well_known_places(#[case] path: &str, #[case] to: Place) {
        assert_eq!(place(Path::new(path)).unwrap(), to);
    }

    #[test]
    fn a_link_stays_and_its_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, far) =
            (folder.path().join("file"), folder.path().join("link"), folder.path().join("far"));
        symlink("file", &link).unwrap();
        symlink("link", &far).unwrap();
        for text in ["new", "newer"] {
            write(&far, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert!(link.is_symlink() && far.is_symlink());
        let identity = |path| Output::claim(path).unwrap().identity();
        assert_eq!(identity(&far), identity(&file));
        symlink("round", folder.path().join("round")).unwrap();
        assert!(write(&folder.path().join("round"), b"x").is_err());
    }

    #[test]
    fn a_device_is_written_into_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("full");
        symlink("/dev/full", &link).unwrap();
        let error = write(&link, &[b'x'; 100_000]).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        write(Path::new("/dev/null"), b"x").unwrap();
        Output::claim(Path::new("/dev/null")).unwrap();
        for device in ["/dev/null", "/dev/full"] {
            assert!(fs::symlink_metadata(device).unwrap().file_type().is_char_device(), "{device}");
        }
    }

    #[test]
    fn a_reader_of_a_fifo_gets_it_and_one_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let error = Output::claim(&fifo).unwrap_err();
        assert!(error.source.to_string().contains("nobody reads"), "{error}");
        // More than a pipe holds, and open before it is written to.
        let mut reader =
            OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&fifo).unwrap();
        let output = Output::claim(&fifo).unwrap();
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        let writer = std::thread::spawn(move || output.write_with(|out| out.write_all(&[b'x'; 300_000])));
        let mut got = Vec::new();
        while got.len() < 300_000 {
            let mut piece = vec![0; 4096];
            let read = reader.read(&mut piece).unwrap();
            got.extend_from_slice(&piece[..read]);
        }
        writer.join().unwrap().unwrap();
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "that was all");
        assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_claimed_file_stays_as_it_is_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "old").unwrap();
        let (whole, pieces) = (Output::claim(&file).unwrap(), Output::claim(&file).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        whole.write_with(|out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let mut pieces = pieces.stream().unwrap();
        for (piece, so_far) in [("a", "a"), ("b", "ab")] {
            pieces.write_all(piece.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), so_far);
        }
    }

    #[rstest]
    #[case::folder("")]
    #[case::no_folder("none/file")]
    fn what_cannot_be_written_to(#[case] name: &str) {
        let folder = tempfile::tempdir().unwrap();
        assert!(Output::claim(&folder.path().join(name)).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
