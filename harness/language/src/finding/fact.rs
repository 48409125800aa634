//! What a check says of a pass, beside how many of what it compared.

use super::Part;
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
