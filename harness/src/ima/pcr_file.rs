//! Files of PCR values: the form that `evmctl ima_measurement --pcrs <bank>,FILE` reads, and that of
//! `tpm2_pcrread`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{Bank, Digest};

/// PCRs that a PC client TPM has at least, and that evmctl looks for (`NUM_PCRS` in its `imaevm.h`).
const PCR_COUNT: u32 = 24;

/// PCR values of one bank, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrValues {
    bank: Bank,
    values: BTreeMap<u32, Digest>,
}

/// A line of a file of PCR values that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found \"{found}\"")]
pub struct PcrFileError {
    /// Which line, from 1; one past the last when the file lacks something.
    pub line: usize,
    /// What belongs there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl PcrValues {
    /// No values yet.
    pub fn new(bank: Bank) -> PcrValues {
        PcrValues { bank, values: BTreeMap::new() }
    }

    /// The bank.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// Sets PCR `index`. A value of another bank is not taken: `false` then.
    pub fn set(&mut self, index: u32, value: Digest) -> bool {
        let fits = value.bank() == self.bank;
        if fits {
            self.values.insert(index, value);
        }
        fits
    }

    /// The value of PCR `index`, when the file has it.
    pub fn get(&self, index: u32) -> Option<Digest> {
        self.values.get(&index).copied()
    }

    /// Parses a file of `bank`.
    ///
    /// Lines are `PCR-10: <hex>`, where the bytes may have spaces between them, as sysfs of a TPM 1.2 had
    /// them; or `10: 0x<hex>` as `tpm2_pcrread` prints it, under a line `<bank>:` when there is more than one
    /// bank: then only those of `bank` count. Empty lines and comments from `#` on are passed over.
    ///
    /// # Errors
    ///
    /// [`PcrFileError`] for any other line, a digest of another size, an index given twice, no value at all.
    pub fn parse(text: &str, bank: Bank) -> Result<PcrValues, PcrFileError> {
        let mut values = PcrValues::new(bank);
        let mut ours = true;
        let mut last = 0;
        for (line, content) in (1..).zip(text.lines()) {
            last = line;
            let content = content.trim();
            let wrong = |expected: &str| PcrFileError {
                line,
                expected: expected.to_owned(),
                found: content.chars().take(80).collect(),
            };
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let Some((key, value)) = content.split_once(':') else {
                return Err(wrong("`PCR-<index>: <hex>` or `<index>: 0x<hex>`"));
            };
            let (key, value) = (key.trim(), value.trim());
            if value.is_empty() && !key.starts_with(|first: char| first.is_ascii_digit()) {
                ours = key == bank.name();
                continue;
            }
            let index: u32 = key
                .strip_prefix("PCR-")
                .unwrap_or(key)
                .parse()
                .map_err(|_| wrong("`PCR-<index>: <hex>` or `<index>: 0x<hex>`"))?;
            if !ours {
                continue;
            }
            let digits: String = value.trim_start_matches("0x").split_whitespace().collect();
            let digest = hex::decode(digits)
                .ok()
                .and_then(|bytes| Digest::from_bytes(bank, &bytes))
                .ok_or_else(|| wrong(&format!("a {bank} digest of {} bytes", bank.digest_size())))?;
            if values.values.insert(index, digest).is_some() {
                return Err(wrong("each PCR once"));
            }
        }
        if values.values.is_empty() {
            let expected = format!("the value of a {bank} PCR");
            return Err(PcrFileError { line: last + 1, expected, found: "end of the file".to_owned() });
        }
        Ok(values)
    }

    /// Writes the values so that evmctl reads them.
    ///
    /// evmctl (1.4 and 1.5, `read_one_bank`) takes the lines in order from `PCR-00`, without a gap; a PCR that
    /// has no value here is therefore written as zeros, as a PCR that nothing extended has them.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for index in 0..PCR_COUNT {
            let value = self.get(index).unwrap_or(Digest::zero(self.bank));
            writeln!(out, "PCR-{index:02}: {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "0102030405060708090a0b0c0d0e0f1011121314";

    #[rstest]
    #[case::evmctl("PCR-10: 0102030405060708090a0b0c0d0e0f1011121314\n")]
    #[case::sysfs("PCR-10: 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10 11 12 13 14 \n")]
    #[case::comment("# taken at mark 3\n\nPCR-10: 0102030405060708090a0b0c0d0e0f1011121314\n")]
    #[case::tpm2_pcrread("  10: 0x0102030405060708090A0B0C0D0E0F1011121314")]
    #[case::tpm2_pcrread_wide(
        "  sha256:\n    10: 0xAB\n  sha1:\n    10 : 0x0102030405060708090A0B0C0D0E0F1011121314\n"
    )]
    fn forms(#[case] text: &str) {
        let values = PcrValues::parse(text, Bank::Sha1).unwrap();
        assert_eq!(values.get(10).unwrap().to_string(), HEX);
        assert_eq!(values.get(11), None);
    }

    #[rstest]
    #[case::no_value("", 1, "the value of a sha1 PCR")]
    #[case::only_other_bank("sha256:\n10: 0xAB\n", 3, "the value of a sha1 PCR")]
    #[case::text("hello\n", 1, "`PCR-<index>")]
    #[case::index("\nPCR-ten: 00\n", 2, "`PCR-<index>")]
    #[case::short("PCR-10: 0102\n", 1, "a sha1 digest of 20 bytes")]
    #[case::not_hex("PCR-10: xyz\n", 1, "a sha1 digest of 20 bytes")]
    #[case::twice(&format!("PCR-10: {HEX}\n10: 0x{HEX}"), 2, "each PCR once")]
    fn errors(#[case] text: &str, #[case] line: usize, #[case] expected: &str) {
        let error = PcrValues::parse(text, Bank::Sha1).unwrap_err();
        assert_eq!(error.line, line);
        assert!(error.expected.starts_with(expected), "{error}");
    }

    #[test]
    fn written_values_parse_again() {
        let mut values = PcrValues::new(Bank::Sha256);
        assert!(values.set(10, Digest::ones(Bank::Sha256)));
        assert!(!values.set(11, Digest::ones(Bank::Sha1)));
        let mut text = Vec::new();
        values.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let again = PcrValues::parse(&text, Bank::Sha256).unwrap();
        assert_eq!(again.get(10), values.get(10));
        assert_eq!(again.get(0), Some(Digest::zero(Bank::Sha256)));
        assert_eq!(text.lines().count(), 24);
    }
}
