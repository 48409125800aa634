//! Folders for what lives only as long as a machine: TPM state, programs, sockets' stand-ins.
//!
//! A folder is locked by its owner for as long as it lives. One whose owner was killed is no longer locked,
//! and the next call removes it.
//!
//! They lie in memory where there is a place for that: swtpm waits for the disk (`fsync`) whenever the TPM's state changes,
//! on a busy disk for longer than the guest waits for its TPM.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// Why no scratch folder could be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot make a scratch folder in {}", place.display())]
#[diagnostic(help("it needs room and the right to write there; XDG_RUNTIME_DIR names another place"))]
pub struct ScratchError {
    place: PathBuf,
    source: io::Error,
}

/// The scratch folder of this process; gone when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    _lock: File,
}

/// Memory that every user may make folders in.
const SHARED: &str = "/dev/shm";

const LOCK: &str = "lock";
const PREFIX: &str = "run-";

/// Where this user's scratch folders go: `$XDG_RUNTIME_DIR` (XDG Base Directory Specification), else memory that all share,
/// else `otherwise`.
pub fn place(otherwise: &Path) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime
        .filter(|folder| folder.is_absolute() && folder.is_dir())
        .map(|folder| folder.join("imalab"))
        .or_else(|| own(Path::new(SHARED)))
        .unwrap_or_else(|| otherwise.to_owned())
}

/// A folder of this user's alone in one that all can write to. `None` when somebody else has put something there.
fn own(shared: &Path) -> Option<PathBuf> {
    let user = Uid::effective();
    let folder = shared.join(format!("imalab-{user}"));
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    // Not what a link leads to.
    let found = fs::symlink_metadata(&folder).ok()?;
    let ours = found.is_dir() && found.uid() == user.as_raw() && found.mode() & 0o077 == 0;
    (ours && made.err().is_none_or(|error| error.kind() == io::ErrorKind::AlreadyExists)).then_some(folder)
}

impl Scratch {
    /// Makes one below `place`, after removing those that killed processes left there.
    ///
    /// # Errors
    /// When `place` cannot be made or written.
    pub fn new(place: &Path) -> Result<Scratch, ScratchError> {
        let error = |source| ScratchError { place: place.to_owned(), source };
        fs::create_dir_all(place).map_err(error)?;
        // One sweep at a time: it keeps a folder that is made but not yet locked from being swept.
        let sweep = File::create(place.join(LOCK)).map_err(error)?;
        sweep.lock().map_err(error)?;
        remove_abandoned(place).map_err(error)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place).map_err(error)?;
        let lock = File::create(folder.path().join(LOCK)).map_err(error)?;
        lock.lock().map_err(error)?;
        Ok(Scratch { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A fresh folder for one run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self) -> Result<tempfile::TempDir, ScratchError> {
        tempfile::Builder::new()
            .prefix("machine-")
            .tempdir_in(self.folder.path())
            .map_err(|source| ScratchError { place: self.folder.path().to_owned(), source })
    }
}

fn remove_abandoned(place: &Path) -> io::Result<()> {
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let abandoned = match File::open(path.join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => return Err(error),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        if abandoned {
            remove(&path)?;
        }
    }
    Ok(())
}

/// An owner that ends removes its folder itself: it may be gone by now, its lock before it.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_among_others_is_ours_alone() {
        let shared = tempfile::tempdir().unwrap();
        let folder = own(shared.path()).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(own(shared.path()), Some(folder.clone()), "again");

        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(own(shared.path()), None, "others can write to it");
        fs::remove_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/etc", &folder).unwrap();
        assert_eq!(own(shared.path()), None, "a link");
        assert_eq!(own(&shared.path().join("none")), None, "no shared memory");
    }

    #[test]
    fn a_folder_that_its_owner_has_removed_meanwhile_is_no_trouble() {
        let place = tempfile::tempdir().unwrap();
        remove(&place.path().join("run-ended")).unwrap();
        File::create(place.path().join("file")).unwrap();
        remove(&place.path().join("file")).unwrap_err();
    }

    /// Owners that end while others begin.
    #[test]
    fn many_come_and_go_at_once() {
        let place = tempfile::tempdir().unwrap();
        let come_and_go = || (0..200).for_each(|_| drop(Scratch::new(place.path()).unwrap()));
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(come_and_go))));
    }

    #[test]
    fn a_living_owner_keeps_its_folder_and_a_dead_one_loses_it() {
        let place = tempfile::tempdir().unwrap();
        let living = Scratch::new(place.path()).unwrap();
        let abandoned = place.path().join("run-killed");
        fs::create_dir(&abandoned).unwrap();
        File::create(abandoned.join(LOCK)).unwrap();
        let kept = living.folder().unwrap();
        let second = Scratch::new(place.path()).unwrap();
        assert!(kept.path().exists(), "the first owner still lives");
        assert!(!abandoned.exists(), "nobody holds its lock");
        let path = second.folder.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }
}
