//! What a check says of a pass, beside how many of what it compared.

use super::{Part, Phrasing};
use serde::{Deserialize, Serialize};

findings! {
    /// What a check says of a pass, beside how many of what it compared.
    Fact {
        /// Banks that were compared.
        "fact/banks" Banks { banks: Vec<String> }
        /// Steps that were refused as expected.
        "fact/refused" Refused { steps: u64 }
        /// Tasks whose operations are explained, and orders that were tried for that.
        "fact/explained" Explained { tasks: u64, orders: u64 }
        /// Records that were saved before a kexec carried them all the same: they count once.
        "fact/saved-again" SavedAgain { records: u64 }
        /// Records that a kexec lost, as known.
        "fact/lost-as-known" LostAsKnown { records: u64, kexec: u16 }
        /// What the counter of violations does at a kexec.
        "fact/violations-at-kexec" ViolationsAtKexec { counter: CounterAtKexec }
        /// A line of the console has a text that the scenario expects.
        "fact/said" Said { line_number: u64, words: String }
        /// The machine powered off.
        "fact/powered-off" PoweredOff {}
        /// How long each kexec took, host milliseconds.
        "fact/kexec-times" KexecTimes { ms: Vec<u64> }
        /// Records that each kexec carried.
        "fact/carried" Carried { records: Vec<u64> }
        /// Records of kexec all of whose numbers are true.
        "fact/true-records" TrueRecords { records: u64 }
        /// Bytes that each segment had to spare, KiB.
        "fact/spare" Spare { kib: u64 }
        /// Requests that were refused while measuring was suspended.
        "fact/refused-while-suspended" RefusedWhileSuspended { requests: u64 }
    }
}

/// What the counter of violations does at a kexec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CounterAtKexec {
    /// It begins at 0.
    BeginsAfresh,
    /// It begins with the violations in the carried list.
    CountsCarried,
    /// It goes on.
    GoesOn,
    /// It differs by kernel.
    Differs,
}

impl Part for CounterAtKexec {
    fn sample(_: &'static str) -> CounterAtKexec {
        CounterAtKexec::GoesOn
    }
}

impl Fact {
    /// What it says, as part of a sentence.
    pub fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Fact::Banks { banks } => format!("banks {}", banks.join(" ")),
            Fact::Refused { steps } => format!("{} refused as expected", phrase.count(*steps, "step")),
            Fact::Explained { tasks, orders } => {
                format!(
                    "{} explained, {} tried",
                    phrase.count(*tasks, "task"),
                    phrase.count(*orders, "order")
                )
            }
            Fact::SavedAgain { records } => {
                format!(
                    "{} saved before a kexec were carried over and count once",
                    phrase.count(*records, "record")
                )
            }
            Fact::LostAsKnown { records, kexec } => {
                format!("{} lost at kexec {kexec}, as known", phrase.count(*records, "record"))
            }
            Fact::ViolationsAtKexec { counter } => match counter {
                CounterAtKexec::BeginsAfresh => "the counter of violations restarts at a kexec",
                CounterAtKexec::CountsCarried => "the counter of violations includes carried records",
                CounterAtKexec::GoesOn => "the counter of violations continues across a kexec",
                CounterAtKexec::Differs => {
                    "the counter of violations differs by kernel in what it takes over a kexec"
                }
            }
            .to_owned(),
            Fact::Said { line_number, words } => format!("console line {line_number} says `{words}`"),
            Fact::PoweredOff {} => "powered off".to_owned(),
            Fact::KexecTimes { ms } => {
                let each: Vec<String> =
                    ms.iter().map(|ms| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)).collect();
                format!("kexec in {}", each.join(", "))
            }
            Fact::Carried { records } => {
                let each: Vec<String> = records.iter().map(u64::to_string).collect();
                format!("carried {} records", each.join(", "))
            }
            Fact::TrueRecords { records } => {
                format!("all numbers of {} are correct", phrase.count(*records, "kexec record"))
            }
            Fact::Spare { kib } => format!("segments with {kib} KiB to spare"),
            Fact::RefusedWhileSuspended { requests } => {
                format!("{} refused while suspended", phrase.count(*requests, "request"))
            }
        }
    }
}
