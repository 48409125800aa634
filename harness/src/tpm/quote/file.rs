//! Quotes in the files of tpm2-tools, to be judged by a tool that is not ours and the other way round.
//!
//! `tpm2_checkquote -u KEY -m MESSAGE -s SIGNATURE -q NONCE -f PCRS -l sha1:10+sha256:10`: the message is a
//! `TPMS_ATTEST`, the signature a `TPMT_SIGNATURE`, both as they are in the trace; the key is PEM or a
//! `TPM2B_PUBLIC`, the PCRs are the bare values.

use p256::ecdsa::VerifyingKey;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding};

use super::{AttestationKey, KeyError};
use crate::event::PcrValue;

/// Why a key file gives no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It looks like PEM and is no P-256 public key.
    #[error("PEM public key: {0}")]
    Pem(String),
    /// It is neither PEM nor the public area of an attestation key.
    #[error("public area: {0}")]
    Public(#[from] KeyError),
}

/// Reads a key file: a `PUBLIC KEY` in PEM (of which nothing more is known than that it is a key), a
/// `TPM2B_PUBLIC`, or a bare `TPMT_PUBLIC`.
pub fn key_from_file(bytes: &[u8]) -> Result<AttestationKey, FileError> {
    if bytes.starts_with(b"-----BEGIN ") {
        let text = std::str::from_utf8(bytes).map_err(|error| FileError::Pem(error.to_string()))?;
        let verifying = VerifyingKey::from_public_key_pem(text.trim())
            .map_err(|error| FileError::Pem(error.to_string()))?;
        return Ok(AttestationKey { verifying, restricted: false });
    }
    let inner = match bytes {
        // A TPMT_PUBLIC begins with its type; no TPM2B_PUBLIC is 0x23 bytes long.
        [high, low, inner @ ..] if usize::from(*high) << 8 | usize::from(*low) == inner.len() => inner,
        _ => bytes,
    };
    Ok(AttestationKey::from_public(inner)?)
}

/// The key in PEM, for tpm2-tools and OpenSSL.
pub fn key_to_pem(key: &AttestationKey) -> Result<String, FileError> {
    key.verifying.to_public_key_pem(LineEnding::LF).map_err(|error| FileError::Pem(error.to_string()))
}

/// A `TPM2B_PUBLIC` around a marshalled `TPMT_PUBLIC`, as `tpm2_readpublic` writes it. `None` when it would be
/// longer than any public area.
pub fn key_to_tpm2b(public: &[u8]) -> Option<Vec<u8>> {
    let size = u16::try_from(public.len()).ok()?;
    Some([&size.to_be_bytes()[..], public].concat())
}

/// The PCR values as `tpm2_pcrread -o` writes them and `tpm2_checkquote -f -l` reads them.
pub fn values_to_file(values: &[PcrValue]) -> Vec<u8> {
    values.iter().flat_map(|value| value.digest.iter().copied()).collect()
}
