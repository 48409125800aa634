//! What the check `kexec` finds: a kernel began with another list than the one before it left, or its records of kexec are
//! not true.

use super::{Record, Step};

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
        /// A request was refused as if measuring were suspended, and no kexec had begun.
        "kexec/refused-early" RefusedEarly { step: Step }
        /// A request was granted after one was refused because measuring is suspended.
        "kexec/granted-late" GrantedLate { step: Step, refused: Step }
        /// A record of kexec does not have its three numbers.
        "kexec/no-numbers" NoNumbers { record: Record, words: String }
        /// There are more or fewer records `kexec_load` than loads that make one.
        "kexec/loads" Loads { boot: u16, expected: u64, found: u64 }
        /// There are more or fewer records `kexec_execute` than kexecs.
        "kexec/executions" Executions { boot: u16, expected: u64, found: u64 }
        /// A record of kexec tells of other bytes than the log has before it.
        "kexec/bytes" Bytes { boot: u16, record: Record, expected: u64, found: u64 }
        /// A record of kexec tells of other records than the log has before it.
        "kexec/records" Records { boot: u16, record: Record, expected: u64, found: u64 }
        /// The bytes that a record of kexec tells of are of a later moment than its number of records.
        "kexec/bytes-too-late" BytesTooLate { record: Record }
        /// A segment is not one of whole pages.
        "kexec/odd-segment" OddSegment { record: Record, found: u64 }
        /// A segment has fewer bytes than the lists need.
        "kexec/segment-too-small" SegmentTooSmall { record: Record, expected: u64, found: u64 }
        /// The record of an execution tells of another segment than that of the last load.
        "kexec/other-segment" OtherSegment { record: Record, load: Record, expected: u64, found: u64 }
        /// The segments of a run do not have the same number of bytes to spare.
        "kexec/spare-bytes" SpareBytes { least: u64, most: u64, unit: u64 }
        /// The scenario has no kexec.
        "kexec/no-kexec-step" NoKexecStep {}
    }
}
