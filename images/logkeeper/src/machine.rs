//! The system as it is: folders, lists and TPM of a machine.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use imalab_ima::{Bank, Digest};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use nix::unistd::{UnlinkatFlags, fsync, linkat, unlinkat, write};

use crate::config::Config;
use crate::lists::Lists;
use crate::stored::Stored;
use crate::system_calls::{Access, Folder, OpenError, SystemCalls, errno};
use crate::tpm;
use crate::trust::{Untrusted, trust};

/// Who else is to keep out while records leave the kernel, and who reads: a lock on this file in the folder of shards.
const LOCK: &str = "lock";

/// The one keeper: a lock on this file.
const KEEPER: &str = "keeper.lock";

/// Where shards of earlier boots go, below the folder of shards.
const OLD: &str = "old";

/// Folders, lists and TPM of this machine.
#[derive(Debug)]
pub struct Machine {
    lists: Lists,
    tpm: PathBuf,
    shards: PathBuf,
    folders: [(Folder, Rc<OwnedFd>); 3],
    lock: Option<Flock<File>>,
    /// Held as long as a keeper lives.
    alone: Option<Flock<File>>,
}

/// The machine is not as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A folder cannot be used.
    #[error("{}: {error}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others could have written to a folder.
    #[error("{}: {why}", .path.display())]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// In which way.
        why: Untrusted,
    },
    /// There is a keeper already.
    #[error("another keeper holds {}", .0.display())]
    Another(PathBuf),
}

impl Machine {
    /// Opens the folders of a configuration, as a client that reads.
    ///
    /// # Errors
    ///
    /// [`MachineError`].
    pub fn open(config: &Config) -> Result<Machine, MachineError> {
        let shards = folder(&config.shards, false)?;
        let generation = folder(config.generation_folder(), false)?;
        let old = config.shards.join(OLD);
        let old = if old.exists() { folder(&old, false)? } else { folder(&config.shards, false)? };
        let lists = Lists::open(&config.lists)
            .map_err(|error| MachineError::Folder { path: config.lists.clone(), error })?;
        Ok(Machine {
            lists,
            tpm: config.tpm.clone(),
            shards: config.shards.clone(),
            folders: [(Folder::Shards, shards), (Folder::Old, old), (Folder::Generation, generation)]
                .map(|(of, folder)| (of, Rc::new(folder))),
            lock: None,
            alone: None,
        })
    }

    /// Makes folders that are missing, and is the keeper from now on.
    ///
    /// # Errors
    ///
    /// [`MachineError`]; also when there is a keeper already.
    pub fn keep(config: &Config) -> Result<Machine, MachineError> {
        for path in [&config.shards, &config.shards.join(OLD), &config.generation_folder().to_owned()] {
            folder(path, true)?;
        }
        let mut machine = Machine::open(config)?;
        let path = config.shards.join(KEEPER);
        let file =
            lock_file(&path, true).map_err(|error| MachineError::Folder { path: path.clone(), error })?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(alone) => machine.alone = Some(alone),
            Err((_, Errno::EWOULDBLOCK)) => return Err(MachineError::Another(path)),
            Err((_, errno)) => return Err(MachineError::Folder { path, error: errno.into() }),
        }
        let lock = config.shards.join(LOCK);
        lock_file(&lock, true).map_err(|error| MachineError::Folder { path: lock.clone(), error })?;
        // Whoever reads after a power cut or a kexec has to find it.
        machine
            .sync_names(Folder::Shards)
            .map_err(|errno| MachineError::Folder { path: config.shards.clone(), error: errno.into() })?;
        Ok(machine)
    }

    /// Waits until the keeper is between two steps, and has it wait as long as the answer is kept.
    ///
    /// # Errors
    ///
    /// When there is no lock, and so no keeper has ever been.
    pub fn share(&self) -> Result<Flock<File>, MachineError> {
        let path = self.lock_path();
        let error = |error| MachineError::Folder { path: path.clone(), error };
        let file = lock_file(&path, false).map_err(error)?;
        Flock::lock(file, FlockArg::LockShared).map_err(|(_, errno)| error(errno.into()))
    }

    /// Has the keeper wait as long as the answer is kept; `None`: it is in the middle of a step.
    ///
    /// # Errors
    ///
    /// When there is no lock, and so no keeper has ever been.
    pub fn try_share(&self) -> Result<Option<Flock<File>>, MachineError> {
        let path = self.lock_path();
        let error = |error| MachineError::Folder { path: path.clone(), error };
        let file = lock_file(&path, false).map_err(error)?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(error(errno.into())),
        }
    }

    /// The kernel's folder.
    pub(crate) fn lists(&self) -> &Lists {
        &self.lists
    }

    /// The file that keeper and readers lock.
    pub fn lock_path(&self) -> PathBuf {
        self.shards.join(LOCK)
    }

    fn folder(&self, of: Folder) -> &Rc<OwnedFd> {
        let index = self.folders.iter().position(|(folder, _)| *folder == of).unwrap_or_default();
        &self.folders[index].1
    }
}

/// Opens a folder that nobody else can write to.
fn folder(path: &Path, make: bool) -> Result<OwnedFd, MachineError> {
    let error = |error| MachineError::Folder { path: path.to_owned(), error };
    if make {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(failed) if failed.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.and_then(|()| sync_parent(path)).map_err(error)?,
        }
    }
    let options = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let opened = File::options().read(true).custom_flags(options.bits()).open(path).map_err(error)?;
    let about = opened.metadata().map_err(error)?;
    trust(&about).map_err(|why| MachineError::Untrusted { path: path.to_owned(), why })?;
    Ok(opened.into())
}

/// Has the name of a new folder reach the disk: without it what is synced below is nowhere.
fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// A file to lock. It is never open for writing: a measuring kernel would call that a violation while a reader has it open.
fn lock_file(path: &Path, make: bool) -> io::Result<File> {
    let options = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    // The library's own `create` asks for writing.
    let options = if make { options | OFlag::O_CREAT } else { options };
    File::options().read(true).mode(0o600).custom_flags(options.bits()).open(path)
}

impl SystemCalls for Machine {
    type List = OwnedFd;
    type New = OwnedFd;
    type File = Stored;

    fn list_files(&mut self) -> Result<Vec<(String, u32)>, Errno> {
        let entries = self.lists.entries()?;
        Ok(entries.into_iter().map(|(name, about)| (name, about.st_mode & 0o777)).collect())
    }

    fn open_list(&mut self, name: &str, access: Access) -> Result<OwnedFd, Errno> {
        let access = match access {
            Access::Read => OFlag::O_RDONLY,
            Access::Ask => OFlag::O_RDWR,
        };
        self.lists.file(name, access)
    }

    fn read_list(&mut self, list: &OwnedFd, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
        again(|| pread(list, buffer, offset))
    }

    fn ask(&mut self, list: &OwnedFd, request: &[u8]) -> Result<usize, Errno> {
        // Lists take no pwrite(2) (`seq_open`, `fs/seq_file.c`), and what was read at a place has not moved the descriptor's own.
        // Not again after EINTR: whether it was carried out is for the next look to find out.
        write(list.as_fd(), request)
    }

    fn count(&mut self) -> Result<u64, Errno> {
        let text = self.lists.text("runtime_measurements_count")?;
        text.trim().parse().map_err(|_| Errno::EPROTO)
    }

    fn pcr(&mut self, bank: Bank, pcr: u32) -> Result<Option<Digest>, Errno> {
        match tpm::folder(&self.tpm) {
            Some(folder) => tpm::pcr(&folder, bank, pcr),
            None => Ok(None),
        }
    }

    fn tpm_resets(&mut self) -> Result<Option<u32>, Errno> {
        tpm::resets(&self.tpm)
    }

    fn names(&mut self, folder: Folder) -> Result<Vec<String>, Errno> {
        let opened = openat(self.folder(folder), ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut names = Vec::new();
        for entry in nix::dir::Dir::from_fd(opened)?.iter() {
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(&mut self, folder: Folder, name: &str) -> Result<Stored, OpenError> {
        Stored::find(self.folder(folder), name)
    }

    fn create(&mut self, folder: Folder, name: &str) -> Result<OwnedFd, Errno> {
        // For writing alone: a file that is opened for reading too is measured under many a policy.
        let options = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        openat(self.folder(folder), name, options, Mode::S_IRUSR)
    }

    fn write(&mut self, file: &mut OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        again(|| write(file.as_fd(), bytes))
    }

    fn sync(&mut self, file: &mut OwnedFd) -> Result<(), Errno> {
        again(|| fsync(file.as_fd()))
    }

    fn rename(&mut self, from: (Folder, &str), to: (Folder, &str)) -> Result<(), Errno> {
        renameat(self.folder(from.0), from.1, self.folder(to.0), to.1)
    }

    fn link(&mut self, from: (Folder, &str), to: (Folder, &str)) -> Result<(), Errno> {
        linkat(self.folder(from.0), from.1, self.folder(to.0), to.1, AtFlags::empty())
    }

    fn unlink(&mut self, folder: Folder, name: &str) -> Result<(), Errno> {
        unlinkat(self.folder(folder), name, UnlinkatFlags::NoRemoveDir)
    }

    fn sync_names(&mut self, folder: Folder) -> Result<(), Errno> {
        again(|| fsync(self.folder(folder)))
    }

    fn lock(&mut self) -> Result<bool, Errno> {
        let file = lock_file(&self.lock_path(), true).map_err(errno)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                self.lock = Some(lock);
                Ok(true)
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(false),
            Err((_, errno)) => Err(errno),
        }
    }

    fn unlock(&mut self) {
        self.lock = None;
    }
}

fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
