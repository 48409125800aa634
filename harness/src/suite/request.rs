//! What a suite is asked to run, and the surroundings of its runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::partition::Partition;
use super::seeded::SeededLane;
use super::store::Store;
use crate::run_id::RunId;
use imalab_check::outcome::{AcceleratorUsed, Boot};
use imalab_language::lane::Lane;
use imalab_language::plan::Interface;
use imalab_language::scenario::Scenario;
use imalab_machine::accel::Choice;
use imalab_run::{Forks, Interrupts, Kernel, RunContext, Scratch};

/// What is to be run, and how.
pub struct Request<'a> {
    /// On which kernels.
    pub kernels: &'a [Kernel],
    /// Archive with the agent as `/init`.
    pub initramfs: PathBuf,
    /// Words for every kernel's command line.
    pub kernel_args: Vec<String>,
    /// Which scenarios, in order.
    pub scenarios: &'a [Scenario],
    /// How many machines side by side, at least 1.
    pub jobs: usize,
    /// How often each, at least 1.
    pub repeat: u32,
    /// A scenario's own `race:` says how often instead, where it has one.
    pub raced: bool,
    /// Only these runs, each with this seed; then `repeat` and `seed` are not looked at.
    pub only: Option<BTreeMap<RunId, u64>>,
    /// After so many failed runs no further one begins.
    pub fail_fast: Option<usize>,
    /// Factor of every run's time limits.
    pub timeout_scale: f64,
    /// Port on which the machine of each run waits for a debugger.
    pub debugger: Option<u16>,
    /// The part of it that is run; `None`: the whole.
    pub partition: Option<Partition>,
    /// Seed of the first repetition; each further one adds 1.
    pub seed: u64,
    /// All repetitions have the same seed.
    pub same_seed: bool,
    /// What decides the order in which guests' processors run.
    pub lane: Lane,
    /// What the deterministic lane takes; `None` in the others.
    pub seeded: Option<SeededLane>,
    /// How guests come to their agents' first messages, where they can.
    pub boot: Boot,
    /// Whose promises every kernel is held to; `None`: those of the interface that it is seen to have.
    pub promises: Option<Interface>,
    /// The accelerator, and why this one.
    pub accelerator: Choice,
    /// QEMU's program.
    pub qemu: PathBuf,
    /// swtpm's program.
    pub swtpm: PathBuf,
    /// Folder of what may be kept between calls.
    pub cache: PathBuf,
    /// Where runs leave their evidence.
    pub store: Store,
}

impl Request<'_> {
    /// The surroundings of a run on `kernel`.
    pub fn context<'a>(
        &'a self,
        kernel: &'a Kernel,
        forks: Option<&'a Forks>,
        scratch: &'a Scratch,
        interrupts: &'a Interrupts,
    ) -> RunContext<'a> {
        RunContext {
            kernel: &kernel.image,
            initramfs: &self.initramfs,
            kernels: self.kernels,
            accel: self.accelerator.accel,
            qemu: &self.qemu,
            swtpm: &self.swtpm,
            timeout_scale: self.timeout_scale,
            scratch,
            interrupts,
            seeded: None,
            forks,
            debugger: None,
        }
    }

    /// The same, where the lane is known as well.
    pub(super) fn machine_context<'a>(
        &'a self,
        kernel: &'a Kernel,
        forks: Option<&'a Forks>,
        scratch: &'a Scratch,
        interrupts: &'a Interrupts,
    ) -> RunContext<'a> {
        let seeded = self.seeded.as_ref().map(SeededLane::machine);
        RunContext { seeded, ..self.context(kernel, forks, scratch, interrupts) }
    }

    pub(super) fn accelerator(&self) -> AcceleratorUsed {
        AcceleratorUsed { name: self.accelerator.accel.to_string(), reason: self.accelerator.reason.clone() }
    }
}
