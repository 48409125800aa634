//! What the check `exactly-once` finds: what the tap saw extended and what user space holds are not the same sequence.

use super::{Extend, Record, Step, Totals};

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
        /// A record of which the tap saw no extend.
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
        /// A delete or trim removed records that nobody had read, before this place of the whole log.
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
        /// Extends after the last checkpoint, of which no list tells.
        "exactly-once/late-extends" LateExtends { extends: u64, event: u64 }
    }
}
