//! What the check `replay` finds: the whole log, replayed, is not PCR 10.

use super::{Record, Step};

findings! {
    /// The whole log, replayed, is not PCR 10.
    Replay {
        /// The log, replayed, gives another value than PCR 10 had at the mark; `prefix`: so many of its records do give that.
        "replay/pcr-differs" PcrDiffers {
            step: Step, mark: u64, bank: String, records: u64, extends: u64, expected_digest: String, found_digest: String,
            prefix: Option<u64>,
        }
        /// PCR 10 is not what the extends that the tap saw make of it: it was changed behind the tap.
        "replay/changed-behind-the-tap" ChangedBehindTheTap {
            mark: u64, bank: String, extends: u64, expected_digest: String, found_digest: String,
        }
        /// PCR 10 was read in other banks than the machine has.
        "replay/banks" Banks { mark: u64, expected: Vec<String>, found: Vec<String> }
        /// While other tasks measured, a record of the log is not what was extended in its place.
        "replay/sampled-differs" SampledDiffers { step: Step, mark: u64, record: Option<Record>, number: u64, event: u64 }
        /// While other tasks measured, the log was further ahead of the PCR than by what can be in flight.
        "replay/too-far-ahead" TooFarAhead { step: Step, mark: u64, records: u64, extends: u64, most: u64 }
        /// The kernel counts other violations than the log holds; `from_before`: so many of those are from before a kexec.
        "replay/violations" Violations { step: Step, boot: u16, expected: u64, found: u64, from_before: u64 }
        /// PCR 10 was not read at a mark.
        "replay/pcr-not-read" PcrNotRead { mark: u64 }
        /// A checkpoint has no mark at which a PCR could be read.
        "replay/no-mark" NoMark { step: Step }
        /// Records of the log were removed unread, so that it cannot be replayed.
        "replay/gap" Gap { step: Step }
        /// No checkpoint at which nothing else could measure: nowhere do log and PCR have to be equal.
        "replay/no-quiescent-checkpoint" NoQuiescentCheckpoint {}
        /// No such checkpoint read the counter of violations.
        "replay/violations-not-read" ViolationsNotRead {}
    }
}
