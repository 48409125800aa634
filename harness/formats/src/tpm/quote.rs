//! Judges a quote without a TPM.
//!
//! A quote is worth something when its signature is that of the key, the key signs nothing but what a TPM made
//! itself, the nonce is ours, and the digest in it is that of the values we were given: PCR 10 of each bank and
//! nothing else. (TPM 2.0 Library Part 1, 31.3; Part 2, 10.12.8; Part 3, 18.4.)

mod algorithm;
mod file;
mod key;
mod signature;
mod taken;

pub use algorithm::Unsupported;
pub use file::{FileError, key_from_file, key_to_pem, key_to_tpm2b, values_to_file};
pub use key::{AttestationKey, KeyError};
pub use taken::{PcrValue, QuoteTaken};

use signature::{Signature, SignatureError};

use super::unmarshal::{Malformed, Reader};
use crate::ima::{Bank, Digest};

/// `TPM_GENERATED_VALUE`, which no restricted key signs outside of a TPM structure (Part 2, 6.2).
const GENERATED: u32 = 0xff54_4347;
/// `TPM_ST_ATTEST_QUOTE` (Part 2, 6.9).
const ATTEST_QUOTE: u16 = 0x8018;

/// PCR 10 in a bit map: bit 2 of byte 1.
const MAP: [u8; 3] = [0, 1 << 2, 0];

/// What a good quote says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedQuote {
    /// PCR 10 of each quoted bank, in the quote's order.
    pub values: Vec<PcrValue>,
    /// Whether the key was shown to be a restricted one that cannot leave its TPM; a bare public key cannot show
    /// it.
    pub restricted: bool,
    /// Milliseconds that the TPM has been running.
    pub clock: u64,
    /// TPM Resets so far.
    pub reset_count: u32,
}

/// What is wrong with a quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// The key cannot be used.
    #[error("attestation key: {0}")]
    Key(#[from] KeyError),
    /// The quote cannot be read.
    #[error("quote message: {0}")]
    Attest(Malformed),
    /// The signature cannot be read.
    #[error("quote signature: {0}")]
    SignatureForm(Malformed),
    /// The signature is one that imalab cannot verify.
    #[error("{0}")]
    Unsupported(Unsupported),
    /// A TPM did not make it.
    #[error("quote message: expected magic {GENERATED:#x}, found {found:#x}")]
    Magic {
        /// What is there.
        found: u32,
    },
    /// It attests something else than PCRs.
    #[error("quote message: expected type {ATTEST_QUOTE:#x} (quote), found {found:#x}")]
    Type {
        /// What is there.
        found: u16,
    },
    /// It answers another question, or an older one.
    #[error("nonce: expected {}, found {}", hex::encode(expected), hex::encode(found))]
    Nonce {
        /// Ours.
        expected: Vec<u8>,
        /// The quote's.
        found: Vec<u8>,
    },
    /// It covers other PCRs or other banks, or in another order.
    #[error("quoted PCRs: expected {}, found {}", selection(expected), selection(found))]
    Selection {
        /// `TPM_ALG_ID` and bit map of each bank.
        expected: Vec<(u16, Vec<u8>)>,
        /// The same, in the quote.
        found: Vec<(u16, Vec<u8>)>,
    },
    /// A value is no digest of its bank.
    #[error("PCR 10 of bank {bank}: expected {expected} bytes, found {found}")]
    Value {
        /// The bank.
        bank: Bank,
        /// Bytes of its digests.
        expected: usize,
        /// Bytes of the value.
        found: usize,
    },
    /// A bank has two values.
    #[error("two values of PCR 10 of bank {0}")]
    Twice(Bank),
    /// There is nothing to compare with.
    #[error("no PCR values")]
    NoValues,
    /// The TPM quoted other values than those that were read.
    #[error("digest of the PCR values: expected {}, found {}", hex::encode(expected), hex::encode(found))]
    Digest {
        /// Of the values we were given.
        expected: Vec<u8>,
        /// The quote's.
        found: Vec<u8>,
    },
    /// Another key signed it, or another quote was signed.
    #[error("the signature is not that of the attestation key over this quote")]
    Signature,
}

fn selection(selections: &[(u16, Vec<u8>)]) -> String {
    let bank =
        |alg: u16| Bank::from_tpm_alg(alg).map_or(format!("{alg:#06x}"), |bank| bank.name().to_owned());
    let pcrs = |map: &[u8]| {
        let pcrs = (0..map.len() * 8).filter(|pcr| map[pcr / 8] >> (pcr % 8) & 1 == 1);
        pcrs.map(|pcr| pcr.to_string()).collect::<Vec<_>>().join(",")
    };
    selections.iter().map(|(alg, map)| format!("{}:{}", bank(*alg), pcrs(map))).collect::<Vec<_>>().join("+")
}

/// Verifies a quote of the trace against the nonce that it should answer.
pub fn verify(quote: &QuoteTaken, expected_nonce: &[u8]) -> Result<VerifiedQuote, QuoteError> {
    let key = AttestationKey::from_public(&quote.key)?;
    verify_parts(&key, &quote.attest, &quote.signature, expected_nonce, &quote.values)
}

/// Verifies a quote from its parts: `attest` a `TPMS_ATTEST`, `signature` a `TPMT_SIGNATURE`, `values` PCR 10 of
/// each bank in the order of the quote.
pub fn verify_parts(
    key: &AttestationKey,
    attest: &[u8],
    signature: &[u8],
    expected_nonce: &[u8],
    values: &[PcrValue],
) -> Result<VerifiedQuote, QuoteError> {
    let quoted = signed(key, attest, signature, expected_nonce)?;
    let expected: Vec<_> = values.iter().map(|value| (value.bank.tpm_alg(), MAP.to_vec())).collect();
    if values.is_empty() {
        return Err(QuoteError::NoValues);
    }
    if quoted.selections != expected {
        return Err(QuoteError::Selection { expected, found: quoted.selections });
    }
    let digest = digest(quoted.hash, values)?;
    if quoted.digest != digest {
        return Err(QuoteError::Digest { expected: digest, found: quoted.digest });
    }
    Ok(VerifiedQuote {
        values: values.to_vec(),
        restricted: key.restricted,
        clock: quoted.clock,
        reset_count: quoted.reset_count,
    })
}

/// What a quote says that `key` signed and that answers `expected_nonce`, whatever PCRs it is over.
pub fn signed(
    key: &AttestationKey,
    attest: &[u8],
    signature: &[u8],
    expected_nonce: &[u8],
) -> Result<Quoted, QuoteError> {
    let signature = Signature::read(signature).map_err(|error| match error {
        SignatureError::Form(malformed) => QuoteError::SignatureForm(malformed),
        SignatureError::Unsupported(unsupported) => QuoteError::Unsupported(unsupported),
    })?;
    if !key.signed(attest, &signature) {
        return Err(QuoteError::Signature);
    }
    let quoted = Quoted::read(attest, signature.hash)?;
    if quoted.nonce != expected_nonce {
        return Err(QuoteError::Nonce { expected: expected_nonce.to_vec(), found: quoted.nonce });
    }
    Ok(quoted)
}

/// The values in the order of the selection, hashed with the signature's hash (Part 3, 18.4.1).
fn digest(hash: Bank, values: &[PcrValue]) -> Result<Vec<u8>, QuoteError> {
    for (place, value) in values.iter().enumerate() {
        let (bank, expected, found) = (value.bank, value.bank.digest_size(), value.digest.len());
        if expected != found {
            return Err(QuoteError::Value { bank, expected, found });
        }
        if values[..place].iter().any(|earlier| earlier.bank == bank) {
            return Err(QuoteError::Twice(bank));
        }
    }
    let parts: Vec<&[u8]> = values.iter().map(|value| &*value.digest).collect();
    Ok(Digest::of(hash, &parts).as_bytes().to_vec())
}

/// `TPMS_ATTEST` with a `TPMS_QUOTE_INFO` (Part 2, 10.12.12 and 10.12.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// `extraData`.
    pub nonce: Vec<u8>,
    /// Milliseconds that the TPM has been running.
    pub clock: u64,
    /// TPM Resets so far.
    pub reset_count: u32,
    /// `TPM_ALG_ID` and bit map of each bank.
    pub selections: Vec<(u16, Vec<u8>)>,
    /// The hash of the signature, and of the digest.
    pub hash: Bank,
    /// Digest over the selected values, one after the other.
    pub digest: Vec<u8>,
}

impl Quoted {
    fn read(attest: &[u8], hash: Bank) -> Result<Quoted, QuoteError> {
        let mut reader = Reader::new(attest);
        let magic = reader.u32("magic").map_err(QuoteError::Attest)?;
        if magic != GENERATED {
            return Err(QuoteError::Magic { found: magic });
        }
        let kind = reader.u16("type").map_err(QuoteError::Attest)?;
        if kind != ATTEST_QUOTE {
            return Err(QuoteError::Type { found: kind });
        }
        Quoted::read_rest(reader, hash).map_err(QuoteError::Attest)
    }

    fn read_rest(mut reader: Reader<'_>, hash: Bank) -> Result<Quoted, Malformed> {
        reader.sized("qualifiedSigner")?;
        let nonce = reader.sized("extraData")?.to_vec();
        let clock = reader.u64("clock")?;
        let reset_count = reader.u32("resetCount")?;
        reader.u32("restartCount")?;
        reader.u8("safe")?;
        reader.u64("firmwareVersion")?;
        let selections = reader.pcr_selections()?;
        let digest = reader.sized("pcrDigest")?.to_vec();
        reader.finish()?;
        Ok(Quoted { nonce, clock, reset_count, selections, hash, digest })
    }
}
