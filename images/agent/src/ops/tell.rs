//! Tells whoever watches the machine's processors something of this task.

use imalab_wire::TELL;
use nix::errno::Errno;

use super::Failure;
use crate::raw;

/// The call is seen where the kernel begins it: what the kernel says to it is that there is no such option.
pub(super) fn run(number: u64) -> Result<i64, Failure> {
    match raw::prctl(TELL, number) {
        Err(Errno::EINVAL) => Ok(0),
        Err(errno) => Err(errno.into()),
        Ok(_) => Err(Errno::EPROTO.into()),
    }
}
