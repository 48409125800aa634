//! The command line of `imalab verify`.

use std::path::PathBuf;
use std::str::FromStr;

use super::{QuoteFiles, VerifyError};
use crate::ima::{Bank, ByteOrder};

/// Replays a measurement list and compares it with PCR values or a quote.
///
/// Every template digest is recomputed from the template data, in every bank that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Measurement list in the kernel's binary form; several are chunks of one list, in order, over any number of kernels.
    /// Records that a kexec carried after they were saved may stand at the start of a later one again.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub log: Vec<PathBuf>,

    /// Bank whose file the list was read from; told from the first record when left out.
    #[arg(long, value_name = "BANK")]
    pub view: Option<Bank>,

    /// The list was written by a big-endian kernel without `ima_canonical_fmt`.
    #[arg(long)]
    pub big_endian: bool,

    /// PCR values of a bank, as `evmctl ima_measurement --pcrs` and `tpm2_pcrread` have them (bank: sha1).
    #[arg(long, value_name = "[BANK,]FILE")]
    pub pcrs: Vec<PcrsArg>,

    /// Quote: the marshalled `TPMS_ATTEST` (`tpm2_quote --message`).
    #[arg(long, value_name = "FILE", requires_all = ["quote_signature", "quote_key", "nonce"])]
    pub quote_message: Option<PathBuf>,

    /// Quote: the marshalled `TPMT_SIGNATURE` (`tpm2_quote --signature`).
    #[arg(long, value_name = "FILE", requires = "quote_message")]
    pub quote_signature: Option<PathBuf>,

    /// Quote: the attestation key's public part.
    #[arg(long, value_name = "FILE", requires = "quote_message")]
    pub quote_key: Option<PathBuf>,

    /// Quote: the nonce that it must carry, in hexadecimal.
    #[arg(long, value_name = "HEX", requires = "quote_message")]
    pub nonce: Option<String>,

    /// A match of the list's first records alone is a mismatch.
    #[arg(long)]
    pub whole: bool,

    /// Prints the verdict as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A value of `--pcrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrsArg {
    /// The bank in front of the comma, or SHA-1.
    pub bank: Bank,
    /// The file.
    pub path: PathBuf,
}

impl FromStr for PcrsArg {
    type Err = crate::ima::UnknownBank;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (bank, path) = match text.split_once(',') {
            Some((bank, path)) => (bank.parse()?, path),
            None => (Bank::Sha1, text),
        };
        Ok(PcrsArg { bank, path: path.into() })
    }
}

impl VerifyArgs {
    pub(super) fn byte_order(&self) -> ByteOrder {
        if self.big_endian { ByteOrder::Big } else { ByteOrder::Little }
    }

    /// Reads the files of the quote; `None` when there is none.
    pub(super) fn quote_files(&self) -> Result<Option<QuoteFiles>, VerifyError> {
        let (Some(message), Some(signature), Some(key), Some(nonce)) =
            (&self.quote_message, &self.quote_signature, &self.quote_key, &self.nonce)
        else {
            return Ok(None);
        };
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| VerifyError::Read { path: path.clone(), source })
        };
        Ok(Some(QuoteFiles {
            message: read(message)?,
            signature: read(signature)?,
            key: read(key)?,
            nonce: hex::decode(nonce).map_err(VerifyError::Nonce)?,
        }))
    }
}
