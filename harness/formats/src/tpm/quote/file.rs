//! Quotes in the files of tpm2-tools, to be judged by a tool that is not ours and the other way round.
//!
//! `tpm2_checkquote -u KEY -m MESSAGE -s SIGNATURE -q NONCE -f PCRS -l sha1:10+sha256:10`: the message is a
//! `TPMS_ATTEST`, the signature a `TPMT_SIGNATURE`, both as they are in the trace; the key is PEM or a
//! `TPM2B_PUBLIC`, the PCRs are the bare values.

use p256::pkcs8::{Document, EncodePublicKey, LineEnding, SubjectPublicKeyInfoRef};
use rsa::pkcs1::{self, RsaPublicKeyRef};

use super::algorithm::Unsupported;
use super::key::{self, Verifying};
use super::{AttestationKey, KeyError, PcrValue};

/// First bytes of an object's context as tpm2-tools save it (`tpm2_util.h`, `CONTEXT_HEADER`).
const CONTEXT: [u8; 4] = [0xba, 0xdc, 0xc0, 0xde];

/// Object identifiers of public keys (RFC 3279, 2.3; RFC 5480, 2.1.1).
const OID_RSA: &str = "1.2.840.113549.1.1.1";
const OID_ECC: &str = "1.2.840.10045.2.1";
const OID_P256: &str = "1.2.840.10045.3.1.7";
const OID_P384: &str = "1.3.132.0.34";

/// What a public key of PKIX has to be.
const PKIX_KEYS: &str = "an RSA key, or an ECC key on P-256 or P-384";

/// Why a key file gives no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It looks like PEM and is no public key.
    #[error("PEM public key: {0}")]
    Pem(String),
    /// It looks like DER and is no public key.
    #[error("DER public key: {0}")]
    Der(String),
    /// It is neither PEM nor DER nor the public area of an attestation key.
    #[error("public area: {0}")]
    Public(KeyError),
    /// It is something else than a public key.
    #[error("this is {0}")]
    Other(&'static str),
    /// It is a key that imalab cannot verify with.
    #[error("{0}")]
    Unsupported(#[from] Unsupported),
}

impl From<KeyError> for FileError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unsupported(unsupported) => FileError::Unsupported(unsupported),
            error => FileError::Public(error),
        }
    }
}

/// Reads a key file: a public key in PEM or DER (of which nothing more is known than that it is a key), a
/// `TPM2B_PUBLIC`, or a bare `TPMT_PUBLIC`.
pub fn key_from_file(bytes: &[u8]) -> Result<AttestationKey, FileError> {
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"-----BEGIN ") {
        let text = std::str::from_utf8(text).map_err(|error| FileError::Pem(error.to_string()))?;
        return from_pem(text.trim_end());
    }
    if bytes.starts_with(&CONTEXT) {
        return Err(FileError::Other(
            "a context of tpm2-tools: `tpm2_readpublic -c FILE -o KEY` writes its public key",
        ));
    }
    // A SEQUENCE (X.690, 8.9); as the size of a TPM2B_PUBLIC it would be more than any has.
    if bytes.starts_with(&[0x30]) && SubjectPublicKeyInfoRef::try_from(bytes).is_ok() {
        return from_pkix(bytes).map_err(|error| file_error(error, FileError::Der));
    }
    let inner = match bytes {
        // A TPMT_PUBLIC begins with its type; no TPM2B_PUBLIC is 1 or 0x23 bytes long.
        [high, low, inner @ ..] if usize::from(*high) << 8 | usize::from(*low) == inner.len() => inner,
        _ => bytes,
    };
    Ok(AttestationKey::from_public(inner)?)
}

fn from_pem(text: &str) -> Result<AttestationKey, FileError> {
    let label = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----"));
    match label.map(|(label, _)| label) {
        Some("RSA PUBLIC KEY") => {
            let (_, document) =
                Document::from_pem(text).map_err(|error| FileError::Pem(error.to_string()))?;
            let verifying =
                from_pkcs1(document.as_bytes()).map_err(|error| file_error(error, FileError::Pem))?;
            Ok(AttestationKey { verifying, restricted: false })
        }
        Some(label) if label.ends_with("CERTIFICATE") => Err(FileError::Other(
            "a certificate: `openssl x509 -in FILE -noout -pubkey` prints its public key",
        )),
        Some(label) if label.ends_with("PRIVATE KEY") => {
            Err(FileError::Other("a private key: a quote is verified with the public one"))
        }
        _ => {
            let (label, document) =
                Document::from_pem(text).map_err(|error| FileError::Pem(error.to_string()))?;
            if label != "PUBLIC KEY" {
                return Err(FileError::Pem("expected PUBLIC KEY after BEGIN".to_owned()));
            }
            from_pkix(document.as_bytes()).map_err(|error| file_error(error, FileError::Pem))
        }
    }
}

fn file_error(error: KeyError, form: fn(String) -> FileError) -> FileError {
    match error {
        KeyError::Unsupported(unsupported) => FileError::Unsupported(unsupported),
        error => form(error.to_string()),
    }
}

/// Reads an `RSAPublicKey` (RFC 8017, A.1.1).
fn from_pkcs1(der: &[u8]) -> Result<Verifying, KeyError> {
    let key = RsaPublicKeyRef::try_from(der).map_err(|error| KeyError::Rsa(error.to_string()))?;
    key::rsa_key(key.modulus.as_bytes(), key.public_exponent.as_bytes())
}

/// Reads a `SubjectPublicKeyInfo` (RFC 5280, 4.1).
fn from_pkix(der: &[u8]) -> Result<AttestationKey, KeyError> {
    let broken = |error: &dyn std::fmt::Display| KeyError::Rsa(error.to_string());
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|error| broken(&error))?;
    let unsupported = |found| Unsupported { what: "key", expected: PKIX_KEYS, found }.into();
    let kind = info.algorithm.oid.to_string();
    let verifying = match kind.as_str() {
        OID_RSA => {
            let key =
                info.subject_public_key.as_bytes().ok_or_else(|| broken(&pkcs1::Error::KeyMalformed))?;
            from_pkcs1(key)?
        }
        OID_ECC => match info.algorithm.parameters_oid().map(|oid| oid.to_string()).as_deref() {
            Ok(OID_P256) => {
                let key = p256::ecdsa::VerifyingKey::try_from(info);
                Verifying::P256(key.map_err(|_| KeyError::Point("P-256"))?)
            }
            Ok(OID_P384) => {
                let key = p384::ecdsa::VerifyingKey::try_from(info);
                Verifying::P384(key.map_err(|_| KeyError::Point("P-384"))?)
            }
            Ok(curve) => return Err(unsupported(format!("an ECC key on curve {curve}"))),
            Err(_) => return Err(unsupported("an ECC key on an unnamed curve".to_owned())),
        },
        kind => return Err(unsupported(format!("a key of algorithm {kind}"))),
    };
    Ok(AttestationKey { verifying, restricted: false })
}

/// The key in PEM, for tpm2-tools and OpenSSL.
pub fn key_to_pem(key: &AttestationKey) -> Result<String, FileError> {
    let pem = match &key.verifying {
        Verifying::P256(key) => key.to_public_key_pem(LineEnding::LF),
        Verifying::P384(key) => key.to_public_key_pem(LineEnding::LF),
        Verifying::Rsa(key) => key.to_public_key_pem(LineEnding::LF),
    };
    pem.map_err(|error| FileError::Pem(error.to_string()))
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
