//! The command line of `imalab verify`.

use std::path::PathBuf;
use std::str::FromStr;

use imalab_formats::ima::{Bank, ByteOrder, Digest, PCR_LIMIT, PcrSelection, SelectionError};

/// Replay a measurement list and compare it with PCR values or a quote
///
/// Every template digest is recomputed from the template data, in every requested bank. A list holds if
/// each PCR that its records extend was compared and matches; docs/verify.md says what each verdict rests on.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Measurement list in the kernel's binary form (`-`: standard input). Several files are chunks of one list, in order,
    /// across any number of kernels; records that were saved and then carried over kexec may repeat in a later chunk
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub log: Vec<PathBuf>,

    /// Bank of the file the list was read from (default: detected from the first record)
    #[arg(long, value_name = "BANK")]
    pub view: Option<Bank>,

    /// Read the list of a big-endian kernel without `ima_canonical_fmt`
    #[arg(long)]
    pub big_endian: bool,

    /// PCR values as written by evmctl, `tpm2_pcrread` (also `-o`), `tsspcrread`, `tpm2_quote -o` or sysfs: a file, or a
    /// directory like `/sys/class/tpm/tpm0/pcr-sha256`. Prefix it with the selection to use (`sha256` or
    /// `sha1:10+sha256:10,11`) if the values have no index
    #[arg(long, value_name = "[BANK[:PCR,...],]FILE")]
    pub pcrs: Vec<PcrsArg>,

    /// PCR values before the first record: one value, or a file as for `--pcrs`. Needed for records since an earlier quote,
    /// and for a PCR that others extend too. PCR 10 of a list that begins with `boot_aggregate` starts at its reset value
    #[arg(long, value_name = "PCR,BANK,HEX|[BANK[:PCR,...],]FILE")]
    pub start: Vec<StartArg>,

    /// Accept records of this PCR without comparing it; otherwise a record whose PCR was not compared gives exit code 4
    #[arg(long, value_name = "PCR", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(..i64::from(PCR_LIMIT)))]
    pub uncovered_pcr: Vec<u32>,

    /// Accept records at the end of the list that are in neither the PCRs nor the quote; without it, exit 4 when there are any
    #[arg(long, conflicts_with = "whole")]
    pub uncovered_tail: bool,

    /// Quote: marshalled `TPMS_ATTEST` (`tpm2_quote --message`)
    #[arg(long, value_name = "FILE", requires_all = ["quote_signature", "quote_key", "nonce"])]
    pub quote_message: Option<PathBuf>,

    /// Quote: marshalled `TPMT_SIGNATURE` (`tpm2_quote --signature`): RSASSA, RSAPSS or ECDSA with SHA-256, SHA-384 or
    /// SHA-512
    #[arg(long, value_name = "FILE", requires = "quote_message")]
    pub quote_signature: Option<PathBuf>,

    /// Quote: public part of the attestation key, in PEM, DER or as `tpm2_readpublic` writes it: RSA, or ECC on P-256 or P-384
    #[arg(long, value_name = "FILE", requires = "quote_message")]
    pub quote_key: Option<PathBuf>,

    /// Quote: expected nonce, in hexadecimal
    #[arg(long, value_name = "HEX", requires = "quote_message")]
    pub nonce: Option<String>,

    /// Require the whole list to match, not just its first records
    #[arg(long)]
    pub whole: bool,

    /// Print the verdict as JSON
    #[arg(long)]
    pub json: bool,
}

/// A value of `--pcrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrsArg {
    /// What to take of the file; all of it when nothing stands before it.
    pub selection: Option<PcrSelection>,
    /// The file.
    pub path: PathBuf,
}

/// A value of `--start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartArg {
    /// A PCR and its value.
    Value(u32, Digest),
    /// A file of values.
    File(PcrsArg),
}

impl FromStr for PcrsArg {
    type Err = SelectionError;

    /// What stands before the path ends at the first comma that no PCR follows. A file whose name is a number can follow
    /// PCRs: the last number is its name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(',').collect();
        if parts.len() < 2 {
            return Ok(PcrsArg { selection: None, path: text.into() });
        }
        let mut end = 1;
        if parts[0].contains(':') {
            let goes_on = |part: &str| {
                let mut banks = part.split('+');
                banks
                    .next()
                    .is_some_and(|pcr| !pcr.is_empty() && pcr.bytes().all(|byte| byte.is_ascii_digit()))
                    && banks
                        .all(|bank| bank.split(':').next().is_some_and(|name| name.parse::<Bank>().is_ok()))
            };
            while end + 1 < parts.len() && goes_on(parts[end]) {
                end += 1;
            }
        }
        let selection = parts[..end].join(",").parse()?;
        Ok(PcrsArg { selection: Some(selection), path: parts[end..].join(",").into() })
    }
}

/// A start value that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartArgError {
    /// What stands before the file is no selection.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// It is not hexadecimal, or of another bank.
    #[error("expected a {bank} digest of {} bytes in hexadecimal", bank.digest_size())]
    Value {
        /// The bank that it was to be of.
        bank: Bank,
    },
    /// No TPM has such a PCR.
    #[error("expected a PCR of 0 to {}", PCR_LIMIT - 1)]
    Pcr,
}

impl FromStr for StartArg {
    type Err = StartArgError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let [pcr, bank, value] = text.split(',').collect::<Vec<_>>()[..]
            && let (Ok(pcr), Ok(bank)) = (pcr.parse::<u32>(), bank.parse::<Bank>())
        {
            let bytes = hex::decode(value.strip_prefix("0x").unwrap_or(value)).ok();
            let digest = bytes.and_then(|bytes| Digest::from_bytes(bank, &bytes));
            let digest = digest.ok_or(StartArgError::Value { bank })?;
            return if pcr < PCR_LIMIT { Ok(StartArg::Value(pcr, digest)) } else { Err(StartArgError::Pcr) };
        }
        Ok(StartArg::File(text.parse()?))
    }
}

impl VerifyArgs {
    pub(super) fn byte_order(&self) -> ByteOrder {
        if self.big_endian { ByteOrder::Big } else { ByteOrder::Little }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("pcrs", None, "pcrs")]
    #[case("sha256,pcrs", Some("sha256"), "pcrs")]
    #[case("sha256,a,b", Some("sha256"), "a,b")]
    #[case("sha256:10,pcrs", Some("sha256:10"), "pcrs")]
    #[case("sha256:10,11,pcrs", Some("sha256:10,11"), "pcrs")]
    #[case("sha1:10+sha256:10,11,pcrs", Some("sha1:10+sha256:10,11"), "pcrs")]
    #[case("sha1:9,10+sha256:10,pcrs", Some("sha1:9,10+sha256:10"), "pcrs")]
    #[case("sha256:10,10", Some("sha256:10"), "10")]
    #[case("sha256,10", Some("sha256"), "10")]
    fn what_to_take_of_a_file(#[case] text: &str, #[case] selection: Option<&str>, #[case] path: &str) {
        let arg: PcrsArg = text.parse().unwrap();
        assert_eq!(arg.selection.map(|selection| selection.to_string()).as_deref(), selection);
        assert_eq!(arg.path, PathBuf::from(path));
    }

    #[test]
    fn start_values() {
        let digest = Digest::ones(Bank::Sha256);
        assert_eq!(format!("10,sha256,{digest}").parse(), Ok(StartArg::Value(10, digest)));
        assert_eq!(
            format!("10,sha1,{digest}").parse::<StartArg>(),
            Err(StartArgError::Value { bank: Bank::Sha1 })
        );
        assert_eq!(format!("64,sha256,{digest}").parse::<StartArg>(), Err(StartArgError::Pcr));
        assert!(matches!("sha256,before".parse(), Ok(StartArg::File(PcrsArg { selection: Some(_), .. }))));
        assert!(matches!("before".parse(), Ok(StartArg::File(PcrsArg { selection: None, .. }))));
    }
}
