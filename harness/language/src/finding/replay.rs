//! What the check `replay` finds: the whole log, replayed, is not PCR 10.

use super::{Directness, Invariant, Phrasing, Record, Rests, Step};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "the list as user space holds it, against PCR values read past the kernel",
    rests: Rests {
        on: "PCR 10 in every bank, read past the kernel at each mark, the log of the quiescent checkpoints, and the counter of violations",
        nothing: "a mark without reading, no quiescent checkpoint, no record, no counter: could not run; a bank that was not read: failed",
        tests: &["no_pcr_reading", "no_bank_compared", "no_quiescent_point", "no_counter_of_violations"],
    },
    directness: |_| Directness::Log,
};

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

impl Replay {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Replay::PcrDiffers {
                step: at,
                mark,
                bank,
                records,
                extends,
                expected_digest,
                found_digest,
                prefix: part,
            } => format!(
                "{}, mark {mark}: {bank}: the log of {}, replayed, gives {expected_digest}, PCR 10 is {found_digest} after {}; {}",
                phrase.step(at),
                phrase.count(*records, "record"),
                phrase.count(*extends, "extend"),
                phrase.prefix(*part)
            ),
            Replay::ChangedBehindTheTap { mark, bank, extends, expected_digest, found_digest } => format!(
                "mark {mark}: {bank}: the {} that the tap saw give {expected_digest}, PCR 10 is {found_digest}",
                phrase.count(*extends, "extend")
            ),
            Replay::Banks { mark, expected, found } => format!(
                "mark {mark}: PCR 10 was read in banks [{}], expected [{}]",
                found.join(" "),
                expected.join(" ")
            ),
            Replay::SampledDiffers { step: at, mark, record, number, event } => format!(
                "{}, mark {mark}: record {number} {} is not what extend {number} is of (event {event}), though other tasks ran \
                 only after it",
                phrase.step(at),
                phrase.described_or(record.as_ref(), "of the log")
            ),
            Replay::TooFarAhead { step: at, mark, records, extends, most } => format!(
                "{}, mark {mark}: the log holds {}, only {} came before the mark: at most {most} can be in flight",
                phrase.step(at),
                phrase.count(*records, "record"),
                phrase.count(*extends, "extend")
            ),
            Replay::Violations { step: at, boot, expected, found, from_before } => {
                let whose = match (boot, from_before) {
                    (0, _) => String::new(),
                    (_, 0) => " of this kernel's own".to_owned(),
                    (_, before) => format!(", {before} of them from before the kexec"),
                };
                format!(
                    "{}: the kernel counts {}, the log holds {expected}{whose}",
                    phrase.step(at),
                    phrase.count(*found, "violation")
                )
            }
            Replay::PcrNotRead { mark } => format!("mark {mark}: PCR 10 was not read"),
            Replay::NoMark { step: at } => {
                format!("{}: it has no mark at which PCR 10 could be read", phrase.step(at))
            }
            Replay::Gap { step: at } => {
                format!(
                    "{}: records of the log were removed unread, so it cannot be replayed",
                    phrase.step(at)
                )
            }
            Replay::NoQuiescentCheckpoint {} => {
                "no quiescent checkpoint, at which log and PCR have to be equal".to_owned()
            }
            Replay::ViolationsNotRead {} => {
                "no quiescent checkpoint read the counter of violations".to_owned()
            }
        }
    }
}
