//! The file systems that the agent and every task find.

use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// Where tasks put files to be measured.
pub(crate) const FILES: &str = "/m";
/// Where IMA's files are.
pub(crate) const IMA: &str = "/sys/kernel/security/integrity/ima";

/// Where the kernel wants debugfs.
const DEBUG: &str = "/sys/kernel/debug";

/// What has to be there before the first message can be sent.
pub(crate) fn early() -> Result<(), String> {
    pseudo("devtmpfs", "/dev")?;
    pseudo("sysfs", "/sys")
}

/// `/proc` alone, which tells the kernel's command line; nothing when it is there.
pub(crate) fn proc() -> Result<(), String> {
    if Path::new("/proc/cmdline").exists() {
        return Ok(());
    }
    pseudo("proc", "/proc")
}

/// The rest.
pub(crate) fn late() -> Result<(), String> {
    proc()?;
    pseudo("securityfs", "/sys/kernel/security")?;
    // Where allocations are made to fail; its folder is there when the kernel has it (`debugfs_init`).
    if Path::new(DEBUG).is_dir() {
        pseudo("debugfs", DEBUG)?;
    }
    // Each of a million files is gone before the next, so that memory is what limits; the number of inodes is
    // not limited, and extended attributes are a build option (CONFIG_TMPFS_XATTR) and need none here.
    attach("tmpfs", FILES, Some("mode=0755,size=50%,nr_inodes=0"))
}

fn pseudo(fstype: &str, target: &str) -> Result<(), String> {
    attach(fstype, target, None)
}

fn attach(fstype: &str, target: &str, options: Option<&str>) -> Result<(), String> {
    if !Path::new(target).is_dir() {
        std::fs::create_dir(target).map_err(|error| format!("cannot make {target}: {error}"))?;
    }
    match mount(Some(fstype), target, Some(fstype), MsFlags::MS_NOSUID, options) {
        // The kernel may have mounted it before us (CONFIG_DEVTMPFS_MOUNT).
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(format!("cannot mount {fstype} on {target}: {errno}")),
    }
}
