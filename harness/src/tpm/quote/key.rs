//! The public key of a quote.

use p256::ecdsa::VerifyingKey;
use p256::{EncodedPoint, FieldBytes};

use super::{ALG_ECDSA, ALG_SHA256};
use crate::tpm::unmarshal::{Malformed, Reader};

const ALG_NULL: u16 = 0x0010;
const ALG_ECC: u16 = 0x0023;
const ECC_NIST_P256: u16 = 0x0003;

/// Bits of `TPMA_OBJECT` (TPM 2.0 Library Part 2, 8.3).
const FIXED_TPM: u32 = 1 << 1;
const RESTRICTED: u32 = 1 << 16;
const SIGN: u32 = 1 << 18;

/// A key that a quote can be verified with: ECDSA with SHA-256 on NIST P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationKey {
    pub(super) verifying: VerifyingKey,
    pub(super) restricted: bool,
}

/// Why a key cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read, or is of another kind.
    #[error("{0}")]
    Form(#[from] Malformed),
    /// It may sign what no TPM made, or may be held outside of a TPM.
    #[error("attributes: expected restricted, sign and fixedTPM, found {found:#010x}, which lacks {lacking}")]
    Attributes {
        /// Its `TPMA_OBJECT`.
        found: u32,
        /// Names of the missing ones.
        lacking: String,
    },
    /// Its coordinates are no point of the curve.
    #[error("no point of NIST P-256")]
    Point,
}

impl AttestationKey {
    /// Reads a marshalled `TPMT_PUBLIC` (Part 2, 12.2.4), and checks that it is an attestation key.
    pub fn from_public(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(bytes);
        expect(&mut reader, "type", "TPM_ALG_ECC", ALG_ECC)?;
        reader.u16("nameAlg")?;
        let found = reader.u32("objectAttributes")?;
        let wanted = [(RESTRICTED, "restricted"), (SIGN, "sign"), (FIXED_TPM, "fixedTPM")];
        let lacking: Vec<_> =
            wanted.iter().filter(|(bit, _)| found & bit == 0).map(|&(_, name)| name).collect();
        if !lacking.is_empty() {
            return Err(KeyError::Attributes { found, lacking: lacking.join(", ") });
        }
        reader.sized("authPolicy")?;
        expect(&mut reader, "symmetric", "TPM_ALG_NULL", ALG_NULL)?;
        expect(&mut reader, "scheme", "TPM_ALG_ECDSA", ALG_ECDSA)?;
        expect(&mut reader, "hashAlg", "TPM_ALG_SHA256", ALG_SHA256)?;
        expect(&mut reader, "curveID", "TPM_ECC_NIST_P256", ECC_NIST_P256)?;
        expect(&mut reader, "kdf", "TPM_ALG_NULL", ALG_NULL)?;
        let x = coordinate(&mut reader, "unique.x")?;
        let y = coordinate(&mut reader, "unique.y")?;
        reader.finish()?;
        let point = EncodedPoint::from_affine_coordinates(&x, &y, false);
        let verifying = VerifyingKey::from_encoded_point(&point).map_err(|_| KeyError::Point)?;
        Ok(AttestationKey { verifying, restricted: true })
    }
}

fn expect(
    reader: &mut Reader<'_>,
    field: &'static str,
    name: &'static str,
    value: u16,
) -> Result<(), Malformed> {
    match reader.u16(field)? {
        found if found == value => Ok(()),
        found => Err(reader.wrong(field, 2, name, found)),
    }
}

/// A `TPM2B_ECC_PARAMETER` of P-256: at most 32 bytes, leading zeros may be left out.
pub(super) fn coordinate(reader: &mut Reader<'_>, field: &'static str) -> Result<FieldBytes, Malformed> {
    let at = reader.at();
    let bytes = reader.sized(field)?;
    let mut padded = FieldBytes::default();
    match padded.len().checked_sub(bytes.len()) {
        Some(zeros) => padded[zeros..].copy_from_slice(bytes),
        None => {
            let found = bytes.len() as u64;
            return Err(Malformed::Value { field, at, expected: "a size of at most 32 bytes", found });
        }
    }
    Ok(padded)
}
