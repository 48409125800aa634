//! What the deterministic lane adds to the command line, and takes from it.
//!
//! Two runs are the same when nothing that the guest can see depends on the host: not the order of its processors, its
//! clocks, its random numbers, nor when a device gets on.

use std::path::{Path, PathBuf};

use super::value;

/// What the guest's time stamp counter counts, in MHz: with a counter of instructions QEMU lets it tell nanoseconds of the
/// guest's time (`cpu_get_ticks`, QEMU's `softmmu/cpu-timers.c`).
pub(super) const TSC_MHZ: u32 = 1000;

/// An instruction takes 2 to the power of this nanoseconds of the guest's time, 16.
///
/// Any will do for the order of things. At boot the kernel waits for some 0.15 s in loops, mostly to see how fast its timer
/// is (`calibrate_APIC_clock`), and each turn of a loop ends the processor's slice (`pause`). With 0 those loops are most of
/// what is executed: a boot took 10.1 s of a processor's time, with 4 it took 2.2 s, with 6 it took 1.8 s. The longer an
/// instruction takes, the more of the guest is its own timer interrupt.
const SHIFT: u32 = 4;

/// What the guest's clock of the day begins with.
const BASE: &str = "2026-01-01T00:00:00";

/// A machine in the deterministic lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deterministic {
    /// Decides the guest's random numbers.
    pub seed: u64,
    /// QEMU's plugin of ours.
    pub plugin: PathBuf,
    /// Folder of [`Deterministic::order`] and of what the machine writes.
    pub folder: PathBuf,
}

impl Deterministic {
    /// File with the plugin's order, an `imalab_schedule::Order`.
    #[must_use]
    pub fn order(&self) -> PathBuf {
        self.folder.join("order.json")
    }

    /// File into which the plugin writes an `imalab_schedule::Report`.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.folder.join("schedule.json")
    }

    /// File for what the agent sends.
    ///
    /// QEMU writes a file at once and whole. A socket may be full, for a time that the host decides, and the guest sees that
    /// its messages are not taken.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.folder.join("agent.raw")
    }

    /// File for the console's bytes.
    #[must_use]
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.raw")
    }

    /// The options that are its own.
    pub(super) fn options(&self) -> [(&'static str, String); 4] {
        [
            ("-icount", format!("shift={SHIFT},sleep=off")),
            ("-seed", self.seed.to_string()),
            ("-rtc", format!("base={BASE},clock=vm")),
            ("-plugin", plugin(&self.plugin, &self.order())),
        ]
    }
}

/// The value of `-plugin` for a plugin with its order.
pub(crate) fn plugin(plugin: &Path, order: &Path) -> String {
    format!("{},order={}", value(plugin), value(order))
}
