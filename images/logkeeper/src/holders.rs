//! Who keeps the keeper waiting.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process, by number and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name, as `ps` shows it.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name.escape_debug(), self.pid)
    }
}

/// Other processes that have one of the kernel's lists open, as far as they can be seen.
pub fn holders_of_lists() -> Vec<Holder> {
    let ours = std::process::id();
    let has_list = |pid: u32| {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        open.filter_map(Result::ok).any(|entry| {
            fs::read_link(entry.path()).is_ok_and(|path| is_list(&path))
                && !is_of_view(pid, &entry.file_name().to_string_lossy())
        })
    };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut holders: Vec<Holder> = pids.filter(|pid| *pid != ours && has_list(*pid)).map(holder).collect();
    holders.sort();
    holders
}

/// The path of a file in securityfs begins with `/integrity/ima` where it is mounted nowhere that the reader can see.
fn is_list(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains("_runtime_measurements") && path.parent().is_some_and(|folder| folder.ends_with("ima"))
}

/// Whether an open file is one of the view: it has the path of the kernel's, and keeps nobody waiting. The file itself is not asked,
/// since the view might be waiting for the keeper.
fn is_of_view(pid: u32, descriptor: &str) -> bool {
    let about = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    kind_of_mount(&about, &mounts) == Some(crate::view::KIND)
}

/// The type of the file system of an open file (proc_pid_fdinfo(5), proc_pid_mountinfo(5)).
fn kind_of_mount<'a>(about: &str, mounts: &'a str) -> Option<&'a str> {
    let mount = about.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(mount))?;
    line.split_once(" - ")?.1.split(' ').next()
}

/// Other processes that hold the lock on the file at `path`.
pub fn holders_of_lock(path: &Path) -> Vec<Holder> {
    let Ok(about) = fs::metadata(path) else { return Vec::new() };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let ours = std::process::id();
    pids_of_lock(&locks, about.dev(), about.ino()).filter(|pid| *pid != ours).map(holder).collect()
}

/// `NUMBER: FLOCK ADVISORY READ PID MAJOR:MINOR:INODE START END` (proc_locks(5)).
fn pids_of_lock(locks: &str, device: u64, inode: u64) -> impl Iterator<Item = u32> {
    let major = nix::sys::stat::major(device);
    let minor = nix::sys::stat::minor(device);
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, of, ..] if of == file => pid.parse().ok(),
            _ => None,
        }
    })
}

fn holder(pid: u32) -> Holder {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Holder { pid, name: name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{Flock, FlockArg};
    use rstest::rstest;
    use std::os::fd::AsRawFd;

    #[rstest]
    #[case("/sys/kernel/security/integrity/ima/ascii_runtime_measurements_sha1", true)]
    #[case("/integrity/ima/binary_runtime_measurements_sha256_staged", true)]
    #[case("/sys/kernel/security/ima/policy", false)]
    #[case("/tmp/binary_runtime_measurements", false)]
    fn a_list_is_known_by_its_path(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_list(Path::new(path)), expected);
    }

    #[test]
    fn a_reader_of_the_view_is_told_from_one_of_the_kernels_list() {
        let about = |mount: u32| format!("pos:\t0\nflags:\t0100000\nmnt_id:\t{mount}\nino:\t2\n");
        let mounts = "64 24 0:52 /x /lists/x rw shared:1 - fuse.imalog logkeeper rw\n65 24 0:7 / /s rw - securityfs s rw\n";
        assert_eq!(kind_of_mount(&about(64), mounts), Some("fuse.imalog"));
        assert_eq!(kind_of_mount(&about(65), mounts), Some("securityfs"));
        // Mounted in no place.
        assert_eq!(kind_of_mount(&about(6), mounts), None);
        let file = fs::File::open("/proc/self/stat").unwrap();
        let own = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert_eq!(kind_of_mount(&own, &mounts), Some("proc"));
    }

    #[test]
    fn the_one_who_locks_is_found() {
        let locks = "1: FLOCK  ADVISORY  READ 77 00:1f:1234 0 EOF\n2: POSIX  ADVISORY  READ 78 00:1f:1234 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 79 00:1f:1234 0 EOF\n3: FLOCK  ADVISORY  READ 80 00:1f:1235 0 EOF\n";
        let device = nix::sys::stat::makedev(0, 0x1f);
        assert_eq!(pids_of_lock(locks, device, 1234).collect::<Vec<_>>(), [77]);
    }

    #[test]
    fn a_lock_of_our_own_is_nobody_elses() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let _lock = Flock::lock(file.reopen().unwrap(), FlockArg::LockShared).unwrap();
        assert_eq!(holders_of_lock(file.path()), []);
    }
}
