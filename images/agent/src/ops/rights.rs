//! Takes rights away: capabilities, the user, limits.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Uid, setresuid};

use super::Failure;
use crate::raw;

pub(super) fn drop_capability(capability: u8) -> Result<i64, Failure> {
    raw::drop_capability(capability)?;
    Ok(0)
}

pub(super) fn set_user(uid: u32) -> Result<i64, Failure> {
    let uid = Uid::from_raw(uid);
    setresuid(uid, uid, uid)?;
    Ok(0)
}

pub(super) fn new_user_namespace() -> Result<i64, Failure> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    Ok(0)
}

/// By the numbers of `include/uapi/asm-generic/resource.h`.
const RESOURCES: [Resource; 16] = [
    Resource::RLIMIT_CPU,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_STACK,
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_RSS,
    Resource::RLIMIT_NPROC,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_AS,
    Resource::RLIMIT_LOCKS,
    Resource::RLIMIT_SIGPENDING,
    Resource::RLIMIT_MSGQUEUE,
    Resource::RLIMIT_NICE,
    Resource::RLIMIT_RTPRIO,
    Resource::RLIMIT_RTTIME,
];

pub(super) fn set_limit(resource: u8, limit: u64) -> Result<i64, Failure> {
    let resource = RESOURCES.get(usize::from(resource)).ok_or(Errno::EINVAL)?;
    setrlimit(*resource, limit, limit)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_stand_at_their_numbers() {
        for (number, resource) in (0..).zip(RESOURCES) {
            assert_eq!(resource as u32, number);
        }
    }
}
