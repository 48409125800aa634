//! Finding out what a kernel offers, by asking for it.
//!
//! Up to five boots. [`first`] looks: files and their modes, devices, the policy, the hash table. [`requests`] asks for
//! the removal of records, in the words of every dialect that has such files. [`second`] asks again with
//! `ima_flush_htable`, which cannot be undone in a running kernel. [`third`] goes on in another boot, and [`fourth`] asks
//! a kernel that is on its way out. A kernel that does not get through one of them has lost nothing that the others found
//! out.
//!
//! What a kernel offers is told by what is there and what it takes: files and their modes, boot options, requests that
//! are accepted. Whether it then does what was promised is another question, and its answer a
//! [finding](crate::capabilities::ProbeFinding): a broken feature that passed for a missing one would skip every scenario that shows
//! how it is broken.

mod answers;
mod flush;
mod forms;
mod identify;
mod kexec;
mod looked;
mod removal;
mod requests;
mod suspended;

use imalab_wire::{End, Message, Op, Program, Setup, Slot, Start, Step, StepId, Task};
use nix::fcntl::OFlag;

pub use flush::{second, with_second, without_second};
pub use kexec::{third, with_third, without_third};
pub use requests::{requests, with_requests, without_requests};
pub use suspended::{fourth, with_fourth};

use self::answers::Answers;
use crate::capabilities::Capabilities;
use crate::capability::Capability;
use crate::interface::{IMA, MEASURED, TPM, request};
use crate::vocabulary::{DEFAULT_POLICY, FLUSH, Mark};
use imalab_formats::Interface;
use imalab_formats::ima::dialect::COUNT;

/// Present whenever the kernel can kexec (`kernel/ksysfs.c`, `kernel/kexec_core.c`).
const KEXEC_LOADED: &str = "/sys/kernel/kexec_loaded";

/// Present when a kernel can be loaded for a panic (`kernel/kexec_core.c`; `CONFIG_CRASH_DUMP` since 6.9).
const CRASH_LOADED: &str = "/sys/kernel/kexec_crash_loaded";

/// Takes the key that makes a kernel panic (`drivers/tty/sysrq.c`).
const SYSRQ: &str = "/proc/sysrq-trigger";

/// Present when allocations can be made to fail, and debugfs is mounted (`failslab_debugfs_init`, `mm/failslab.c`).
const FAILSLAB: &str = "/sys/kernel/debug/failslab/cache-filter";

/// Records each policy that is loaded, where the kernel has such records.
const POLICY_RECORDS: &str = "measure func=CRITICAL_DATA label=ima_policy\n";

/// Files that a probe measures at a time.
const FILES: u64 = 3;

/// Goes up whenever the same answers are judged otherwise.
const JUDGED: u32 = 5;

/// The one descriptor that a probe has open, as a rule.
const SLOT: Slot = 0;

/// One boot of the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Words to append to the kernel's command line.
    pub kernel_args: Vec<String>,
    /// What the guest does.
    pub program: Program,
    /// What the harness does while it waits at a mark.
    pub marks: Vec<Mark>,
}

/// Why a probe says nothing about the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The guest did not get through it.
    #[error("the probe did not end: {0}")]
    Unfinished(String),
}

/// Steps of the first boot by what they find out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Files,
    Tpm,
    Kexec,
    Faults,
    CrashLoaded,
    SysRq,
    /// Whether the current list opens for writing alone.
    OpenForWriting,
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
}

impl Ask {
    /// The step's number.
    fn id(self) -> StepId {
        self as StepId
    }
}

/// The first boot, with nothing special on the command line.
pub fn first() -> Boot {
    use Ask::*;
    let asks = [
        Files,
        Tpm,
        Kexec,
        Faults,
        CrashLoaded,
        SysRq,
        OpenForWriting,
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
    ];
    boot(&[], asks.map(|ask| (ask.id(), ops(ask))))
}

fn boot(kernel_args: &[&str], steps: impl IntoIterator<Item = (StepId, Vec<Op>)>) -> Boot {
    let steps = steps.into_iter().map(|(id, ops)| Step { id, clock: None, ops }).collect();
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
        marks: Vec::new(),
    }
}

fn ops(ask: Ask) -> Vec<Op> {
    let opens = |path: &str, flags| vec![look(path, flags), Op::Close { slot: SLOT }];
    match ask {
        Ask::Files => vec![Op::ListModes { path: IMA.to_owned() }],
        Ask::Tpm => opens(TPM, OFlag::O_RDWR),
        Ask::Kexec => opens(KEXEC_LOADED, OFlag::O_RDONLY),
        Ask::CrashLoaded => opens(CRASH_LOADED, OFlag::O_RDONLY),
        Ask::SysRq => opens(SYSRQ, OFlag::O_WRONLY),
        Ask::Faults => opens(FAILSLAB, OFlag::O_RDONLY),
        Ask::OpenForWriting => opens(&looked::current(), OFlag::O_WRONLY),
        // The last, a rule that was there before: what counts is that a policy is loaded.
        Ask::Policy | Ask::LoadMore => policy(DEFAULT_POLICY),
        Ask::RecordPolicy => policy(POLICY_RECORDS),
        Ask::Measure | Ask::MeasureAgain => vec![measure("probe".to_owned())],
        Ask::CountBefore | Ask::CountMeasured | Ask::CountAgain | Ask::CountPolicy | Ask::CountLoaded => {
            count()
        }
    }
}

fn policy(text: &str) -> Vec<Op> {
    request(SLOT, format!("{IMA}/policy"), text).ops
}

fn look(path: &str, flags: OFlag) -> Op {
    Op::Open { slot: SLOT, path: path.to_owned(), flags: flags.bits(), mode: 0 }
}

fn measure(name: String) -> Op {
    Op::Measure { dir: MEASURED.to_owned(), name, salt: String::new(), first: 0, count: FILES }
}

/// Reads a counter that grows with the current list, whatever the interface.
fn count() -> Vec<Op> {
    number(&format!("{IMA}/{COUNT}"))
}

/// Reads a number.
fn number(path: &str) -> Vec<Op> {
    vec![
        look(path, OFlag::O_RDONLY),
        Op::Read { slot: SLOT, chunk: 64, limit: None, send: true, nothing: None },
        Op::Close { slot: SLOT },
    ]
}

/// What the first boot's messages say. How records are removed is not known yet.
///
/// # Errors
///
/// When the guest did not send its last message, or says that the agent failed: nothing then follows about the
/// kernel.
pub fn capabilities(messages: &[Message]) -> Result<Capabilities, ProbeError> {
    Ok(looked::of(&Answers::read(messages)?))
}

/// What all boots ask, and what for, by which answers of other questions are told apart; and how answers are judged.
pub fn questions(promises: Option<Interface>) -> String {
    let dialects: Vec<_> = Interface::KNOWN.iter().map(|interface| interface.dialect()).collect();
    let capabilities: Vec<_> = Capability::all().collect();
    let boots = (first(), requests::questions(), flush::questions(), kexec::boot(), suspended::questions());
    format!("{JUDGED}{boots:?}{capabilities:?}{dialects:?}{promises:?}")
}

#[cfg(test)]
mod tests;
