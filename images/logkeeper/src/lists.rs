//! The kernel's folder of lists, past whatever is mounted over its files.
//!
//! The view is bound over the kernel's files, and what it shows it has from them: so whoever takes records out of the kernel, or shows
//! them, reaches the files by a mount of securityfs that nobody else has. It ends with its descriptor.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::sys::statfs::{FsType, fstatfs};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// `SECURITYFS_MAGIC` (`include/uapi/linux/magic.h`).
const SECURITYFS_MAGIC: FsType = FsType(0x7363_6673);

/// The folder, open.
#[derive(Debug)]
pub(crate) struct Lists {
    folder: OwnedFd,
    /// Whether nothing can come over its files.
    pub(crate) own: bool,
}

impl Lists {
    /// Opens the folder at `path`: on securityfs by a mount of its own where the system lets it have one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(crate) fn open(path: &Path) -> io::Result<Lists> {
        let directory = OFlag::O_DIRECTORY.bits();
        let seen: OwnedFd = File::options().read(true).custom_flags(directory).open(path)?.into();
        if fstatfs(&seen)?.filesystem_type() != SECURITYFS_MAGIC {
            return Ok(Lists { folder: seen, own: false });
        }
        let mount = match own_mount() {
            // Without CAP_SYS_ADMIN: then a file that has something else over it is not opened.
            Err(Errno::EPERM | Errno::ENOSYS) => return Ok(Lists { folder: seen, own: false }),
            mount => mount?,
        };
        let inside = inside_of_mount(path)?;
        let options = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        Ok(Lists { folder: openat(&mount, &inside, options, Mode::empty())?, own: true })
    }

    /// Opens one of the files; `EXDEV` for one that has something else over it: a view that opened its own file would wait for itself.
    pub(crate) fn file(&self, name: &str, access: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new().flags(access | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_XDEV);
        openat2(&self.folder, name, how)
    }

    /// Reads one of the short files.
    pub(crate) fn text(&self, name: &str) -> Result<String, Errno> {
        io::read_to_string(File::from(self.file(name, OFlag::O_RDONLY)?)).map_err(crate::system_calls::errno)
    }

    /// Names in the folder, with what they lead to: a link is as the file behind it.
    pub(crate) fn entries(&self) -> Result<Vec<(String, FileStat)>, Errno> {
        let options = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let mut folder = nix::dir::Dir::from_fd(openat(&self.folder, ".", options, Mode::empty())?)?;
        let mut entries = Vec::new();
        for entry in folder.iter() {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if let Ok(about) = fstatat(&self.folder, name, AtFlags::empty()) {
                entries.push((name.to_owned(), about));
            }
        }
        Ok(entries)
    }

    /// Whether a name is that of a link.
    pub(crate) fn is_link(&self, name: &str) -> bool {
        fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|about| about.st_mode & nix::libc::S_IFMT == nix::libc::S_IFLNK)
    }
}

/// securityfs, mounted in no place.
fn own_mount() -> Result<OwnedFd, Errno> {
    let mount = || {
        let context = fsopen("securityfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    mount().map_err(|errno: rustix::io::Errno| Errno::from_raw(errno.raw_os_error()))
}

/// The path of a folder inside the file system that it is on.
fn inside_of_mount(path: &Path) -> io::Result<PathBuf> {
    let path = fs::canonicalize(path)?;
    let device = fs::metadata(&path)?.dev();
    let root = path
        .ancestors()
        .take_while(|path| fs::metadata(path).is_ok_and(|about| about.dev() == device))
        .last();
    let inside = path.strip_prefix(root.unwrap_or(&path)).unwrap_or(Path::new(""));
    Ok(Path::new(".").join(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_inside_of_its_mount() {
        assert_eq!(inside_of_mount(Path::new("/proc/sys/kernel")).unwrap(), Path::new("./sys/kernel"));
        assert_eq!(inside_of_mount(Path::new("/proc")).unwrap(), Path::new("."));
        assert!(inside_of_mount(Path::new("/proc/no-such-folder")).is_err());
    }

    #[test]
    fn a_link_is_as_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("list_sha1"), "five\n").unwrap();
        std::os::unix::fs::symlink("list_sha1", folder.path().join("list")).unwrap();
        std::os::unix::fs::symlink("nothing", folder.path().join("broken")).unwrap();
        let lists = Lists::open(folder.path()).unwrap();
        let mut sizes: Vec<(String, i64)> = lists
            .entries()
            .unwrap()
            .into_iter()
            .filter(|(name, _)| name.starts_with("list"))
            .map(|(name, about)| (name, about.st_size))
            .collect();
        sizes.sort();
        assert_eq!(sizes, [("list".to_owned(), 5), ("list_sha1".to_owned(), 5)]);
        assert!(lists.is_link("list") && !lists.is_link("list_sha1") && !lists.is_link("none"));
        assert_eq!(lists.text("list").unwrap(), "five\n");
    }
}
