//! Why there is no verdict.

use std::io;
use std::path::{Path, PathBuf};

use imalab_formats::ima::{Bank, PcrFileError, ReadError};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be opened or read.
    #[error("cannot read {}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pipe would have to be read twice.
    #[error("{} is a pipe, which can be read once, and is named twice", shown(.0))]
    PipeTwice(PathBuf),
    /// A measurement list is not well-formed.
    #[error("malformed measurement list {}{hint}", shown(path))]
    Log {
        /// The list's file.
        path: PathBuf,
        /// What would help, or nothing.
        hint: String,
        /// Where and what. Record numbers count from the start of this file.
        source: ReadError,
    },
    /// The lists have no record: nothing to judge.
    #[error("the measurement list has no record, so nothing was compared")]
    Empty,
    /// A file of PCR values is not well-formed.
    #[error("malformed PCR values in {}", shown(path))]
    Pcrs {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: PcrFileError,
    },
    /// Two files have a value of one PCR.
    #[error("the {what} of {bank} PCR {pcr} is given twice")]
    Twice {
        /// Which value.
        what: &'static str,
        /// The bank.
        bank: Bank,
        /// The PCR.
        pcr: u32,
    },
    /// The nonce is not hexadecimal.
    #[error("expected the nonce in hexadecimal")]
    Nonce(#[source] hex::FromHexError),
    /// The quote could not be checked: it, its signature or its key cannot be read, or are of a kind that imalab cannot
    /// verify.
    #[error("the quote was not checked")]
    QuoteUnchecked(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The quote does not verify: signature, magic or nonce are not what they should be.
    #[error("the quote does not verify")]
    Quote(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a check of a quote's signature and nonce ends with when there is nothing to compare.
#[derive(Debug)]
pub enum QuoteCheckError {
    /// It was not checked: something cannot be read, or is not supported.
    Unchecked(Box<dyn std::error::Error + Send + Sync>),
    /// It was, and is no quote by this key over this nonce.
    Refuted(Box<dyn std::error::Error + Send + Sync>),
}

impl From<QuoteCheckError> for VerifyError {
    fn from(error: QuoteCheckError) -> Self {
        match error {
            QuoteCheckError::Unchecked(cause) => VerifyError::QuoteUnchecked(cause),
            QuoteCheckError::Refuted(cause) => VerifyError::Quote(cause),
        }
    }
}

/// A path without anything that could act on a terminal.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
