//! What the check `quote` finds: a quote does not verify, or is over values that the log never had.

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
