//! Finding out what a kernel can do, by doing it.
//!
//! A kernel is booted with [`first`] and, when [`second`] asks for it, once more. Two boots, since
//! `ima_flush_htable` cannot be undone in a running kernel, and with it mainline refuses every trim. Each interface is
//! asked for in its own words. [`third`] goes on in another boot: a kernel that does not come back from it has lost
//! nothing that was to be found out.

mod kexec;

use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::{End, Message, Op, Outcome, Program, Setup, Slot, Start, Step, StepId, Task};
use nix::fcntl::OFlag;

pub use kexec::{third, with_third, without_third};

use super::{Capabilities, Capability, IMA, MEASURED, TPM, adapter, request};
use crate::ima::Bank;
use crate::interface::upstream::file_name;
use crate::plan::{BOOT_RECORDS, Form, Interface};
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

/// Records each policy that is loaded, where the kernel has such records.
const POLICY_RECORDS: &str = "measure func=CRITICAL_DATA label=ima_policy\n";

/// Files that a probe measures.
const FILES: u64 = 3;

/// More records than a probe makes.
const TOO_MANY: u64 = 1_000_000;

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
    Stage,
    Save,
    Delete,
    CountDeleted,
    Trim,
    CountTrimmed,
    MeasureMore,
    StageMore,
    MeasureYet,
    TrimWhileStaged,
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
    let mut asks = vec![Files, Tpm, Kexec, Faults, CrashLoaded, SysRq];
    asks.extend(each(&[Stage, Save, Delete, CountDeleted]));
    asks.extend([Policy, CountBefore, Measure, CountMeasured, MeasureAgain, CountAgain]);
    asks.extend(each(&[Trim, CountTrimmed]));
    asks.extend(each(&[TrimTooMany]));
    asks.extend(each(&[MeasureMore, StageMore, MeasureYet, TrimWhileStaged]));
    asks.extend([RecordPolicy, CountPolicy, LoadMore, CountLoaded]);
    boot(&[], &asks)
}

/// The second boot, when the kernel removes records and has a hash table to flush.
pub fn second(found: &Capabilities) -> Option<Boot> {
    use Verb::*;
    let verbs: &[Verb] = match (found.has(Capability::Staging), found.has(Capability::Trim)) {
        _ if !found.has(Capability::HashTable) => return None,
        (true, _) => &[Stage, Save, Delete, MeasureDeleted, CountForgotten],
        (false, true) => &[TrimAll, MeasureDeleted, CountForgotten],
        (false, false) => return None,
    };
    let mut asks = vec![Ask::Policy, Ask::Measure];
    asks.extend(verbs.iter().map(|verb| Ask::Of(found.interface, *verb)));
    Some(boot(&[FLUSH], &asks))
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
        Ask::Files => vec![Op::List { path: IMA.to_owned() }],
        Ask::Tpm => vec![look(TPM, OFlag::O_RDWR), Op::Close { slot: SLOT }],
        Ask::Kexec => vec![look(KEXEC_LOADED, OFlag::O_RDONLY), Op::Close { slot: SLOT }],
        Ask::CrashLoaded => vec![look(CRASH_LOADED, OFlag::O_RDONLY), Op::Close { slot: SLOT }],
        Ask::SysRq => vec![look(SYSRQ, OFlag::O_WRONLY), Op::Close { slot: SLOT }],
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
                Verb::Stage | Verb::StageMore => adapter.stage(SLOT),
                Verb::Save => adapter.save(SLOT),
                Verb::Delete => adapter.delete(SLOT),
                Verb::Trim | Verb::TrimWhileStaged => adapter.trim(SLOT, 1),
                Verb::TrimTooMany => adapter.trim(SLOT, TOO_MANY),
                Verb::TrimAll => adapter.trim(SLOT, BOOT_RECORDS + FILES),
                Verb::MeasureMore => return vec![measure(format!("more-{}", interface.name()))],
                Verb::MeasureYet => return vec![measure(format!("yet-{}", interface.name()))],
                Verb::MeasureDeleted => return vec![measure("probe".to_owned())],
                Verb::CountDeleted | Verb::CountTrimmed | Verb::CountForgotten => return count(),
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
    let answers = Answers::read(messages)?;
    let files: BTreeSet<String> = answers.text(Ask::Files, 0).lines().map(str::to_owned).collect();
    let has = |bank| files.contains(&file_name(Form::Binary, bank, false));
    let (before, measured, again) =
        (answers.count(Ask::CountBefore), answers.count(Ask::CountMeasured), answers.count(Ask::CountAgain));
    let measures = answers.ok(Ask::Policy) && grown(before, measured) == Some(FILES);

    let stages = |interface| {
        let ask = |verb| Ask::Of(interface, verb);
        [Verb::Stage, Verb::Save, Verb::Delete].into_iter().all(|verb| answers.ok(ask(verb)))
            && !answers.bytes(ask(Verb::Save), 1).is_empty()
            && answers.count(ask(Verb::CountDeleted)) == Some(0)
    };
    let trims = |interface| {
        let before = Interface::REMOVING.into_iter().take_while(|other| *other != interface).last();
        let before = before.map_or(again, |other| answers.count(Ask::Of(other, Verb::CountTrimmed)));
        let trimmed = answers.count(Ask::Of(interface, Verb::CountTrimmed));
        answers.ok(Ask::Of(interface, Verb::Trim)) && grown(trimmed, before) == Some(1)
    };
    let interface = Interface::REMOVING
        .into_iter()
        .find(|interface| stages(*interface))
        .or_else(|| Some(Interface::Transaction).filter(|interface| trims(*interface)))
        .unwrap_or(Interface::ReadOnly);
    let of = |verb| Ask::Of(interface, verb);
    let (staging, trim) = (stages(interface), trims(interface));

    let holds = |capability: Capability| match capability {
        Capability::Ima => has(None),
        Capability::Tpm => answers.ok(Ask::Tpm),
        Capability::Policy => measures,
        Capability::PolicyRecords => {
            let loaded = answers.ok(Ask::LoadMore).then(|| answers.count(Ask::CountLoaded)).flatten();
            grown(answers.count(Ask::CountPolicy), loaded) == Some(1)
        }
        Capability::BankFiles => has(Some(Bank::Sha1)),
        Capability::HashTable => measures && grown(measured, again) == Some(0),
        Capability::NoHashTable => measures && grown(measured, again) == Some(FILES),
        Capability::Staging => staging,
        Capability::Trim => trim,
        // Only the second boot can tell, and the third.
        Capability::FlushHtable
        | Capability::KexecCarry
        | Capability::KexecLate
        | Capability::KexecRecords => false,
        Capability::TrimWhileStaged => {
            staging && answers.ok(of(Verb::StageMore)) && answers.ok(of(Verb::TrimWhileStaged))
        }
        Capability::ExactTrim => trim && !answers.ok(of(Verb::TrimTooMany)),
        Capability::Kexec => answers.ok(Ask::Kexec),
        Capability::CrashKernel => {
            answers.ok(Ask::Kexec) && answers.ok(Ask::CrashLoaded) && answers.ok(Ask::SysRq)
        }
        Capability::AllocationFaults => answers.ok(Ask::Faults),
        Capability::Upstream => interface == Interface::Upstream,
        Capability::RfcV2 => interface == Interface::RfcV2,
        Capability::TwoCommand => interface == Interface::TwoCommand,
        Capability::Transaction => interface == Interface::Transaction,
    };
    let have: BTreeSet<Capability> = Capability::ALL.into_iter().filter(|c| holds(*c)).collect();
    Ok(Capabilities { release: answers.release, interface, have, files })
}

/// What the second boot's messages add.
///
/// # Errors
///
/// As [`capabilities`].
pub fn with_second(mut found: Capabilities, messages: &[Message]) -> Result<Capabilities, ProbeError> {
    let answers = Answers::read(messages)?;
    let of = |verb| Ask::Of(found.interface, verb);
    // The list is empty before the files are measured again, so its count is what was recorded a second time.
    let emptied = answers.ok(of(Verb::Delete)) || answers.ok(of(Verb::TrimAll));
    if emptied && answers.count(of(Verb::CountForgotten)) == Some(FILES) {
        found.have.insert(Capability::FlushHtable);
    }
    Ok(found)
}

/// What all boots ask, and what for, by which answers of other questions are told apart.
pub fn questions() -> String {
    format!("{:?}{:?}{:?}", first(), kexec::boot(), Capability::ALL)
}

fn grown(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    to?.checked_sub(from?)
}

/// What each step gave.
struct Answers {
    release: String,
    failed: BTreeSet<StepId>,
    done: BTreeSet<StepId>,
    data: BTreeMap<(StepId, u16), Vec<u8>>,
}

impl Answers {
    fn read(messages: &[Message]) -> Result<Answers, ProbeError> {
        let mut answers = Answers {
            release: String::new(),
            failed: BTreeSet::new(),
            done: BTreeSet::new(),
            data: BTreeMap::new(),
        };
        let mut ended = false;
        for message in messages {
            match message {
                Message::Hello { release, .. } => answers.release.clone_from(release),
                Message::OpDone { step, outcome, .. } => {
                    answers.done.insert(*step);
                    if !matches!(outcome, Outcome::Value(_)) {
                        answers.failed.insert(*step);
                    }
                }
                Message::Data(piece) => {
                    answers.data.entry((piece.step, piece.op)).or_default().extend_from_slice(&piece.bytes);
                }
                Message::Fault { text } => return Err(ProbeError::Unfinished(text.clone())),
                Message::Done { .. } => ended = true,
                Message::TaskStarted { .. }
                | Message::OpStarted { .. }
                | Message::Progress { .. }
                | Message::ReleaseHold { .. }
                | Message::FoundAsleep { .. }
                | Message::TaskEnded { .. } => {}
            }
        }
        if !ended {
            return Err(ProbeError::Unfinished("the guest's last message is missing".to_owned()));
        }
        Ok(answers)
    }

    fn ok(&self, ask: Ask) -> bool {
        let step = ask.id();
        self.done.contains(&step) && !self.failed.contains(&step)
    }

    fn bytes(&self, ask: Ask, op: u16) -> &[u8] {
        self.data.get(&(ask.id(), op)).map_or(&[], Vec::as_slice)
    }

    fn text(&self, ask: Ask, op: u16) -> String {
        String::from_utf8_lossy(self.bytes(ask, op)).into_owned()
    }

    /// The counter that a step read.
    fn count(&self, ask: Ask) -> Option<u64> {
        self.ok(ask).then(|| self.text(ask, 1).trim().parse().ok()).flatten()
    }
}
