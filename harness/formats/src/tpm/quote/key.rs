//! The public key of a quote.

use p256::FieldBytes as Bytes32;
use rsa::BoxedUint;
use rsa::traits::PublicKeyParts;

use super::algorithm::{self, Unsupported};
use super::signature::{Scheme, Signature};
use crate::ima::{Bank, Digest};
use crate::tpm::unmarshal::{Malformed, Reader};

/// Bits of `TPMA_OBJECT` (TPM 2.0 Library Part 2, 8.3).
const FIXED_TPM: u32 = 1 << 1;
const RESTRICTED: u32 = 1 << 16;
const SIGN: u32 = 1 << 18;

/// RSA keys below this many bits prove little (NIST SP 800-131A), and TPMs have none.
const RSA_LEAST: usize = 2048;

/// And no TPM has longer ones than this.
const RSA_MOST: usize = 4096;

/// The exponent that 0 stands for (Part 2, 12.2.3.5).
const RSA_EXPONENT: u32 = 65537;

/// A key that a quote can be verified with: RSA of 2048 to 4096 bits, or ECC on NIST P-256 or P-384.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationKey {
    pub(super) verifying: Verifying,
    pub(super) restricted: bool,
}

/// The key by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verifying {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Rsa(rsa::PublicKey),
}

/// Why a key cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("{0}")]
    Form(#[from] Malformed),
    /// It is a key, of a kind that imalab cannot verify with.
    #[error("{0}")]
    Unsupported(#[from] Unsupported),
    /// It may sign what no TPM made, or may be held outside of a TPM.
    #[error("attributes: expected restricted, sign and fixedTPM, found {found:#010x}, which lacks {lacking}")]
    Attributes {
        /// Its `TPMA_OBJECT`.
        found: u32,
        /// Names of the missing ones.
        lacking: String,
    },
    /// Its coordinates are no point of the curve.
    #[error("no point of NIST {0}")]
    Point(&'static str),
    /// Its modulus or exponent is none of an RSA key.
    #[error("no RSA key: {0}")]
    Rsa(String),
}

impl AttestationKey {
    /// Reads a marshalled `TPMT_PUBLIC` (Part 2, 12.2.4), and checks that it is an attestation key.
    pub fn from_public(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u16("type")?;
        if kind != algorithm::RSA && kind != algorithm::ECC {
            return Err(Unsupported::of("key", "an RSA key, or an ECC key on P-256 or P-384", kind).into());
        }
        reader.u16("nameAlg")?;
        let found = reader.u32("objectAttributes")?;
        let wanted = [(RESTRICTED, "restricted"), (SIGN, "sign"), (FIXED_TPM, "fixedTPM")];
        let lacking: Vec<_> =
            wanted.iter().filter(|(bit, _)| found & bit == 0).map(|&(_, name)| name).collect();
        if !lacking.is_empty() {
            return Err(KeyError::Attributes { found, lacking: lacking.join(", ") });
        }
        reader.sized("authPolicy")?;
        // Part 2, 12.2.3.5: a restricted signing key has no symmetric algorithm.
        match reader.u16("symmetric")? {
            algorithm::NULL => {}
            found => return Err(reader.wrong("symmetric", 2, "TPM_ALG_NULL", found).into()),
        }
        scheme(&mut reader)?;
        let verifying = if kind == algorithm::RSA { rsa(&mut reader)? } else { ecc(&mut reader)? };
        reader.finish()?;
        Ok(AttestationKey { verifying, restricted: true })
    }

    /// Whether the key was shown to be a restricted one that cannot leave its TPM; a bare public key cannot show it.
    pub fn restricted(&self) -> bool {
        self.restricted
    }

    /// Whether the key made this signature over `message`.
    pub(super) fn signed(&self, message: &[u8], signature: &Signature<'_>) -> bool {
        let digest = Digest::of(signature.hash, &[message]);
        let hash = digest.as_bytes();
        match (&self.verifying, signature.scheme) {
            (Verifying::P256(key), Scheme::Ecdsa { r, s }) => ecdsa_p256(key, hash, r, s).is_some(),
            (Verifying::P384(key), Scheme::Ecdsa { r, s }) => ecdsa_p384(key, hash, r, s).is_some(),
            (Verifying::Rsa(key), Scheme::Rsassa(bytes)) => rsassa(key, signature.hash, hash, bytes),
            (Verifying::Rsa(key), Scheme::Rsapss(bytes)) => rsapss(key, signature.hash, hash, bytes),
            _ => false,
        }
    }
}

/// A `TPMT_RSA_SCHEME` or `TPMT_ECC_SCHEME` (Part 2, 11.2.4.2 and 11.2.5.6); which one a quote was signed with is
/// in its signature.
fn scheme(reader: &mut Reader<'_>) -> Result<(), KeyError> {
    match reader.u16("scheme")? {
        algorithm::NULL => Ok(()),
        algorithm::RSASSA | algorithm::RSAPSS | algorithm::ECDSA => {
            algorithm::hash("key's scheme", reader.u16("hashAlg")?)?;
            Ok(())
        }
        found => Err(Unsupported::of("key's scheme", algorithm::SCHEMES, found).into()),
    }
}

fn rsa(reader: &mut Reader<'_>) -> Result<Verifying, KeyError> {
    reader.u16("keyBits")?;
    let exponent = match reader.u32("exponent")? {
        0 => RSA_EXPONENT,
        exponent => exponent,
    };
    let modulus = reader.sized("unique.rsa")?;
    rsa_key(modulus, &exponent.to_be_bytes())
}

/// A key of a modulus and an exponent, both big-endian.
pub(super) fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Result<Verifying, KeyError> {
    let [n, e] = [modulus, exponent].map(BoxedUint::from_be_slice_vartime);
    let bits = n.bit_width_vartime() as usize;
    let found = match bits {
        ..RSA_LEAST => format!("{bits} bits"),
        RSA_LEAST..=RSA_MOST => {
            let key = rsa::PublicKey::new_with_size_limits(n, e, RSA_LEAST..=RSA_MOST);
            return Ok(Verifying::Rsa(key.map_err(|error| KeyError::Rsa(error.to_string()))?));
        }
        _ => "a longer one".to_owned(),
    };
    Err(Unsupported { what: "RSA key", expected: "2048 to 4096 bits", found }.into())
}

fn ecc(reader: &mut Reader<'_>) -> Result<Verifying, KeyError> {
    let curve = reader.u16("curveID")?;
    if curve != algorithm::P256 && curve != algorithm::P384 {
        let found = algorithm::curve_name(curve);
        return Err(Unsupported { what: "ECC key", expected: "curve P-256 or P-384", found }.into());
    }
    if reader.u16("kdf")? != algorithm::NULL {
        reader.u16("kdf hash")?;
    }
    let (x, y) = (reader.sized("unique.x")?, reader.sized("unique.y")?);
    if curve == algorithm::P256 {
        let point: Option<_> =
            (|| Some(p256::Sec1Point::from_affine_coordinates(&padded(x)?, &padded(y)?, false)))();
        let key = point.and_then(|point| p256::ecdsa::VerifyingKey::from_sec1_point(&point).ok());
        Ok(Verifying::P256(key.ok_or(KeyError::Point("P-256"))?))
    } else {
        let point: Option<_> =
            (|| Some(p384::Sec1Point::from_affine_coordinates(&padded(x)?, &padded(y)?, false)))();
        let key = point.and_then(|point| p384::ecdsa::VerifyingKey::from_sec1_point(&point).ok());
        Ok(Verifying::P384(key.ok_or(KeyError::Point("P-384"))?))
    }
}

/// A `TPM2B_ECC_PARAMETER` at its full size: leading zeros may be left out. `None` when it is longer.
fn padded<T: Default + AsMut<[u8]>>(bytes: &[u8]) -> Option<T> {
    let mut padded = T::default();
    let place = padded.as_mut();
    let zeros = place.len().checked_sub(bytes.len())?;
    place[zeros..].copy_from_slice(bytes);
    Some(padded)
}

// A number that is zero, or not below the order of the curve, is part of no signature.

fn ecdsa_p256(key: &p256::ecdsa::VerifyingKey, hash: &[u8], r: &[u8], s: &[u8]) -> Option<()> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    let (r, s): (Bytes32, Bytes32) = (padded(r)?, padded(s)?);
    key.verify_prehash(hash, &p256::ecdsa::Signature::from_scalars(r, s).ok()?).ok()
}

fn ecdsa_p384(key: &p384::ecdsa::VerifyingKey, hash: &[u8], r: &[u8], s: &[u8]) -> Option<()> {
    use p384::ecdsa::signature::hazmat::PrehashVerifier;
    let (r, s): (p384::FieldBytes, p384::FieldBytes) = (padded(r)?, padded(s)?);
    key.verify_prehash(hash, &p384::ecdsa::Signature::from_scalars(r, s).ok()?).ok()
}

fn rsassa(key: &rsa::PublicKey, bank: Bank, hash: &[u8], signature: &[u8]) -> bool {
    use rsa::Pkcs1v15Sign as Padding;
    let padding = match bank {
        Bank::Sha1 => return false,
        Bank::Sha256 => Padding::new::<rsa::sha2::Sha256>(),
        Bank::Sha384 => Padding::new::<rsa::sha2::Sha384>(),
        Bank::Sha512 => Padding::new::<rsa::sha2::Sha512>(),
    };
    key.verify(padding, hash, signature).is_ok()
}

/// The salt is as long as the hash, or as it can be at most, which depends on the TPM (Part 1, B.7).
fn rsapss(key: &rsa::PublicKey, bank: Bank, hash: &[u8], signature: &[u8]) -> bool {
    use rsa::Pss as Padding;
    // RFC 8017, 9.1.1: emLen is that of the modulus less a bit, and the salt leaves room for the hash and two bytes.
    let longest = (key.n().bit_width_vartime() as usize - 1).div_ceil(8).saturating_sub(hash.len() + 2);
    [hash.len(), longest].into_iter().any(|salt| {
        let verified = match bank {
            Bank::Sha1 => return false,
            Bank::Sha256 => key.verify(Padding::<rsa::sha2::Sha256>::new_with_salt(salt), hash, signature),
            Bank::Sha384 => key.verify(Padding::<rsa::sha2::Sha384>::new_with_salt(salt), hash, signature),
            Bank::Sha512 => key.verify(Padding::<rsa::sha2::Sha512>::new_with_salt(salt), hash, signature),
        };
        verified.is_ok()
    })
}
