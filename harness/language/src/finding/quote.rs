//! What the check `quote` finds: a quote does not verify, or is over values that the log never had.

use super::{Directness, Invariant, Phrasing, Rests};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "a quote by a restricted key with a fresh nonce, verified on the host",
    rests: Rests {
        on: "quotes that verify, the records extended before each, every bank",
        nothing: "no quote step: not applicable; a quote that was not taken, or of no record: could not run",
        tests: &["a_run_without_a_quote_step_says_so", "no_quote_taken", "nothing_quoted"],
    },
    directness: |_| Directness::Quote,
};

findings! {
    /// A quote does not verify, or is over values that the log never had.
    Quote {
        /// A quote does not verify.
        "quote/invalid" Invalid { mark: u64, error: String }
        /// The nonce of a quote was used before.
        "quote/nonce-reused" NonceReused { mark: u64 }
        /// The TPM was reset between the quotes at these marks.
        "quote/tpm-reset" TpmReset { marks: Vec<u64> }
        /// A quote covers other banks than the machine has.
        "quote/banks" Banks { mark: u64, expected: Vec<String>, found: Vec<String> }
        /// A quote and the reading under the same mark have different values of PCR 10.
        "quote/not-as-read" NotAsRead { mark: u64, bank: String, expected_digest: String, found_digest: String }
        /// The records before a quote give another value than it quotes; `prefix`: so many of the log's records do give that.
        "quote/not-of-the-log" NotOfTheLog {
            mark: u64, bank: String, records: u64, expected_digest: String, found_digest: String, prefix: Option<u64>,
        }
        /// More extends came before a quote than the whole log holds records.
        "quote/ahead-of-the-log" AheadOfTheLog { mark: u64, extends: u64, records: u64 }
        /// A planned quote was not taken.
        "quote/not-taken" NotTaken { mark: u64 }
        /// No checkpoint shows a whole log that quotes could be compared with.
        "quote/no-whole-log" NoWholeLog {}
        /// The scenario has no `quote`.
        "quote/no-quote-step" NoQuoteStep {}
    }
}

impl Quote {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Quote::Invalid { mark, error } => format!("mark {mark}: the quote does not verify: {error}"),
            Quote::NonceReused { mark } => format!("mark {mark}: the quote's nonce was used before"),
            Quote::TpmReset { marks } => {
                let marks: Vec<String> = marks.iter().map(u64::to_string).collect();
                format!("the TPM was reset between the quotes at marks {}", marks.join(" and "))
            }
            Quote::Banks { mark, expected, found } => format!(
                "mark {mark}: the quote is of banks [{}], expected [{}]",
                found.join(" "),
                expected.join(" ")
            ),
            Quote::NotAsRead { mark, bank, expected_digest, found_digest } => {
                format!(
                    "mark {mark}: {bank}: the quote has {found_digest}, PCR 10 was read as {expected_digest}"
                )
            }
            Quote::NotOfTheLog { mark, bank, records, expected_digest, found_digest, prefix: part } => {
                format!(
                    "mark {mark}: {bank}: the quote has {found_digest}, the first {} of the log give {expected_digest}; {}",
                    phrase.count(*records, "record"),
                    phrase.prefix(*part)
                )
            }
            Quote::AheadOfTheLog { mark, extends, records } => format!(
                "mark {mark}: {} came before the quote, the whole log holds {}",
                phrase.count(*extends, "extend"),
                phrase.count(*records, "record")
            ),
            Quote::NotTaken { mark } => format!("mark {mark}: no quote was taken"),
            Quote::NoWholeLog {} => {
                "no checkpoint shows a whole log that the quotes could be compared with".to_owned()
            }
            Quote::NoQuoteStep {} => "no quote step".to_owned(),
        }
    }
}
