//! What became of a comparison.

use serde::Serialize;

/// What became of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Outcome {
    /// The whole list leads to what the TPM said.
    Matches,
    /// The first `records` records do; those after them are not in the PCR, or not yet.
    MatchesPrefix {
        /// How many.
        records: u64,
    },
    /// The PCRs are as they were before the first record: none is in them.
    NotBegun,
    /// No number of records does.
    Mismatch,
    /// There was nothing to compare with.
    Unchecked,
}

impl Outcome {
    pub(super) fn of(matched: Option<u64>, records: u64) -> Outcome {
        match matched {
            Some(matched) if matched == records => Outcome::Matches,
            Some(0) => Outcome::NotBegun,
            Some(records) => Outcome::MatchesPrefix { records },
            None => Outcome::Mismatch,
        }
    }

    pub(super) fn is_match(self) -> bool {
        matches!(self, Outcome::Matches | Outcome::MatchesPrefix { .. })
    }
}
