//! Everything that anybody observed, in one ordered stream.
//!
//! A [`Trace`] is what `run` leaves and all that `check` reads beside the plan. It is stored as JSON lines, so
//! that a better check can judge it again years later.

pub mod limit;
mod queue;
mod spill;
mod spool;
mod trace;

use imalab_wire::Message;
use serde::{Deserialize, Serialize};

use imalab_formats::tpm::fault::How;

pub use imalab_formats::tpm::quote::{PcrValue, QuoteTaken};
pub use limit::Flood;
pub use queue::{Closed, Narrow, Receiver, Sender, channel};
pub use spool::{Spooled, Unreadable};
pub use trace::{Recording, Seen, Trace};

/// One observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the stream, from 0, without gaps.
    pub seq: u64,
    /// Host nanoseconds since the machine was started (monotonic clock).
    pub at_ns: u64,
    /// What was seen.
    pub what: What,
}

/// Who saw what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The agent said so.
    Guest(Message),
    /// The tap saw a command and its answer.
    Tpm(Exchange),
    /// The serial console printed a line (lossily decoded, without its line end).
    Console(String),
    /// QEMU's monitor reported an event, as it came.
    Qmp(serde_json::Value),
    /// PCR values that the harness itself read while mark `number` held the guest.
    Pcrs(PcrReading),
    /// A quote that the harness itself took while mark `number` held the guest.
    Quote(Box<QuoteTaken>),
    /// The harness noticed or did something itself.
    Host(Host),
}

/// One TPM command with its answer, as it crossed the tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Who sent the command.
    pub origin: Origin,
    /// Locality in force, 0 to 4.
    pub locality: u8,
    /// The raw command.
    #[serde(with = "hex")]
    pub command: Vec<u8>,
    /// The raw answer that the sender got.
    #[serde(with = "hex")]
    pub answer: Vec<u8>,
    /// When the command had arrived, host nanoseconds since the machine was started.
    pub begin_ns: u64,
    /// Right before the answer was passed on: it is recorded first, so that what follows from it comes later.
    pub end_ns: u64,
}

/// Who sent a TPM command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The guest, through QEMU.
    Guest,
    /// The harness, through the tap's port.
    Harness,
    /// The guest, but the tap answered and the TPM never saw it: a mark.
    Mark,
    /// The guest, but the tap kept it from the TPM, as the plan says.
    Kept,
}

/// PCR 10 of every active bank at a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcrReading {
    /// The mark.
    pub mark: u64,
    /// `pcrUpdateCounter` of the reading.
    pub update_counter: u32,
    /// A value for each active bank.
    pub values: Vec<PcrValue>,
}

/// What the harness noticed or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// A child was started.
    Spawned {
        /// `qemu` or `swtpm`.
        child: String,
        /// Its process.
        pid: u32,
    },
    /// A child ended.
    Exited {
        /// `qemu` or `swtpm`.
        child: String,
        /// Exit code, or 128 + signal.
        status: i32,
    },
    /// Nothing happened for the whole budget, or the hard cap was reached.
    Deadline {
        /// Which budget, and how long it was.
        text: String,
    },
    /// The kernel complained that something of it does not get on, and the tap held nothing that could be why.
    Hang {
        /// The kernel's words.
        text: String,
    },
    /// How long the host kept from a processor what the guest needs, when the line of the console before it came.
    Kept {
        /// Milliseconds that a thread of QEMU or swtpm, the one that waited longest, was ready without running, or that
        /// imalab itself came too late.
        longest_ms: u64,
        /// Within so many milliseconds.
        within_ms: u64,
    },
    /// The kernel was made to panic by an NMI, and to tell then what its tasks wait for: what it says after this is an
    /// answer.
    NmiSent,
    /// QEMU asked swtpm to end.
    EndAsked,
    /// What the processors did of a machine in which nothing happened any more.
    Processors {
        /// Their registers and interrupt controllers in the words of QEMU's monitor, or why it did not tell.
        text: String,
        /// Whether QEMU made them up itself, interrupt controllers and all (TCG).
        #[serde(default)]
        emulated: bool,
    },
    /// The agent's stream could not be decoded.
    BadFrame {
        /// Where and why.
        text: String,
    },
    /// The guest told more than a run takes: the rest of it was dropped, and the run ended.
    Flooded {
        /// Of what.
        by: Flood,
        /// How much more.
        text: String,
    },
    /// Something went wrong at the tap, or in the harness's own TPM work at a mark.
    TpmTrouble {
        /// What and why.
        text: String,
    },
    /// The tap does to the command that follows what the plan says.
    Fault {
        /// Its command code.
        command: u32,
        /// What is done.
        how: How,
    },
    /// The harness could not keep what it saw (a full disk).
    Trouble {
        /// What and why.
        text: String,
    },
    /// In the deterministic lane, how long the mutex of the lists was held, by all but those who append: noted when the run
    /// was over, in the order in which it was given back.
    Holds {
        /// The first some thousand.
        holds: Vec<MutexHold>,
    },
    /// In the deterministic lane, a task could not be held as the scenario asks for: noted when the run was over.
    NotOrdered {
        /// Line of the scenario.
        line: u32,
        /// The task.
        task: String,
        /// Where it was to be held.
        place: String,
        /// Until what.
        until: String,
        /// What came of it: `not-set`, `not-reached`, `never-came`, `stuck` or `last-one`.
        end: String,
    },
    /// The run was told to stop (signal).
    Interrupted,
    /// What a child that failed printed last.
    LastWords {
        /// `qemu` or `swtpm`.
        child: String,
        /// Its last lines.
        text: String,
    },
}

/// A hold of the mutex of the lists, in instructions of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutexHold {
    /// The kernel's function that asked for it.
    pub function: String,
    /// Records that were appended so far.
    pub appends: u64,
    /// From when it was asked for to when it was there.
    pub waited: u64,
    /// From then on to when it was given back.
    pub held: u64,
    /// Blocks of IMA's code that the holder's processor began meanwhile.
    pub blocks: u64,
}
