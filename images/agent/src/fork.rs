//! The one system call that has no safe wrapper.

use nix::unistd::ForkResult;

/// `fork(2)`.
///
/// The agent has one thread in every process (no crate that it uses starts another), so that the child finds
/// no lock taken by a thread that it does not have.
#[expect(unsafe_code, reason = "fork is unsafe in a process of several threads, and this one has one")]
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: the process has a single thread, see above.
    unsafe { nix::unistd::fork() }
}
