//! The deterministic lane of a run: what the plugin is told, and what it tells.

mod pins;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use imalab_formats::tpm::fault::How;
use imalab_language::plan::{Hold, MarkAction, Plan};
use imalab_machine::command::Deterministic;
use imalab_schedule::{
    Gate, Order, Report, ReportError, SCHEMA, Stop, Strategy, Symbols, SymbolsError, Watch,
};
use imalab_trace::{Host, MutexHold};
use imalab_wire::SEED;
use sha2::{Digest, Sha256};

pub use pins::known_places;
pub(super) use pins::not_ordered;

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

/// What the kernel executes when the agent says that it waits for a program (`drivers/char/virtio_console.c`), and then when it looks
/// for one (`drivers/firmware/qemu_fw_cfg.c`).
const SAID: &str = "port_fops_write";
const LOOKS: &str = "fw_cfg_sysfs_read_raw";

/// The seed of machines that are booted to be saved, whatever those of the runs are that go on from there.
const BOOT_SEED: u64 = 0;

/// The part of a guest's life that a schedule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// From the boot to the end.
    Whole,
    /// From the boot to where it is saved.
    ToSave,
    /// From the saved machine of this name to the end.
    From(&'a str),
}

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
    #[error("QEMU was killed before it reported the schedule")]
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
    let host_time = |does: MarkAction| match does {
        MarkAction::Read | MarkAction::Quote => false,
        MarkAction::Hold => true,
        MarkAction::Arm(fault) => match fault.how {
            How::Answer { .. } => false,
            How::Lost { .. } | How::Late { .. } => true,
        },
    };
    if plan.marks.iter().any(|mark| host_time(mark.does)) {
        return Some(Unfit::HostTime);
    }
    other_kernels.then_some(Unfit::OtherKernel)
}

impl<'a> Seeded<'a> {
    /// That of the boot which this run and all others of the same plugin go on from.
    pub(super) fn booting(self) -> Seeded<'a> {
        Seeded { seed: BOOT_SEED, strategy: &Strategy::None, plugin: self.plugin, coverage: false }
    }

    /// Bytes for the random numbers of a guest that goes on from a saved one: those of a seed are the same every time.
    pub(super) fn own_bytes(self) -> [u8; SEED] {
        Sha256::new().chain_update("fork").chain_update(self.seed.to_le_bytes()).finalize().into()
    }

    /// Writes the plugin's order for this part of a guest of `kernel` to `folder`, and gives the machine's part of it.
    ///
    /// # Errors
    /// [`SeededError`].
    pub(super) fn prepare(
        self,
        kernel: &Path,
        folder: &Path,
        part: Part<'_>,
        holds: &[Hold],
    ) -> Result<Deterministic, SeededError> {
        let machine =
            Deterministic { seed: self.seed, plugin: self.plugin.to_owned(), folder: folder.to_owned() };
        let symbols = symbols(kernel)?;
        let bad = |source| SeededError::Symbols { path: map_of(kernel), source };
        let order = order(&symbols, self.strategy, machine.report(), part).map_err(bad)?;
        let pins = pins::pins(&symbols, holds).map_err(bad)?;
        let order = Order { coverage: self.coverage, pins, ..order };
        let path = machine.order();
        let text = serde_json::to_vec(&order).map_err(io::Error::other);
        text.and_then(|text| fs::write(&path, text)).map_err(|source| SeededError::Write { path, source })?;
        Ok(machine)
    }
}

fn order(
    symbols: &Symbols,
    strategy: &Strategy,
    report: PathBuf,
    part: Part<'_>,
) -> Result<Order, SymbolsError> {
    let ranges = |what: &str, takes: &dyn Fn(&str) -> bool| match symbols.ranges(takes) {
        none if none.is_empty() => Err(SymbolsError::Unknown(what.into())),
        ranges => Ok(ranges),
    };
    Ok(Order {
        schema: SCHEMA,
        points: ranges("ima_*", &|name| name.starts_with("ima_"))?,
        begin: (part == Part::Whole).then(|| symbols.address(BEGIN)).transpose()?,
        waits: std::iter::once(symbols.address(IDLE)?)
            .chain(SPINS.iter().filter_map(|name| symbols.address(name).ok()))
            .collect(),
        tick: Some(symbols.address(TICK)?),
        ends: ENDS.iter().map(|name| symbols.address(name)).collect::<Result<_, _>>()?,
        stop: match part {
            Part::ToSave => Some(Stop { after: symbols.address(SAID)?, at: symbols.address(LOOKS)? }),
            Part::Whole | Part::From(_) => None,
        },
        from: match part {
            Part::From(name) => Some(name.to_owned()),
            Part::Whole | Part::ToSave => None,
        },
        strategy: strategy.clone(),
        gate: Some(Gate {
            status: TPM_STATUS,
            writers: ranges(WRITERS[0], &|name| WRITERS.contains(&name))?,
        }),
        watch: watch(symbols),
        pins: None,
        coverage: false,
        report,
    })
}

/// The functions that take a mutex (`kernel/locking/mutex.c`).
const TAKES: &[&str] = &["mutex_lock"];
/// Those that take it, or do not because their task is killed meanwhile.
const TRIES: &[&str] = &["mutex_lock_killable", "mutex_lock_interruptible"];

/// The mutex of the lists, where a kernel's symbols tell all that it takes to follow it (`security/integrity/ima/ima_queue.c`,
/// `kernel/locking/mutex.c`).
fn watch(symbols: &Symbols) -> Option<Watch> {
    let appends = symbols.ranges(|name| name == "ima_add_template_entry");
    let mutex = symbols.data("ima_extend_list_mutex").ok()?;
    let gives = symbols.address("mutex_unlock").ok()?;
    let of = |names: &[&str]| names.iter().filter_map(|name| symbols.address(name).ok()).collect::<Vec<_>>();
    let (takes, tries) = (of(TAKES), of(TRIES));
    (!appends.is_empty() && !takes.is_empty()).then_some(Watch { mutex, takes, tries, gives, appends })
}

/// Tells whether the kernel's symbols have all that the lane needs.
///
/// # Errors
/// [`SeededError`].
pub fn has_symbols(image: &Path) -> Result<(), SeededError> {
    match order(&symbols(image)?, &Strategy::None, PathBuf::new(), Part::Whole) {
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

/// The holds of the lists' mutex that a schedule tells, by the names of the functions; nothing where it was not followed.
pub(super) fn holds(report: &Report, kernel: &Path) -> Option<Host> {
    let symbols = symbols(kernel).ok()?;
    watch(&symbols)?;
    let hold = |hold: &imalab_schedule::MutexHold| MutexHold {
        function: symbols.name(hold.at).split('+').next().unwrap_or_default().to_owned(),
        appends: hold.appends,
        waited: hold.waited,
        held: hold.held,
        blocks: hold.blocks,
    };
    Some(Host::Holds { holds: report.holds.iter().map(hold).collect() })
}

fn map_of(image: &Path) -> PathBuf {
    image.with_file_name("System.map")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with all that the lane needs, but for one symbol.
    fn without(lacking: &str) -> Symbols {
        let names = [BEGIN, IDLE, TICK, WRITERS[0], SAID, LOOKS, "ima_queue_stage"].into_iter().chain(ENDS);
        let line = |(at, name)| format!("ffffffff81{at:06x} T {name}\n");
        let mut map: String = (1..).zip(names.filter(|name| *name != lacking)).map(line).collect();
        map.push_str("ffffffff81ffffff T _etext\n");
        Symbols::parse(&map).unwrap()
    }

    #[test]
    fn what_a_kernel_lacks_is_told_by_name() {
        let lacks =
            |lacking: &str, part| order(&without(lacking), &Strategy::None, PathBuf::new(), part).map(drop);
        let unknown = |name: &str| Err(SymbolsError::Unknown(name.into()));
        for name in [ENDS[1], IDLE, TICK, WRITERS[0]] {
            for part in [Part::Whole, Part::ToSave, Part::From("aa")] {
                assert_eq!(lacks(name, part), unknown(name));
            }
        }
        assert_eq!(lacks("ima_queue_stage", Part::Whole), unknown("ima_*"));
        assert_eq!(lacks(BEGIN, Part::Whole), unknown(BEGIN));
        assert_eq!(lacks("nothing", Part::Whole), Ok(()));
    }

    #[test]
    fn a_kernel_that_cannot_be_saved_can_be_booted() {
        for name in [SAID, LOOKS] {
            let order = |part| order(&without(name), &Strategy::None, PathBuf::new(), part);
            assert_eq!(order(Part::ToSave).unwrap_err(), SymbolsError::Unknown(name.into()));
            assert!(order(Part::Whole).is_ok());
        }
    }

    #[test]
    fn a_fork_counts_from_where_its_machine_was_saved() {
        let order = |part| order(&without("nothing"), &Strategy::None, PathBuf::new(), part).unwrap();
        let [whole, to_save, fork] = [Part::Whole, Part::ToSave, Part::From("aa")].map(order);
        assert!(whole.begin.is_some() && to_save.begin.is_none() && fork.begin.is_none());
        assert!(whole.stop.is_none() && to_save.stop.is_some() && fork.stop.is_none());
        assert_eq!([whole.from, to_save.from, fork.from], [None, None, Some("aa".to_owned())]);
    }

    #[test]
    fn the_random_bytes_of_a_fork_are_its_seeds() {
        let bytes = |seed| {
            Seeded { seed, strategy: &Strategy::None, plugin: Path::new(""), coverage: false }.own_bytes()
        };
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }
}
