//! What all runs on one kernel share.

use std::path::Path;

use super::fork::Forks;
use super::interrupt::Interrupts;
use super::kernels::Kernel;
use super::lane::Seeded;
use super::scratch::Scratch;
use imalab_machine::accel::Accel;

/// Kernel, image, programs and folders that guests are made from.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    /// x86 boot image.
    pub kernel: &'a Path,
    /// Archive with the agent as `/init`.
    pub initramfs: &'a Path,
    /// Kernels that a guest may go on in, by the names that scenarios have for them.
    pub kernels: &'a [Kernel],
    /// What runs the guest's code.
    pub accel: Accel,
    /// QEMU's program.
    pub qemu: &'a Path,
    /// swtpm's program.
    pub swtpm: &'a Path,
    /// Factor of every run's time limits.
    pub timeout_scale: f64,
    /// Where folders that live as long as a machine are made.
    pub scratch: &'a Scratch,
    /// Signals to this process.
    pub interrupts: &'a Interrupts,
    /// In the deterministic lane, what decides; `None`: the host decides.
    pub seeded: Option<Seeded<'a>>,
    /// Saved machines to go on from; none where each machine boots.
    pub forks: Option<&'a Forks>,
    /// Port on which machines wait for a debugger, and have no time limits then.
    pub debugger: Option<u16>,
}
