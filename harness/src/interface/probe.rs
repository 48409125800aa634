//! Finding out what a kernel can do, by doing it.
//!
//! A kernel is booted with [`first`] and, when [`second`] asks for it, once more. Two boots, since
//! `ima_flush_htable` cannot be undone in a running kernel and with it every trim is refused.

use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::{End, Message, Op, Outcome, Program, Setup, Start, Step, StepId, Task};
use nix::fcntl::OFlag;

use super::{Adapter, Capabilities, Capability, Deed, IMA, MEASURED, TPM, request, upstream::Upstream};
use crate::ima::Bank;
use crate::interface::upstream::file_name;
use crate::plan::{Form, Interface};
use crate::scenario::DEFAULT_POLICY;

/// Boot option that makes a delete forget digests.
pub const FLUSH: &str = "ima_flush_htable";

/// Present whenever the kernel can kexec (`kernel/ksysfs.c`, `kernel/kexec_core.c`).
const KEXEC_LOADED: &str = "/sys/kernel/kexec_loaded";

/// Files that a probe measures.
const FILES: u64 = 3;

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

/// Steps of a probe by what they find out. The discriminants are their numbers.
#[derive(Clone, Copy)]
enum Ask {
    Files = 0,
    Tpm,
    Kexec,
    Stage,
    Save,
    Delete,
    CountDeleted,
    Policy,
    CountBefore,
    Measure,
    CountMeasured,
    MeasureAgain,
    CountAgain,
    Trim,
    CountTrimmed,
    StageMeasured,
    SaveMeasured,
    DeleteMeasured,
    MeasureDeleted,
    CountForgotten,
}

/// The first boot, with nothing special on the command line.
pub fn first() -> Boot {
    use Ask::*;
    // Staging comes first: the list then holds the boot aggregate, even where no policy can be loaded.
    let asks = [
        Files,
        Tpm,
        Kexec,
        Stage,
        Save,
        Delete,
        CountDeleted,
        Policy,
        CountBefore,
        Measure,
        CountMeasured,
        MeasureAgain,
        CountAgain,
        Trim,
        CountTrimmed,
    ];
    boot(&[], &asks)
}

/// The second boot, when the kernel stages and has a hash table to flush.
pub fn second(found: &Capabilities) -> Option<Boot> {
    use Ask::*;
    let worth = found.has(Capability::Staging) && found.has(Capability::HashTable);
    let asks = [Policy, Measure, StageMeasured, SaveMeasured, DeleteMeasured, MeasureDeleted, CountForgotten];
    worth.then(|| boot(&[FLUSH], &asks))
}

fn boot(kernel_args: &[&str], asks: &[Ask]) -> Boot {
    let steps = asks.iter().map(|ask| Step { id: *ask as StepId, clock: None, ops: ops(*ask) }).collect();
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
    let slot = 0;
    let look =
        |path: &str, flags: OFlag| Op::Open { slot, path: path.to_owned(), flags: flags.bits(), mode: 0 };
    let measure = Op::Measure {
        dir: MEASURED.to_owned(),
        name: "probe".to_owned(),
        salt: String::new(),
        first: 0,
        count: FILES,
    };
    let verb = |deed: Option<Deed>| deed.map(|deed| deed.ops).unwrap_or_default();
    match ask {
        Ask::Files => vec![Op::List { path: IMA.to_owned() }],
        Ask::Tpm => vec![look(TPM, OFlag::O_RDWR), Op::Close { slot }],
        Ask::Kexec => vec![look(KEXEC_LOADED, OFlag::O_RDONLY), Op::Close { slot }],
        Ask::Policy => request(slot, format!("{IMA}/policy"), DEFAULT_POLICY).ops,
        Ask::Measure | Ask::MeasureAgain | Ask::MeasureDeleted => vec![measure],
        Ask::Trim => verb(Upstream.trim(slot, 1)),
        Ask::Stage | Ask::StageMeasured => verb(Upstream.stage(slot)),
        Ask::Save | Ask::SaveMeasured => verb(Upstream.save(slot)),
        Ask::Delete | Ask::DeleteMeasured => verb(Upstream.delete(slot)),
        Ask::CountBefore
        | Ask::CountMeasured
        | Ask::CountAgain
        | Ask::CountTrimmed
        | Ask::CountDeleted
        | Ask::CountForgotten => vec![
            look(&format!("{IMA}/runtime_measurements_count"), OFlag::O_RDONLY),
            Op::Read { slot, chunk: 64, limit: None, send: true },
            Op::Close { slot },
        ],
    }
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
    let has = |form, bank, staged| files.contains(&file_name(form, bank, staged));
    let (before, measured, again) =
        (answers.count(Ask::CountBefore), answers.count(Ask::CountMeasured), answers.count(Ask::CountAgain));
    let (trimmed, deleted) = (answers.count(Ask::CountTrimmed), answers.count(Ask::CountDeleted));
    let grown = |from: Option<u64>, to: Option<u64>| to?.checked_sub(from?);

    let measures = answers.ok(Ask::Policy) && grown(before, measured) == Some(FILES);
    let verbs = [Ask::Stage, Ask::Save, Ask::Delete].into_iter().all(|ask| answers.ok(ask));
    let staged = !answers.bytes(Ask::Save, 1).is_empty();
    let holds = |capability: Capability| match capability {
        Capability::Ima => has(Form::Binary, None, false),
        Capability::Tpm => answers.ok(Ask::Tpm),
        Capability::Policy => measures,
        Capability::BankFiles => has(Form::Binary, Some(Bank::Sha1), false),
        Capability::HashTable => measures && grown(measured, again) == Some(0),
        Capability::Staging => verbs && staged && deleted == Some(0),
        Capability::Trim => answers.ok(Ask::Trim) && grown(trimmed, again) == Some(1),
        // Only the second boot can tell.
        Capability::FlushHtable => false,
        Capability::Kexec => answers.ok(Ask::Kexec),
    };
    let have: BTreeSet<Capability> = Capability::ALL.into_iter().filter(|c| holds(*c)).collect();
    let interface =
        if have.contains(&Capability::Staging) { Interface::Upstream } else { Interface::ReadOnly };
    Ok(Capabilities { release: answers.release, interface, have, files })
}

/// What the second boot's messages add.
///
/// # Errors
///
/// As [`capabilities`].
pub fn with_second(mut found: Capabilities, messages: &[Message]) -> Result<Capabilities, ProbeError> {
    let answers = Answers::read(messages)?;
    // The list is empty after the delete, so its count is what was recorded a second time.
    let forgotten = answers.ok(Ask::DeleteMeasured) && answers.count(Ask::CountForgotten) == Some(FILES);
    if forgotten {
        found.have.insert(Capability::FlushHtable);
    }
    Ok(found)
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
                | Message::TaskEnded { .. } => {}
            }
        }
        if !ended {
            return Err(ProbeError::Unfinished("the guest's last message is missing".to_owned()));
        }
        Ok(answers)
    }

    fn ok(&self, ask: Ask) -> bool {
        let step = ask as StepId;
        self.done.contains(&step) && !self.failed.contains(&step)
    }

    fn bytes(&self, ask: Ask, op: u16) -> &[u8] {
        self.data.get(&(ask as StepId, op)).map_or(&[], Vec::as_slice)
    }

    fn text(&self, ask: Ask, op: u16) -> String {
        String::from_utf8_lossy(self.bytes(ask, op)).into_owned()
    }

    /// The counter that a step read.
    fn count(&self, ask: Ask) -> Option<u64> {
        self.ok(ask).then(|| self.text(ask, 1).trim().parse().ok()).flatten()
    }
}
