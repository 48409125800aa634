//! The cache outside of the checkout: sources, kernels, images; never half a one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::say::say;

/// Extension of a folder that is still being filled.
const UNFINISHED: &str = "unfinished";
/// Extension of the lock beside a cache entry.
const LOCK: &str = "lock";

/// `$XDG_CACHE_HOME/imalab`, or `~/.cache/imalab`.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds the cache's place from the environment and makes the folder.
    pub fn open() -> Result<Self> {
        // The XDG base directory specification: a relative path is to be ignored.
        let base = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .context("no place for a cache: neither XDG_CACHE_HOME nor HOME is set")?;
        Self::at(base.join("imalab"))
    }

    /// A cache in the folder `root`, which is made.
    pub fn at(root: PathBuf) -> Result<Self> {
        fs::create_dir_all(&root).with_context(|| {
            format!("cannot make the cache {}; XDG_CACHE_HOME names another place", root.display())
        })?;
        Ok(Self { root })
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The room `name` of the cache, which is made.
    pub fn room(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// A folder to work in by that name, one at a time. It goes away when it is dropped; what somebody left who was killed
    /// goes first.
    pub fn scratch(&self, name: &str) -> Result<Unfinished> {
        let path = self.room("work")?.join(name);
        Unfinished::start(&path, lock(&path, name)?)
    }
}

/// An exclusive hold on a name in the cache. The kernel frees it when we die, however we die.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    _file: File,
}

/// Takes the lock beside `path`, waiting for another imalab when it has to, and says so.
pub fn lock(path: &Path, what: &str) -> Result<Lock> {
    let lock_path = with_extension(path, LOCK);
    let file = open_lock(&lock_path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            say!("waiting for another imalab that is busy with {what} ({})", lock_path.display());
            file.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;
        }
        Err(fs::TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", lock_path.display()));
        }
    }
    touch(path);
    Ok(Lock { _file: file })
}

/// Takes the lock beside `path` unless another imalab has it.
pub fn lock_if_free(path: &Path) -> Result<Option<Lock>> {
    let lock_path = with_extension(path, LOCK);
    let file = open_lock(&lock_path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", lock_path.display()))
        }
    }
}

fn open_lock(path: &Path) -> Result<File> {
    // Never truncated or removed: another process may hold it at this moment.
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open the lock {}", path.display()))
}

/// A cache entry that is being filled: a folder beside its final place. Dropped, it goes away.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    target: PathBuf,
    _lock: Lock,
}

impl Unfinished {
    /// Starts to fill the entry `target`, whose lock the caller hands over.
    pub fn start(target: &Path, lock: Lock) -> Result<Self> {
        let path = with_extension(target, UNFINISHED);
        remove(&path)?;
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, target: target.to_path_buf(), _lock: lock })
    }

    /// The folder to fill.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the folder to its final place; before that, everything in it reaches the disk.
    pub fn finish(self) -> Result<()> {
        sync_tree(&self.path)?;
        // An entry without its description is one that somebody damaged; it makes way.
        remove(&self.target)?;
        fs::rename(&self.path, &self.target)
            .with_context(|| format!("cannot move {} in place", self.path.display()))?;
        if let Some(parent) = self.target.parent() {
            File::open(parent)
                .and_then(|folder| folder.sync_all())
                .with_context(|| format!("cannot sync {}", parent.display()))?;
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            say!("warning: {error:#}");
        }
    }
}

/// Notes that the entry `path` is used: by the time of its lock, since programs below it may be years old.
pub fn touch(path: &Path) {
    // A cache that cannot be written to is one that nobody makes room in.
    let _ = open_lock(&with_extension(path, LOCK)).and_then(|lock| Ok(lock.set_modified(SystemTime::now())?));
}

/// When [`touch`] last noted something, or the lock was made.
pub(crate) fn touched(path: &Path) -> Option<SystemTime> {
    fs::metadata(with_extension(path, LOCK)).ok()?.modified().ok()
}

/// Removes the entry `path`, whose lock the caller hands over. Killed half-way, nothing that could be taken for the entry is left.
pub(crate) fn discard(path: &Path, lock: Lock) -> Result<()> {
    let aside = with_extension(path, UNFINISHED);
    remove(&aside)?;
    fs::rename(path, &aside).with_context(|| format!("cannot remove {}", path.display()))?;
    remove(&aside)?;
    drop(lock);
    Ok(())
}

/// Whether `path` lies beside an entry, and is none.
pub(crate) fn is_aside(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    hidden
        || path.extension().is_some_and(|extension| extension == LOCK || extension == UNFINISHED)
        || path.ends_with(LOCK)
}

/// Removes what killed builds have left in `room`: unfinished folders whose lock nobody holds.
pub fn sweep(room: &Path) -> Result<()> {
    for entry in fs::read_dir(room).with_context(|| format!("cannot read {}", room.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", room.display()))?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            let file = open_lock(&path.with_extension(LOCK))?;
            if file.try_lock().is_ok() {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Appends an extension; names here contain dots ("7.3.4"), which `Path::with_extension` would cut.
fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// Removes a file or a folder with all it holds; it need not exist.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn sync_tree(path: &Path) -> Result<()> {
    let sync = || -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(path)?.sync_all()
    };
    sync().with_context(|| format!("cannot sync {}", path.display()))
}

/// Writes `bytes` to `path` so that a reader sees either the old file or the whole new one.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut file, bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Copies the folder `from` with all it holds to `to`, which is made.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
        if kind.is_dir() {
            copy_folder(&path, &target)?;
        } else if kind.is_symlink() {
            fs::read_link(&path)
                .and_then(|leads_to| std::os::unix::fs::symlink(leads_to, &target))
                .with_context(|| format!("cannot copy {} to {}", path.display(), target.display()))?;
        } else {
            fs::copy(&path, &target)
                .with_context(|| format!("cannot copy {} to {}", path.display(), target.display()))?;
        }
    }
    Ok(())
}

/// Every file below the folder `path`; links are none.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let unreadable = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            let kind = entry.file_type().with_context(unreadable)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// SHA-256 of a file, in lower-case hexadecimal digits.
pub fn sha256_of_file(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        if count == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}

/// SHA-256 over named parts; no two lists of parts run together to the same bytes.
pub fn sha256_of_parts<'a>(parts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = Sha256::new();
    for (name, value) in parts {
        for bytes in [name.as_bytes(), value] {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
    }
    hex(&hasher.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails unless the file system of `path` has `needed` bytes free for us.
pub fn require_space(path: &Path, needed: u64) -> Result<()> {
    let free = free_space(path)?;
    if free < needed {
        bail!(
            "{} has {} MiB free, and this needs {} MiB; make room, or point XDG_CACHE_HOME elsewhere",
            path.display(),
            free >> 20,
            needed >> 20
        );
    }
    Ok(())
}

/// Bytes free for us on the file system of `path`.
pub fn free_space(path: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)
        .with_context(|| format!("cannot ask for the free space of {}", path.display()))?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Bytes that the files below `path` take on disk.
pub fn size(path: &Path) -> Result<u64> {
    /// The unit of `st_blocks` (stat(2)).
    const BLOCK: u64 = 512;
    let mut total = 0;
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // Other imalabs come and go; what vanishes meanwhile takes no space.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            total += std::os::unix::fs::MetadataExt::blocks(&metadata) * BLOCK;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(cache: &Cache) -> PathBuf {
        cache.room("kernels").unwrap().join("7.3.4-abc")
    }

    #[test]
    fn a_finished_entry_appears_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let target = entry(&cache);
        let unfinished = Unfinished::start(&target, lock(&target, "a kernel").unwrap()).unwrap();
        fs::write(unfinished.path().join("bzImage"), b"kernel").unwrap();
        assert!(!target.exists());
        unfinished.finish().unwrap();
        assert_eq!(fs::read(target.join("bzImage")).unwrap(), b"kernel");
        assert!(!with_extension(&target, UNFINISHED).exists());
    }

    #[test]
    fn a_folder_to_work_in_is_empty_and_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_path_buf()).unwrap();
        let killed = cache.room("work").unwrap().join("series.unfinished");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join("left"), b"half").unwrap();
        let scratch = cache.scratch("series").unwrap();
        assert_eq!(scratch.path(), killed);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        drop(scratch);
        assert!(!killed.exists());
    }

    #[test]
    fn an_entry_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_path_buf()).unwrap();
        let target = entry(&cache);
        let unfinished = Unfinished::start(&target, lock(&target, "a kernel").unwrap()).unwrap();
        fs::write(unfinished.path().join("vmlinux"), b"half").unwrap();
        drop(unfinished);
        assert!(!target.exists());
        assert!(!with_extension(&target, UNFINISHED).exists());
    }

    #[test]
    fn sweeping_spares_what_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_path_buf()).unwrap();
        let room = cache.room("kernels").unwrap();
        let busy = room.join("7.3.4-busy");
        let under_way = Unfinished::start(&busy, lock(&busy, "a kernel").unwrap()).unwrap();
        let stale = room.join("7.3.4-stale.unfinished");
        fs::create_dir(&stale).unwrap();
        fs::write(stale.join("vmlinux"), b"half").unwrap();
        sweep(&room).unwrap();
        assert!(under_way.path().exists());
        assert!(!stale.exists());
    }

    #[test]
    fn parts_do_not_run_together() {
        let one = sha256_of_parts([("a", b"bc".as_slice()), ("d", b"".as_slice())]);
        let other = sha256_of_parts([("ab", b"c".as_slice()), ("d", b"".as_slice())]);
        assert_ne!(one, other);
    }

    #[test]
    fn sha256_of_a_file_is_the_published_value() {
        // FIPS 180-2, appendix B.1: the digest of "abc".
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, b"abc").unwrap();
        assert_eq!(
            sha256_of_file(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn space_that_no_disk_has_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(require_space(folder.path(), u64::MAX).is_err());
        require_space(folder.path(), 1).unwrap();
    }
}
