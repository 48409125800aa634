//! What the check `views-agree` finds: files of the interface show different records.

#![expect(
    clippy::large_enum_variant,
    reason = "a run has few findings, and records and steps stand in them as they are"
)]

use super::{List, Record, Step};

findings! {
    /// Files of the interface show different records.
    ViewsAgree {
        /// Two binary files show different records at this place.
        "views-agree/differ" Differ {
            step: Step, number: u64, list: List, other_list: List, record: Option<Record>, other_record: Option<Record>,
            records: u64, other_records: u64,
        }
        /// An ASCII file does not show the line that the binary one makes.
        "views-agree/text" Text { step: Step, list: List, number: u64, expected: String, found: String }
        /// An ASCII file goes on after the records of the binary one.
        "views-agree/longer" Longer { step: Step, list: List, other_list: List, records: u64 }
        /// The template digest that a file shows is not that of the record's data, nor in `more` further records.
        "views-agree/wrong-digest" WrongDigest {
            step: Step, list: List, record: Record, expected_digest: String, found_digest: String, more: u64,
        }
        /// A file is malformed.
        "views-agree/malformed" Malformed { step: Step, list: List, error: String }
        /// A record has no text that an ASCII file could show.
        "views-agree/no-text" NoText { step: Step, list: List, number: u64, error: String }
        /// The counter of records is not the number of records in the current list.
        "views-agree/counter" Counter { step: Step, list: List, expected: u64, found: u64 }
        /// A checkpoint did not read every view and counter that it was to read.
        "views-agree/not-all-read" NotAllRead { step: Step, views: u64, views_read: u64, counters: u64, counters_read: u64 }
        /// No checkpoint, while nothing else ran, read the counter and every view of the list.
        "views-agree/no-full-checkpoint" NoFullCheckpoint {}
        /// Every list was empty at each such checkpoint.
        "views-agree/no-record" NoRecord {}
    }
}
