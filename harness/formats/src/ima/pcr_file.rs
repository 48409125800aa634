//! Files of PCR values, in every form in which Linux and the tools of TPMs give them.

mod binary;
mod text;

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::pcr_selection::PcrSelection;
use super::{Bank, Digest};

/// PCRs that a PC client TPM has at least, and that evmctl looks for (`NUM_PCRS` in its `imaevm.h`).
const PCR_COUNT: u32 = 24;

/// PCR values of one bank, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrValues {
    bank: Bank,
    values: BTreeMap<u32, Digest>,
}

/// What is known of a file of PCR values from elsewhere than its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PcrHint {
    /// Which PCRs of which banks to take; all that there are when there is none.
    pub selection: Option<PcrSelection>,
    /// The PCR that the file's name tells, as of `/sys/class/tpm/tpm0/pcr-sha256/10`.
    pub index: Option<u32>,
}

/// Why there are no PCR values in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PcrFileError {
    /// A line is none of PCR values.
    #[error("line {line}: expected {expected}, found \"{}\"", found.escape_debug())]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file as a whole is none of PCR values.
    #[error("expected {expected}, found {found}")]
    Whole {
        /// What was asked for.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl PcrFileError {
    fn whole(expected: impl Into<String>, found: impl Into<String>) -> PcrFileError {
        PcrFileError::Whole { expected: expected.into(), found: found.into() }
    }
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

    /// The value of PCR `index`, when there is one.
    pub fn get(&self, index: u32) -> Option<Digest> {
        self.values.get(&index).copied()
    }

    /// Every value, by index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Digest)> {
        self.values.iter().map(|(index, value)| (*index, *value))
    }

    /// Reads a file, which may have values of several banks. What it is, is told from its content:
    ///
    /// - lines `PCR-10: <hex>`, where the bytes may have blanks between them, as sysfs of a TPM 1.2 had them and evmctl
    ///   reads them; or `10: 0x<hex>` under `<bank>:` as `tpm2_pcrread` prints them. Empty lines and comments from `#` on
    ///   are passed over. Where no bank stands, the size of the digest tells it.
    /// - bare hexadecimal, as sysfs has a PCR of a TPM 2.0 (`pcr-sha256/10`, Linux 5.12 and newer) and `tsspcrread -ns`
    ///   prints it, or `digest length 32` with lines of bytes, as `tsspcrread` does; which PCR it is has to be hinted at.
    /// - bytes: the values alone (`tpm2_pcrread -o`, `tsspcrread -of`), of the selection or of 24 PCRs a bank, or with the
    ///   selection before them (`tpm2_quote -o`).
    ///
    /// # Errors
    ///
    /// [`PcrFileError`] for anything else, a digest of another size, an index given twice, no value at all, and none of a
    /// PCR that was selected by number.
    pub fn read(content: &[u8], hint: &PcrHint) -> Result<Vec<PcrValues>, PcrFileError> {
        let found = match std::str::from_utf8(content) {
            Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace()) => {
                text::read(text, hint)?
            }
            _ => binary::read(content, hint.selection.as_ref())?,
        };
        let mut banks: BTreeMap<Bank, PcrValues> = BTreeMap::new();
        for (bank, index, value) in found {
            if hint.selection.as_ref().is_none_or(|selection| selection.has(bank, index)) {
                banks.entry(bank).or_insert_with(|| PcrValues::new(bank)).set(index, value);
            }
        }
        if let Some(selection) = &hint.selection {
            for (bank, pcrs) in selection.banks() {
                let has = |pcr| banks.get(&bank).is_some_and(|values| values.get(pcr).is_some());
                if let Some(missing) = pcrs.unwrap_or_default().iter().find(|pcr| !has(**pcr)) {
                    return Err(PcrFileError::whole(format!("the value of {bank} PCR {missing}"), "none"));
                }
                if !banks.contains_key(&bank) {
                    return Err(PcrFileError::whole(format!("the value of a {bank} PCR"), "none"));
                }
            }
        }
        if banks.is_empty() {
            let names = Bank::ALL.map(Bank::name).join(", ");
            return Err(PcrFileError::whole(format!("the value of a PCR of {names}"), "none"));
        }
        Ok(banks.into_values().collect())
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

/// The bank whose digests have so many bytes.
fn bank_of_size(bytes: usize) -> Option<Bank> {
    Bank::ALL.into_iter().find(|bank| bank.digest_size() == bytes)
}

#[cfg(test)]
mod tests;
