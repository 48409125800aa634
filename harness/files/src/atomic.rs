//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::partial;

/// A result could not be stored or read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot {action} {}", path.display())]
#[diagnostic(help("{}", hint(action, source)))]
pub struct FileError {
    /// What was tried: `write`, `create the folder`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// What may be done about it.
fn hint(action: &str, error: &io::Error) -> &'static str {
    if action == "read" {
        return match error.kind() {
            io::ErrorKind::NotFound => "there is no such file",
            io::ErrorKind::PermissionDenied => "it may not be read",
            io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory | io::ErrorKind::FileTooLarge => {
                "only regular files are read, and no more of them than imalab itself writes"
            }
            _ => "nothing was changed",
        };
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space or choose another place; nothing was left half-written"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a place that can be written to"
        }
        io::ErrorKind::NotFound => "the folder above it does not exist",
        io::ErrorKind::NotADirectory => "a file stands where a folder should be",
        _ => "nothing was left half-written",
    }
}

impl FileError {
    /// Whether another path would do: nothing is wrong with the host.
    pub fn is_users(&self) -> bool {
        use io::ErrorKind as Kind;
        let loops = self.source.raw_os_error() == Some(nix::libc::ELOOP);
        loops
            || matches!(
                self.source.kind(),
                Kind::NotFound
                    | Kind::NotADirectory
                    | Kind::IsADirectory
                    | Kind::PermissionDenied
                    | Kind::InvalidInput
                    | Kind::InvalidFilename
                    | Kind::FileTooLarge
                    | Kind::AlreadyExists
                    // A FIFO without a reader.
                    | Kind::NotConnected
            )
    }

    /// That `action` failed there.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> FileError {
        FileError { action, path: path.to_owned(), source }
    }
}

/// A file on its way: written beside its final place under a name that starts with a dot and ends in `.partial`, and
/// renamed by [`PendingFile::finish`]. Dropped before that, it vanishes.
#[derive(Debug)]
pub struct PendingFile {
    file: BufWriter<File>,
    partial: TempPath,
    path: PathBuf,
}

impl PendingFile {
    /// Starts the file that is to be at `path`; its folder must exist.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn create(path: &Path) -> Result<PendingFile, FileError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (file, partial) =
            partial::create(folder, &name).map_err(|error| FileError::new("write", path, error))?;
        Ok(PendingFile { file: BufWriter::new(file), partial, path: path.to_owned() })
    }

    /// Where it is going to be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it appear under its name, replacing what was there.
    ///
    /// # Errors
    /// When the last bytes or the new name do not fit on the disk; then the old file, if any, is as it was.
    pub fn finish(self) -> Result<(), FileError> {
        let PendingFile { file, partial, path } = self;
        let file = file.into_inner().map_err(|error| FileError::new("write", &path, error.into_error()))?;
        // Delayed allocation reports a full disk here, and not at the rename.
        file.sync_data().map_err(|error| FileError::new("write", &path, error))?;
        partial.persist(&path).map_err(|error| FileError::new("write", &path, error.error))?;
        Ok(())
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes the file at `path` through `content`, whole or not at all.
///
/// # Errors
/// When the folder cannot be written to, the disk is full, or `content` says so.
pub fn write_with(
    path: &Path,
    content: impl FnOnce(&mut PendingFile) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut file = PendingFile::create(path)?;
    content(&mut file).map_err(|error| FileError::new("write", path, error))?;
    file.finish()
}

/// Writes `bytes` as the file at `path`, whole or not at all.
///
/// # Errors
/// When the folder cannot be written to or the disk is full.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_with(path, |file| file.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn leaves_the_old_file_and_no_other_when_the_content_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        write(&path, b"old").unwrap();
        let error = write_with(&path, |file| {
            file.write_all(&[b'x'; 100_000])?;
            Err(io::Error::from_raw_os_error(nix::libc::ENOSPC))
        })
        .unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["out.json"]);
        let text = format!("{:?}", miette::Report::new(error));
        assert!(
            text.contains("out.json") && text.contains("No space left") && text.contains("free some space"),
            "{text}"
        );
    }

    #[test]
    fn replaces_a_file_and_obeys_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let plain = folder.path().join("plain");
        fs::File::create(&plain).unwrap();
        assert_eq!(path.metadata().unwrap().permissions(), plain.metadata().unwrap().permissions());
    }

    #[test]
    fn a_dropped_file_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = PendingFile::create(&folder.path().join("log.bin")).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn names_the_missing_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/out.json"), b"x").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().ends_with("none/out.json"), "{error}");
    }
}
