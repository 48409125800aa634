//! Findings of the check `quote` in words.

use super::parts::{count, prefix};
use imalab_language::finding::Quote;

pub(super) fn words(finding: &Quote) -> String {
    match finding {
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
            format!("mark {mark}: {bank}: the quote has {found_digest}, PCR 10 was read as {expected_digest}")
        }
        Quote::NotOfTheLog { mark, bank, records, expected_digest, found_digest, prefix: part } => format!(
            "mark {mark}: {bank}: the quote has {found_digest}, the first {} of the log give {expected_digest}; {}",
            count(*records, "record"),
            prefix(*part)
        ),
        Quote::AheadOfTheLog { mark, extends, records } => format!(
            "mark {mark}: {} came before the quote, the whole log holds {}",
            count(*extends, "extend"),
            count(*records, "record")
        ),
        Quote::NotTaken { mark } => format!("mark {mark}: no quote was taken"),
        Quote::NoWholeLog {} => {
            "no checkpoint shows a whole log that the quotes could be compared with".to_owned()
        }
        Quote::NoQuoteStep {} => "no quote step".to_owned(),
    }
}
