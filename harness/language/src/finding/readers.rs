//! What the check `readers` finds: what was read of an open list is not its records, each once and whole.

#![expect(
    clippy::large_enum_variant,
    reason = "a run has few findings, and records and steps stand in them as they are"
)]

use super::{List, Record, Step};

findings! {
    /// What was read of an open list is not its records, each once and whole. `opened` is the step that opened it.
    Readers {
        /// A reader found another record, or something else, at this place of the list.
        "readers/wrong-record" WrongRecord {
            step: Step, opened: Step, list: List, number: u64, byte: u64, expected_record: Option<Record>,
            found_record: Option<Record>,
        }
        /// A reader came to the end of the file within a record.
        "readers/cut-record" CutRecord { step: Step, opened: Step, list: List, number: u64, byte: u64 }
        /// A reader came to the end of the staged list before its last record.
        "readers/ended-early" EndedEarly { step: Step, opened: Step, list: List, expected: u64, found: u64 }
        /// A reader got bytes from beyond the end of the list.
        "readers/beyond-the-end" BeyondTheEnd { step: Step, opened: Step, list: List, bytes: u64, byte: u64, end: u64 }
        /// What a reader got cannot be read back.
        "readers/gone" Gone { step: Step, opened: Step, list: List, byte: u64 }
    }
}
