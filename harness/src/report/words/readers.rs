//! Findings of the check `readers` in words.

use super::parts::{count, described_or, list, step};
use imalab_language::finding::{List, Readers, Step};

pub(super) fn words(finding: &Readers) -> String {
    match finding {
        Readers::WrongRecord { step, opened, list, number, byte, expected_record, found_record } => {
            let found = found_record
                .as_ref()
                .map_or_else(String::new, |found| format!(", read {}", super::parts::described(found)));
            format!(
                "{} should find {} as record {number}, which differs at byte {byte}{found}",
                reader(step, opened, list),
                described_or(expected_record.as_ref(), "nothing")
            )
        }
        Readers::CutRecord { step, opened, list, number, byte } => format!(
            "{} came to the end of the file within record {number}, at byte {byte}",
            reader(step, opened, list)
        ),
        Readers::EndedEarly { step, opened, list, expected, found } => format!(
            "{} came to the end of the file after {}, the list has {expected}",
            reader(step, opened, list),
            count(*found, "record")
        ),
        Readers::BeyondTheEnd { step, opened, list, bytes, byte, end } => format!(
            "{} got {} at byte {byte}, beyond the end at {end}",
            reader(step, opened, list),
            count(*bytes, "byte")
        ),
        Readers::Gone { step, opened, list, byte } => {
            format!("{}: what it got from byte {byte} on cannot be read back", reader(step, opened, list))
        }
    }
}

fn reader(at: &Step, opened: &Step, of: &List) -> String {
    format!("{}: a reader of the {} (opened by {})", step(at), list(of), step(opened))
}
