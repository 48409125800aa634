//! Mounts pseudo file systems.

use nix::mount::{MsFlags, mount};

use super::Failure;

pub(super) fn run(fstype: &str, target: &str) -> Result<i64, Failure> {
    mount(Some(fstype), target, Some(fstype), MsFlags::empty(), None::<&str>)?;
    Ok(0)
}
