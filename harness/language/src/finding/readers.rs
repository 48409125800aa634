//! What the check `readers` finds: what was read of an open list is not its records, each once and whole.

#![expect(
    clippy::large_enum_variant,
    reason = "a run has few findings, and records and steps stand in them as they are"
)]

use super::{Directness, Invariant, List, Phrasing, Record, Rests, Step};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "every byte read from an open list, in portions of any size, against that list as its file shows it",
    rests: Rests {
        on: "reads of open lists and the bytes that they gave",
        nothing: "no read within the rules: could not run",
        tests: &["no_list_read"],
    },
    directness: |_| Directness::Read,
};

findings! {
    /// What was read from an open list is not exactly its records, each once and complete. `opened` is the step that opened it.
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

impl Readers {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Readers::WrongRecord { step, opened, list, number, byte, expected_record, found_record } => {
                let found = found_record
                    .as_ref()
                    .map_or_else(String::new, |found| format!(", read {}", phrase.described(found)));
                format!(
                    "{} should find {} as record {number}, which differs at byte {byte}{found}",
                    reader(phrase, step, opened, list),
                    phrase.described_or(expected_record.as_ref(), "nothing")
                )
            }
            Readers::CutRecord { step, opened, list, number, byte } => format!(
                "{} came to the end of the file within record {number}, at byte {byte}",
                reader(phrase, step, opened, list)
            ),
            Readers::EndedEarly { step, opened, list, expected, found } => format!(
                "{} came to the end of the file after {}, the list has {expected}",
                reader(phrase, step, opened, list),
                phrase.count(*found, "record")
            ),
            Readers::BeyondTheEnd { step, opened, list, bytes, byte, end } => format!(
                "{} got {} at byte {byte}, beyond the end at {end}",
                reader(phrase, step, opened, list),
                phrase.count(*bytes, "byte")
            ),
            Readers::Gone { step, opened, list, byte } => {
                format!(
                    "{}: its data from byte {byte} on cannot be read back",
                    reader(phrase, step, opened, list)
                )
            }
        }
    }
}

fn reader(phrase: &dyn Phrasing, at: &Step, opened: &Step, of: &List) -> String {
    format!("{}: a reader of the {} (opened by {})", phrase.step(at), phrase.list(of), phrase.step(opened))
}
