//! Finding out what a kernel offers, by asking for it.
//!
//! A kernel is booted with [`first`] and, when [`second`] asks for it, once more. Two boots, since
//! `ima_flush_htable` cannot be undone in a running kernel, and with it mainline refuses every trim. Each interface is
//! asked for in its own words. [`third`] goes on in another boot: a kernel that does not come back from it has lost
//! nothing that was to be found out.
//!
//! What a kernel offers is told by what is there and what it takes: files and their modes, boot options, requests that
//! are accepted. Whether it then does what was promised is another question, and its answer a
//! [finding](super::ProbeFinding): a broken feature that passed for a missing one would skip every scenario that shows
//! how it is broken.

mod answers;
mod flush;
mod kexec;
mod listed;

use imalab_wire::{End, Message, Op, Program, Setup, Slot, Start, Step, StepId, Task};
use nix::fcntl::OFlag;

pub use flush::{second, with_second, without_second};
pub use kexec::{third, with_third, without_third};

use self::answers::Answers;
use super::{Capabilities, Capability, IMA, MEASURED, TPM, adapter, read_whole, request};
use crate::plan::{BOOT_RECORDS, Interface};
use crate::scenario::DEFAULT_POLICY;

/// Boot option that makes a delete forget digests.
pub const FLUSH: &str = "ima_flush_htable";

/// Present whenever the kernel can kexec (`kernel/ksysfs.c`, `kernel/kexec_core.c`).
const KEXEC_LOADED: &str = "/sys/kernel/kexec_loaded";

/// Present when a kernel can be loaded for a panic (`kernel/kexec_core.c`; `CONFIG_CRASH_DUMP` since 6.9).
const CRASH_LOADED: &str = "/sys/kernel/kexec_crash_loaded";

/// Takes the key that makes a kernel panic (`drivers/tty/sysrq.c`).
const SYSRQ: &str = "/proc/sysrq-trigger";

/// Present when allocations can be made to fail, and debugfs is mounted (`failslab_debugfs_init`, `mm/failslab.c`).
const FAILSLAB: &str = "/sys/kernel/debug/failslab/cache-filter";

/// What PID 1 was started with: the kernel hands it the words of its command line that no part of it knows
/// (`unknown_bootoption`, `init/main.c`).
const ARGUMENTS: &str = "/proc/1/cmdline";

/// Records each policy that is loaded, where the kernel has such records.
const POLICY_RECORDS: &str = "measure func=CRITICAL_DATA label=ima_policy\n";

/// Files that a probe measures.
const FILES: u64 = 3;

/// More records than a probe makes.
const TOO_MANY: u64 = 1_000_000;

/// Goes up whenever the same answers are judged otherwise.
const JUDGED: u32 = 1;

/// The one descriptor that a probe has open.
const SLOT: Slot = 0;

/// One boot of the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Words to append to the kernel's command line.
    pub kernel_args: Vec<String>,
    /// What the guest does.
    pub program: Program,
}

/// Why a probe says nothing about the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The guest did not get through it.
    #[error("the probe did not end: {0}")]
    Unfinished(String),
}

/// Steps of a probe by what they find out.
#[derive(Clone, Copy)]
enum Ask {
    Files,
    Tpm,
    Kexec,
    Faults,
    CrashLoaded,
    SysRq,
    /// Whether the current list opens for writing alone.
    OpenForWriting,
    /// What the kernel handed to PID 1 of its command line, since it did not know it.
    Arguments,
    Policy,
    CountBefore,
    Measure,
    CountMeasured,
    MeasureAgain,
    CountAgain,
    RecordPolicy,
    CountPolicy,
    LoadMore,
    CountLoaded,
    /// Asked for each interface.
    Of(Interface, Verb),
}

/// What an interface is asked for.
#[derive(Clone, Copy)]
enum Verb {
    List,
    Stage,
    CountStaged,
    Save,
    Delete,
    CountDeleted,
    Trim,
    CountTrimmed,
    MeasureMore,
    StageMore,
    MeasureYet,
    CountYet,
    TrimWhileStaged,
    CountWhileStaged,
    TrimTooMany,
    TrimAll,
    MeasureDeleted,
    CountForgotten,
}

impl Ask {
    /// The step's number.
    fn id(self) -> StepId {
        /// More than there are verbs.
        const VERBS: StepId = 32;
        match self {
            Ask::Files => 0,
            Ask::Tpm => 1,
            Ask::Kexec => 2,
            Ask::Policy => 3,
            Ask::CountBefore => 4,
            Ask::Measure => 5,
            Ask::CountMeasured => 6,
            Ask::MeasureAgain => 7,
            Ask::CountAgain => 8,
            Ask::RecordPolicy => 9,
            Ask::CountPolicy => 10,
            Ask::LoadMore => 11,
            Ask::CountLoaded => 12,
            Ask::Faults => 13,
            Ask::CrashLoaded => 14,
            Ask::SysRq => 15,
            Ask::OpenForWriting => 16,
            Ask::Arguments => 17,
            Ask::Of(interface, verb) => (interface as StepId + 1) * VERBS + verb as StepId,
        }
    }
}

/// The first boot, with nothing special on the command line.
pub fn first() -> Boot {
    use Ask::*;
    use Verb::*;
    // Staging comes first: the list then holds the boot aggregate, even where no policy can be loaded. What an
    // interface refuses that is not the kernel's changes nothing; what it does all the same, comes after the kernel's.
    let each = |verbs: &'static [Verb]| {
        Interface::REMOVING
            .into_iter()
            .flat_map(|interface| verbs.iter().map(move |verb| Of(interface, *verb)))
    };
    let mut asks = vec![Files, Tpm, Kexec, Faults, CrashLoaded, SysRq, OpenForWriting];
    asks.extend(each(&[List, Stage, CountStaged, Save, Delete, CountDeleted]));
    asks.extend([Policy, CountBefore, Measure, CountMeasured, MeasureAgain, CountAgain]);
    asks.extend(each(&[Trim, CountTrimmed]));
    asks.extend(each(&[TrimTooMany]));
    asks.extend(each(&[MeasureMore, StageMore, MeasureYet, CountYet, TrimWhileStaged, CountWhileStaged]));
    asks.extend([RecordPolicy, CountPolicy, LoadMore, CountLoaded]);
    boot(&[], &asks)
}

fn boot(kernel_args: &[&str], asks: &[Ask]) -> Boot {
    let steps = asks.iter().map(|ask| Step { id: ask.id(), clock: None, ops: ops(*ask) }).collect();
    Boot {
        kernel_args: kernel_args.iter().map(|word| (*word).to_owned()).collect(),
        program: Program {
            // Any number that is not 0, which stands for "no program".
            token: u64::from_be_bytes(*b"imaprobe"),
            // A policy in `Setup` that the kernel refuses would end the probe; as a step it is an answer.
            setup: Setup::default(),
            tasks: vec![Task { name: "probe".to_owned(), boot: 0, start: Start::Boot, steps }],
            finally: Vec::new(),
            end: End::PowerOff,
        },
    }
}

fn ops(ask: Ask) -> Vec<Op> {
    match ask {
        Ask::Files => vec![Op::ListModes { path: IMA.to_owned() }],
        Ask::Tpm => vec![look(TPM, OFlag::O_RDWR), Op::Close { slot: SLOT }],
        Ask::Kexec => vec![look(KEXEC_LOADED, OFlag::O_RDONLY), Op::Close { slot: SLOT }],
        Ask::CrashLoaded => vec![look(CRASH_LOADED, OFlag::O_RDONLY), Op::Close { slot: SLOT }],
        Ask::SysRq => vec![look(SYSRQ, OFlag::O_WRONLY), Op::Close { slot: SLOT }],
        Ask::OpenForWriting => vec![look(&listed::current(), OFlag::O_WRONLY), Op::Close { slot: SLOT }],
        Ask::Arguments => read_whole(SLOT, ARGUMENTS.to_owned(), None).ops,
        Ask::Faults => vec![look(FAILSLAB, OFlag::O_RDONLY), Op::Close { slot: SLOT }],
        Ask::Policy => request(SLOT, format!("{IMA}/policy"), DEFAULT_POLICY).ops,
        Ask::Measure | Ask::MeasureAgain => vec![measure("probe".to_owned())],
        Ask::RecordPolicy => request(SLOT, format!("{IMA}/policy"), POLICY_RECORDS).ops,
        // A rule that was there before: what counts is that a policy is loaded.
        Ask::LoadMore => request(SLOT, format!("{IMA}/policy"), DEFAULT_POLICY).ops,
        Ask::CountBefore | Ask::CountMeasured | Ask::CountAgain | Ask::CountPolicy | Ask::CountLoaded => {
            count()
        }
        Ask::Of(interface, verb) => {
            let adapter = adapter(interface);
            let deed = match verb {
                Verb::List => Some(read_whole(SLOT, listed::current(), None)),
                Verb::Stage | Verb::StageMore => adapter.stage(SLOT),
                Verb::Save => adapter.save(SLOT),
                Verb::Delete => adapter.delete(SLOT),
                Verb::Trim | Verb::TrimWhileStaged => adapter.trim(SLOT, 1),
                Verb::TrimTooMany => adapter.trim(SLOT, TOO_MANY),
                Verb::TrimAll => adapter.trim(SLOT, BOOT_RECORDS + FILES),
                Verb::MeasureMore => return vec![measure(format!("more-{}", interface.name()))],
                Verb::MeasureYet => return vec![measure(format!("yet-{}", interface.name()))],
                Verb::MeasureDeleted => return vec![measure("probe".to_owned())],
                Verb::CountStaged
                | Verb::CountDeleted
                | Verb::CountTrimmed
                | Verb::CountYet
                | Verb::CountWhileStaged
                | Verb::CountForgotten => return count(),
            };
            deed.map(|deed| deed.ops).unwrap_or_default()
        }
    }
}

fn look(path: &str, flags: OFlag) -> Op {
    Op::Open { slot: SLOT, path: path.to_owned(), flags: flags.bits(), mode: 0 }
}

fn measure(name: String) -> Op {
    Op::Measure { dir: MEASURED.to_owned(), name, salt: String::new(), first: 0, count: FILES }
}

/// Reads the counter of the current list.
fn count() -> Vec<Op> {
    vec![
        look(&format!("{IMA}/runtime_measurements_count"), OFlag::O_RDONLY),
        Op::Read { slot: SLOT, chunk: 64, limit: None, send: true },
        Op::Close { slot: SLOT },
    ]
}

/// What the first boot's messages say.
///
/// # Errors
///
/// When the guest did not send its last message, or says that the agent failed: nothing then follows about the
/// kernel.
pub fn capabilities(messages: &[Message]) -> Result<Capabilities, ProbeError> {
    Ok(listed::of(&Answers::read(messages)?))
}

/// What all boots ask, and what for, by which answers of other questions are told apart; and how answers are judged.
pub fn questions() -> String {
    format!("{JUDGED}{:?}{:?}{:?}{:?}", first(), flush::questions(), kexec::boot(), Capability::ALL)
}
