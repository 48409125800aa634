//! The deterministic lane of a run: what the plugin is told, and what it tells.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imalab_formats::tpm::fault::How;
use imalab_language::plan::{MarkDeed, Plan};
use imalab_machine::command::Deterministic;
use imalab_schedule::{Gate, Order, Report, ReportError, SCHEMA, Strategy, Symbols, SymbolsError};

/// The TIS register `TPM_STS` of locality 0, which is the kernel's (TCG PC Client Platform TPM Profile, 6.2).
const TPM_STATUS: u64 = 0xfed4_0018;

/// The kernel's functions that store to a TPM's registers (`tpm_tcg_write_bytes`, `drivers/char/tpm/tpm_tis.c`; `lib/iomap.c`).
const WRITERS: [&str; 3] = ["tpm_tcg_write_bytes", "iowrite8", "iowrite32"];

/// Before the kernel starts the agent (`kernel_init`, `init/main.c`).
const BEGIN: &str = "free_initmem";

/// What a processor executes that has nothing to do (`kernel/sched/idle.c`).
const IDLE: &str = "default_idle_call";

/// What it executes when somebody else has the lock that it wants (`kernel/locking/qspinlock.c`; by its second name with
/// `CONFIG_PARAVIRT_SPINLOCKS`).
const SPINS: [&str; 2] = ["queued_spin_lock_slowpath", "native_queued_spin_lock_slowpath"];

/// What each tick of a processor's timer executes (`kernel/time/timer.c`).
const TICK: &str = "update_process_times";

/// By which a kernel ends (`arch/x86/kernel/reboot.c`). What it still does then depends on when the host notices.
const ENDS: [&str; 4] = ["machine_power_off", "machine_restart", "machine_emergency_restart", "machine_halt"];

/// What a run in the deterministic lane takes.
#[derive(Clone, Copy, Debug)]
pub struct Seeded<'a> {
    /// Decides the guest's random numbers.
    pub seed: u64,
    /// Who decides when a processor is preempted.
    pub strategy: &'a Strategy,
    /// QEMU's plugin of ours.
    pub plugin: &'a Path,
    /// The schedule's report tells what the run came to.
    pub coverage: bool,
}

/// Why a run cannot be had in the deterministic lane.
#[derive(Debug, thiserror::Error)]
pub enum SeededError {
    /// The kernel has no symbols.
    #[error("the deterministic lane needs the kernel's symbols, and {} cannot be read", path.display())]
    NoSymbols {
        /// Where they should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// They are of no use.
    #[error("{}", path.display())]
    Symbols {
        /// Where they are.
        path: PathBuf,
        /// What is wrong with them.
        source: SymbolsError,
    },
    /// The plugin's order cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a run in the deterministic lane leaves of its schedule.
#[derive(Debug, thiserror::Error)]
pub enum NoReport {
    /// The plugin has written none: QEMU was killed before the guest's end.
    #[error("QEMU was killed before it told the schedule")]
    None,
    /// It is not one.
    #[error(transparent)]
    Bad(#[from] ReportError),
}

/// Why a plan makes no sense in this lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It has the TPM held, late or silent in host time, which no guest can see here.
    HostTime,
    /// It goes on in another kernel, whose code is at other addresses.
    OtherKernel,
}

/// Why `plan` makes no sense in this lane; `None`: it does.
pub fn unfit(plan: &Plan, other_kernels: bool) -> Option<Unfit> {
    let host_time = |does: MarkDeed| match does {
        MarkDeed::Read | MarkDeed::Quote => false,
        MarkDeed::Hold => true,
        MarkDeed::Arm(fault) => match fault.how {
            How::Answer { .. } => false,
            How::Lost { .. } | How::Late { .. } => true,
        },
    };
    if plan.marks.iter().any(|mark| host_time(mark.does)) {
        return Some(Unfit::HostTime);
    }
    other_kernels.then_some(Unfit::OtherKernel)
}

impl Seeded<'_> {
    /// Writes the plugin's order for a run on `kernel` to `folder`, and gives the machine's part of it.
    ///
    /// # Errors
    /// [`SeededError`].
    pub(super) fn prepare(self, kernel: &Path, folder: &Path) -> Result<Deterministic, SeededError> {
        let machine =
            Deterministic { seed: self.seed, plugin: self.plugin.to_owned(), folder: folder.to_owned() };
        let order = order(&symbols(kernel)?, self.strategy, machine.report())
            .map_err(|source| SeededError::Symbols { path: map_of(kernel), source })?;
        let order = Order { coverage: self.coverage, ..order };
        let path = machine.order();
        let text = serde_json::to_vec(&order).map_err(io::Error::other);
        text.and_then(|text| fs::write(&path, text)).map_err(|source| SeededError::Write { path, source })?;
        Ok(machine)
    }
}

fn order(symbols: &Symbols, strategy: &Strategy, report: PathBuf) -> Result<Order, SymbolsError> {
    let ranges = |what: &str, takes: &dyn Fn(&str) -> bool| match symbols.ranges(takes) {
        none if none.is_empty() => Err(SymbolsError::Unknown(what.into())),
        ranges => Ok(ranges),
    };
    Ok(Order {
        schema: SCHEMA,
        points: ranges("ima_*", &|name| name.starts_with("ima_"))?,
        begin: Some(symbols.address(BEGIN)?),
        waits: std::iter::once(symbols.address(IDLE)?)
            .chain(SPINS.iter().filter_map(|name| symbols.address(name).ok()))
            .collect(),
        tick: Some(symbols.address(TICK)?),
        ends: ENDS.iter().map(|name| symbols.address(name)).collect::<Result<_, _>>()?,
        strategy: strategy.clone(),
        gate: Some(Gate {
            status: TPM_STATUS,
            writers: ranges(WRITERS[0], &|name| WRITERS.contains(&name))?,
        }),
        coverage: false,
        report,
    })
}

/// Tells whether the kernel's symbols have all that the lane needs.
///
/// # Errors
/// [`SeededError`].
pub fn has_symbols(image: &Path) -> Result<(), SeededError> {
    match order(&symbols(image)?, &Strategy::None, PathBuf::new()) {
        Ok(_) => Ok(()),
        Err(source) => Err(SeededError::Symbols { path: map_of(image), source }),
    }
}

/// Reads what the plugin has told.
///
/// # Errors
/// [`NoReport`].
pub(super) fn report(folder: &Path) -> Result<Report, NoReport> {
    let text = fs::read(folder.join("schedule.json")).map_err(|_| NoReport::None)?;
    Ok(Report::parse(&text)?)
}

/// Symbols of a kernel's image: its build leaves them beside it.
///
/// # Errors
/// [`SeededError`].
pub fn symbols(image: &Path) -> Result<Symbols, SeededError> {
    let path = map_of(image);
    let text =
        fs::read_to_string(&path).map_err(|source| SeededError::NoSymbols { path: path.clone(), source })?;
    Symbols::parse(&text).map_err(|source| SeededError::Symbols { path, source })
}

fn map_of(image: &Path) -> PathBuf {
    image.with_file_name("System.map")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with all that the lane needs, but for one symbol.
    fn without(lacking: &str) -> Symbols {
        let names = [BEGIN, IDLE, TICK, WRITERS[0], "ima_queue_stage"].into_iter().chain(ENDS);
        let line = |(at, name)| format!("ffffffff81{at:06x} T {name}\n");
        let mut map: String = (1..).zip(names.filter(|name| *name != lacking)).map(line).collect();
        map.push_str("ffffffff81ffffff T _etext\n");
        Symbols::parse(&map).unwrap()
    }

    #[test]
    fn what_a_kernel_lacks_is_told_by_name() {
        let own = [BEGIN, ENDS[1], IDLE, TICK, WRITERS[0]].map(|name| (name, name));
        for (lacking, told) in own.into_iter().chain([("ima_queue_stage", "ima_*")]) {
            let error = order(&without(lacking), &Strategy::None, PathBuf::new()).unwrap_err();
            assert_eq!(error, SymbolsError::Unknown(told.into()));
        }
        assert!(order(&without("nothing"), &Strategy::None, PathBuf::new()).is_ok());
    }
}
