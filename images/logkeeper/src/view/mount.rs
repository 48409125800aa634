//! Puts the view in the place of the kernel's files, and takes it away again.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// The type of the file system in `/proc/self/mountinfo`. A policy of IMA tells it from others of FUSE by what follows the dot.
pub(crate) const KIND: &str = "fuse.imalog";

/// Where it is until its files are bound.
pub(crate) const PLACE: &str = "/run/logkeeper-view";

/// A mount, as `/proc/self/mountinfo` tells of it (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Major and minor number of the file system's device.
    pub(crate) device: String,
    pub(crate) place: PathBuf,
    pub(crate) kind: String,
}

/// The folder in which the view is mounted; nobody else mounts one as long as the lock is held.
pub(crate) fn alone() -> io::Result<Option<Flock<File>>> {
    match DirBuilder::new().mode(0o700).create(PLACE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let options = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let folder = File::options().read(true).custom_flags(options.bits()).open(PLACE)?;
    if crate::trust::trust(&folder.metadata()?).is_err() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Mounts a file system whose requests come by the descriptor.
pub(crate) fn mount_view() -> io::Result<OwnedFd> {
    let device =
        File::options().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open("/dev/fuse")?;
    // The kernel itself looks at owner and mode before it asks for anything, of everybody.
    let options = format!(
        "fd={},rootmode=40555,user_id=0,group_id=0,default_permissions,allow_other",
        device.as_raw_fd()
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
    mount(Some("logkeeper"), PLACE, Some(KIND), flags, Some(options.as_str()))?;
    Ok(device.into())
}

/// Shows these files of the view in place of the kernel's in `lists`, and in no other place.
pub(crate) fn bind<'a>(lists: &Path, names: impl Iterator<Item = &'a str>) -> io::Result<()> {
    for name in names {
        let from = Path::new(PLACE).join(name);
        mount(Some(&from), &lists.join(name), None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    umount2(PLACE, MntFlags::MNT_DETACH)?;
    Ok(())
}

/// The number of the device that is mounted in [`PLACE`].
pub(crate) fn device() -> io::Result<String> {
    mounted()?
        .into_iter()
        .rev()
        .find(|mounted| mounted.kind == KIND && mounted.place == Path::new(PLACE))
        .map(|mounted| mounted.device)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Takes views away, so that the kernel's own files are seen: all of them, or that of one device. Gives how many mounts there were.
pub(crate) fn unbind(of: Option<&str>) -> io::Result<usize> {
    let mut ended = 0;
    for mounted in mounted()?.iter().rev().filter(|mounted| mounted.kind == KIND) {
        if of.is_none_or(|device| mounted.device == device) {
            match umount2(&mounted.place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
                // Somebody else was faster.
                Err(Errno::EINVAL | Errno::ENOENT) => {}
                unmounted => unmounted.map(|()| ended += 1)?,
            }
        }
    }
    Ok(ended)
}

fn mounted() -> io::Result<Vec<Mounted>> {
    Ok(fs::read_to_string("/proc/self/mountinfo")?.lines().filter_map(Mounted::parse).collect())
}

impl Mounted {
    /// `ID PARENT MAJOR:MINOR ROOT PLACE OPTIONS [OPTIONAL…] - KIND SOURCE OPTIONS`
    fn parse(line: &str) -> Option<Mounted> {
        let (mount, system) = line.split_once(" - ")?;
        let mut words = mount.split(' ').skip(2);
        let device = words.next()?.to_owned();
        let place = unescape(words.nth(1)?);
        Some(Mounted { device, place: place.into(), kind: system.split(' ').next()?.to_owned() })
    }
}

/// White space and backslashes are written in octal.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let line = "96 24 0:52 /violations /sys/kernel/sec\\040urity/violations rw,nosuid shared:5 master:1 - fuse.imalog \
                    logkeeper rw,user_id=0";
        let place = "/sys/kernel/sec urity/violations".into();
        assert_eq!(
            Mounted::parse(line),
            Some(Mounted { device: "0:52".into(), place, kind: "fuse.imalog".into() })
        );
        assert_eq!(Mounted::parse("96 24 0:52 /"), None);
        assert!(!mounted().unwrap().is_empty());
    }
}
