//! What the check `exactly-once` finds: what the tap saw extended and what user space holds are not the same sequence.

use super::{Directness, Extend, Invariant, Phrasing, Record, Rests, Step, Totals};
use imalab_formats::tpm::response;

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "every PCR_Extend that crossed the tap, against the records that user space holds",
    rests: Rests {
        on: "extends that the tap saw in PCR 10 and in every PCR that a record or a rule of the policy names, and as many records, in every bank",
        nothing: "no extend, no list read or no PCR reading at the end: could not run; an extend or a record without its counterpart: failed",
        tests: &[
            "no_extend_seen",
            "an_extend_not_seen",
            "a_list_that_lost_all_records_of_a_pcr_is_found_by_the_policy_that_names_it",
        ],
    },
    directness: |_| Directness::Tap,
};

findings! {
    /// What the tap saw extended and what user space holds are not the same sequence.
    ExactlyOnce {
        /// An extended record is in no list that was read, nor the ones after it up to `records` in all.
        "exactly-once/record-lost" RecordLost {
            extend: Extend, records: u64, after: Option<Record>, before: Option<Record>, totals: Option<Totals>,
        }
        /// A record is in the lists more often than it was extended.
        "exactly-once/record-doubled" RecordDoubled {
            record: Record, twin: Option<Record>, extended: u64, extend_number: Option<u64>, totals: Option<Totals>,
        }
        /// Two records were extended in each other's place.
        "exactly-once/records-swapped" RecordsSwapped {
            record: Record, other: Option<Record>, extend_number: Option<u64>, other_extend_number: u64, totals: Option<Totals>,
        }
        /// A record was extended in another place than the list has it.
        "exactly-once/out-of-order" OutOfOrder {
            record: Record, other: Option<Record>, extend_number: Option<u64>, other_extend_number: u64, totals: Option<Totals>,
        }
        /// A record whose extend the tap did not see.
        "exactly-once/never-extended" NeverExtended { record: Record, totals: Option<Totals> }
        /// A record whose extend the TPM refused.
        "exactly-once/extend-failed" ExtendFailed { record: Record, response: u32, event: u64, totals: Option<Totals> }
        /// A record that was extended into another PCR, and not into its own.
        "exactly-once/extended-elsewhere" ExtendedElsewhere { record: Record, pcr: u32, event: u64, totals: Option<Totals> }
        /// The extend of a record in its place has its digests, but another PCR.
        "exactly-once/wrong-pcr" WrongPcr { record: Record, extend: Extend, expected: u32, totals: Option<Totals> }
        /// The extend of a record in its place is right in one bank and wrong in this one. `padded_sha1`: it is the SHA-1 digest
        /// and zeros, which a kernel without the bank's hash extends.
        "exactly-once/wrong-digest" WrongDigest {
            record: Record, extend: Extend, bank: String, expected_digest: String, found_digest: String, padded_sha1: bool,
            totals: Option<Totals>,
        }
        /// An extend leaves out a bank of the machine, or has one more.
        "exactly-once/banks" Banks {
            extend: Extend, missing: Vec<String>, foreign: Vec<String>, affected: u64, extends: u64,
        }
        /// The TPM refused extends of records that are in the list.
        "exactly-once/extends-refused" ExtendsRefused { pcr: u32, extends: u64, response: u32, event: u64 }
        /// A delete or trim removed unread records, before this place of the whole log.
        "exactly-once/removed-unsaved" RemovedUnsaved { step: Step, records: Option<u64>, number: u64 }
        /// A reading of the current list differs from the whole log.
        "exactly-once/misread" Misread {
            step: Step, number: u64, expected_record: Option<Record>, found_record: Record,
        }
        /// Staging succeeded while records were staged.
        "exactly-once/staged-over" StagedOver { step: Step }
        /// A delete succeeded while nothing was staged.
        "exactly-once/deleted-nothing" DeletedNothing { step: Step }
        /// The staged list shows records while nothing is staged.
        "exactly-once/staged-from-nowhere" StagedFromNowhere { step: Step, records: u64 }
        /// Two readings of one staged list differ, from this record on.
        "exactly-once/staged-changed" StagedChanged { step: Step, earlier: Step, number: u64 }
        /// Records were trimmed while a staged list that nobody had read was carried over a kexec: their place is not known.
        "exactly-once/carried-unread" CarriedUnread { step: Step }
        /// No PCR was read at the last checkpoint, so nothing says which extends came before it.
        "exactly-once/no-pcr-reading" NoPcrReading { step: Step }
        /// Another task could still measure at the last checkpoint.
        "exactly-once/not-quiescent" NotQuiescent { step: Step }
        /// The tap saw no extend of PCR 10.
        "exactly-once/no-extend" NoExtend { commands: u64 }
        /// Extends after the last checkpoint, which no list covers.
        "exactly-once/late-extends" LateExtends { extends: u64, event: u64 }
    }
}

/// What stands where a list ends.
const END: &str = "the end of the log";

impl ExactlyOnce {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            ExactlyOnce::RecordLost { extend: of, records, after, before, totals: all } => {
                let first = of.number;
                let which = match records {
                    0 | 1 => format!("record {first} is missing:"),
                    more => {
                        format!("records {first} to {} are missing, the first one is", first + more - 1)
                    }
                };
                let after = after
                    .as_ref()
                    .map_or_else(String::new, |after| format!("after {}, ", phrase.record(after)));
                let next = phrase.record_or(before.as_ref(), END);
                let of = phrase.extend(of);
                format!(
                    "{which} {of}, in no saved, staged or current list; {after}before {next}{}",
                    phrase.totals(all.as_ref())
                )
            }
            ExactlyOnce::RecordDoubled { record: of, twin, extended, extend_number, totals: all } => {
                let number =
                    extend_number.map_or_else(String::new, |number| format!(", first by extend {number}"));
                format!(
                    "{} is doubled: it was extended {}{number}, and is also {}{}",
                    phrase.record(of),
                    times(*extended),
                    phrase.record_or(twin.as_ref(), "elsewhere"),
                    phrase.totals(all.as_ref())
                )
            }
            ExactlyOnce::RecordsSwapped { record, other, extend_number, other_extend_number, totals } => {
                displaced(
                    phrase,
                    record,
                    "is swapped with",
                    other.as_ref(),
                    *extend_number,
                    *other_extend_number,
                    totals.as_ref(),
                )
            }
            ExactlyOnce::OutOfOrder { record, other, extend_number, other_extend_number, totals } => {
                let verb = "is out of order: in its place was extended";
                displaced(
                    phrase,
                    record,
                    verb,
                    other.as_ref(),
                    *extend_number,
                    *other_extend_number,
                    totals.as_ref(),
                )
            }
            ExactlyOnce::NeverExtended { record: of, totals: all } => {
                format!(
                    "{} was never extended: the tap saw no extend of it{}",
                    phrase.record(of),
                    phrase.totals(all.as_ref())
                )
            }
            ExactlyOnce::ExtendFailed { record: of, response: code, event, totals: all } => format!(
                "{} was never extended: its extend failed with {} (event {event}){}",
                phrase.record(of),
                response::name(*code),
                phrase.totals(all.as_ref())
            ),
            ExactlyOnce::ExtendedElsewhere { record: of, pcr, event, totals: all } => format!(
                "{} was never extended: it was extended into PCR {pcr} instead (event {event}){}",
                phrase.record(of),
                phrase.totals(all.as_ref())
            ),
            ExactlyOnce::WrongPcr { record: of, extend: by, expected, totals: all } => format!(
                "{}: {} has its digests, expected PCR {expected}{}",
                phrase.record(of),
                phrase.extend(by),
                phrase.totals(all.as_ref())
            ),
            ExactlyOnce::WrongDigest {
                record: of,
                extend: by,
                bank,
                expected_digest,
                found_digest,
                padded_sha1,
                totals: all,
            } => {
                let hint = if *padded_sha1 {
                    ": that is its SHA-1 digest padded with zeros, so the kernel lacks the bank's hash"
                } else {
                    ""
                };
                format!(
                    "{}: {} has another digest for {bank}: expected {expected_digest}, found {found_digest}{hint}{}",
                    phrase.record(of),
                    phrase.extend(by),
                    phrase.totals(all.as_ref())
                )
            }
            ExactlyOnce::Banks { extend: of, missing, foreign, affected, extends } => format!(
                "{} does not match the machine's banks: missing [{}], extra [{}]; {affected} of {extends} in all are affected",
                phrase.extend(of),
                missing.join(" "),
                foreign.join(" ")
            ),
            ExactlyOnce::ExtendsRefused { pcr, extends, response: code, event } => format!(
                "the TPM refused {} of PCR {pcr} with {}, the first in event {event}: recorded, but not in the PCR",
                phrase.count(*extends, "extend"),
                response::name(*code)
            ),
            ExactlyOnce::RemovedUnsaved { step: by, records, number } => {
                let what =
                    records.map_or_else(|| "records".to_owned(), |records| phrase.count(records, "record"));
                format!("{}: removed {what} that were not saved, before record {number}", phrase.step(by))
            }
            ExactlyOnce::Misread { step: by, number, expected_record, found_record } => format!(
                "{}: read {} as record {number}, which is {}",
                phrase.step(by),
                phrase.described(found_record),
                phrase.described_or(expected_record.as_ref(), "none of the log")
            ),
            ExactlyOnce::StagedOver { step: by } => {
                format!("{}: staging succeeded although records were staged", phrase.step(by))
            }
            ExactlyOnce::DeletedNothing { step: by } => {
                format!("{}: deleting succeeded although nothing was staged", phrase.step(by))
            }
            ExactlyOnce::StagedFromNowhere { step: by, records } => {
                format!(
                    "{}: the staged list holds {} although nothing is staged",
                    phrase.step(by),
                    phrase.count(*records, "record")
                )
            }
            ExactlyOnce::StagedChanged { step: by, earlier, number } => format!(
                "{}: the staged list differs from what {} read of it, from record {number} on",
                phrase.step(by),
                phrase.step(earlier)
            ),
            ExactlyOnce::CarriedUnread { step: by } => format!(
                "{}: the list that it staged was carried over a kexec unread while records were trimmed: their place in \
                 the log is not known",
                phrase.step(by)
            ),
            ExactlyOnce::NoPcrReading { step: by } => {
                format!(
                    "{}: no PCR was read at its mark, so nothing says which extends came before it",
                    phrase.step(by)
                )
            }
            ExactlyOnce::NotQuiescent { step: by } => {
                format!("{}: another task could still measure at this last checkpoint", phrase.step(by))
            }
            ExactlyOnce::NoExtend { commands } => {
                format!(
                    "the tap saw no extend of PCR 10 among {} of the guest",
                    phrase.count(*commands, "TPM command")
                )
            }
            ExactlyOnce::LateExtends { extends, event } => format!(
                "{} {} after the last checkpoint, the first in event {event}: no list shows whether they were recorded",
                phrase.count(*extends, "extend"),
                phrase.be(*extends)
            ),
        }
    }
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

fn displaced(
    phrase: &dyn Phrasing,
    of: &Record,
    verb: &str,
    other: Option<&Record>,
    own: Option<u64>,
    others: u64,
    all: Option<&Totals>,
) -> String {
    let own = own.map_or_else(|| "by no extend after it".to_owned(), |own| format!("by extend {own}"));
    let other = phrase.record_or(other, "a record before it");
    format!(
        "{} {verb} {other}: it was extended {own}, the other by extend {others}{}",
        phrase.record(of),
        phrase.totals(all)
    )
}
