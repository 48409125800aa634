//! What the check `kexec` finds: a kernel began with another list than the one before it left, or its records of kexec are
//! not true.

use super::{Directness, Invariant, Phrasing, Record, Rests, Step};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "what each kernel began with against what was extended before; its records of kexec against the sizes of the log",
    rests: Rests {
        on: "the list that each kernel began with, as its first reader saw it, and the boot aggregates",
        nothing: "no kexec step: not applicable; no such list read: could not run",
        tests: &["a_run_without_kexec_is_none_of_its_business_and_it_says_so", "no_list_read_after_it"],
    },
    directness: |_| Directness::Carried,
};

findings! {
    /// A kernel began with another list than the one before it left, or its records of kexec are not true.
    Kexec {
        /// The first list that was read in a boot has another record at this place: staged records come first, then current ones.
        "kexec/carried-otherwise" CarriedOtherwise {
            boot: u16, step: Step, number: u64, expected_record: Option<Record>, found_record: Option<Record>,
        }
        /// After the carried records there is no boot aggregate.
        "kexec/no-aggregate" NoAggregate { boot: u16, step: Step, records: u64, found_record: Option<Record> }
        /// There are more or fewer boot aggregates than boots.
        "kexec/aggregates" Aggregates { numbers: Vec<u64>, boots: u64 }
        /// A request was refused as if measuring were suspended, but no kexec had begun.
        "kexec/refused-early" RefusedEarly { step: Step }
        /// A request was granted after one was refused because measuring is suspended.
        "kexec/granted-late" GrantedLate { step: Step, refused: Step }
        /// A record of kexec does not have its three numbers.
        "kexec/no-numbers" NoNumbers { record: Record, words: String }
        /// There are more or fewer records `kexec_load` than loads that make one.
        "kexec/loads" Loads { boot: u16, expected: u64, found: u64 }
        /// There are more or fewer records `kexec_execute` than kexecs.
        "kexec/executions" Executions { boot: u16, expected: u64, found: u64 }
        /// A kexec record states another number of bytes than the log has before it.
        "kexec/bytes" Bytes { boot: u16, record: Record, expected: u64, found: u64 }
        /// A kexec record states another number of records than the log has before it.
        "kexec/records" Records { boot: u16, record: Record, expected: u64, found: u64 }
        /// The byte count of a kexec record is from a later moment than its record count.
        "kexec/bytes-too-late" BytesTooLate { record: Record }
        /// A segment is not one of whole pages.
        "kexec/odd-segment" OddSegment { record: Record, found: u64 }
        /// A segment has fewer bytes than the lists need.
        "kexec/segment-too-small" SegmentTooSmall { record: Record, expected: u64, found: u64 }
        /// The record of an execution states another segment size than that of the last load.
        "kexec/other-segment" OtherSegment { record: Record, load: Record, expected: u64, found: u64 }
        /// The segments of a run do not have the same number of bytes to spare.
        "kexec/spare-bytes" SpareBytes { least: u64, most: u64, unit: u64 }
        /// The scenario has no kexec.
        "kexec/no-kexec-step" NoKexecStep {}
    }
}

impl Kexec {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Kexec::CarriedOtherwise { boot, step: at, number, expected_record, found_record } => format!(
                "boot {boot}: {} read {} as record {number} of the list, where {} had to be carried: staged, then current",
                phrase.step(at),
                phrase.described_or(found_record.as_ref(), "nothing"),
                phrase.described_or(expected_record.as_ref(), "one that no list ever showed")
            ),
            Kexec::NoAggregate { boot, step: at, records, found_record } => format!(
                "boot {boot}: {} read {} where the kernel's boot aggregate has to be, after {}",
                phrase.step(at),
                phrase.described_or(found_record.as_ref(), "nothing"),
                phrase.count(*records, "carried record")
            ),
            Kexec::Aggregates { numbers, boots } => {
                let places: Vec<String> = numbers.iter().map(u64::to_string).collect();
                format!(
                    "{} extended (record {}), expected one of each of {}",
                    phrase.count(numbers.len() as u64, "boot aggregate"),
                    places.join(", "),
                    phrase.count(*boots, "boot")
                )
            }
            Kexec::RefusedEarly { step: at } => {
                format!("{}: refused as if measuring were suspended, but no kexec had begun", phrase.step(at))
            }
            Kexec::GrantedLate { step: at, refused } => format!(
                "{}: granted although {} had been refused because measuring is suspended",
                phrase.step(at),
                phrase.step(refused)
            ),
            Kexec::NoNumbers { record: of, words } => {
                format!("{}: `{words}` does not have the three numbers", phrase.record(of))
            }
            Kexec::Loads { boot, expected, found } => format!(
                "boot {boot}: {} in the log, {} that should make one",
                phrase.count(*found, "kexec_load record"),
                phrase.count(*expected, "load")
            ),
            Kexec::Executions { boot, expected, found } => {
                format!(
                    "boot {boot}: {} in the log, expected {expected}",
                    phrase.count(*found, "kexec_execute record")
                )
            }
            Kexec::Bytes { boot, record: of, expected, found } => format!(
                "{}: it states {}, the log of boot {boot} has {expected} before it, with a header",
                phrase.record(of),
                phrase.count(*found, "byte")
            ),
            Kexec::Records { boot, record: of, expected, found } => format!(
                "{}: it states {}, the log of boot {boot} has {expected} before it",
                phrase.record(of),
                phrase.count(*found, "record")
            ),
            Kexec::BytesTooLate { record: of } => {
                format!("{}: its byte count is from a later moment than its record count", phrase.record(of))
            }
            Kexec::OddSegment { record: of, found } => {
                format!(
                    "{}: a segment of {} is not one of whole pages",
                    phrase.record(of),
                    phrase.count(*found, "byte")
                )
            }
            Kexec::SegmentTooSmall { record: of, expected, found } => format!(
                "{}: a segment of {} does not hold the {expected} bytes of the lists",
                phrase.record(of),
                phrase.count(*found, "byte")
            ),
            Kexec::OtherSegment { record: of, load, expected, found } => format!(
                "{}: it states a segment of {}, {} states one of {expected}",
                phrase.record(of),
                phrase.count(*found, "byte"),
                phrase.record(load)
            ),
            Kexec::SpareBytes { least, most, unit } => format!(
                "the segments have {least} to {most} bytes to spare, expected a multiple of {unit} common to all"
            ),
            Kexec::NoKexecStep {} => "no kexec step".to_owned(),
        }
    }
}
