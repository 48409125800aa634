//! Algorithms of keys and signatures: their numbers, their names, and which of them imalab verifies with.

use crate::ima::Bank;

/// `TPM_ALG_ID` (TPM 2.0 Library Part 2, 6.3).
pub(super) const RSA: u16 = 0x0001;
pub(super) const NULL: u16 = 0x0010;
pub(super) const RSASSA: u16 = 0x0014;
pub(super) const RSAPSS: u16 = 0x0016;
pub(super) const ECDSA: u16 = 0x0018;
pub(super) const ECC: u16 = 0x0023;

/// `TPM_ECC_CURVE` (Part 2, 6.4).
pub(super) const P256: u16 = 0x0003;
pub(super) const P384: u16 = 0x0004;

/// The signing schemes that are supported.
pub(super) const SCHEMES: &str = "RSASSA (PKCS#1 v1.5), RSAPSS or ECDSA";

/// Something that is sound, as far as can be told, and that imalab has no means to verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this {what} is not supported: expected {expected}, found {found}")]
pub struct Unsupported {
    /// What it is: a key, a scheme, a hash.
    pub what: &'static str,
    /// What imalab can verify with.
    pub expected: &'static str,
    /// What it was given.
    pub found: String,
}

impl Unsupported {
    pub(super) fn of(what: &'static str, expected: &'static str, algorithm: u16) -> Unsupported {
        Unsupported { what, expected, found: name(algorithm) }
    }
}

/// The hash that a signature of `what` is over. SHA-1 is none any more: who can make two messages with one hash can
/// have one of them signed.
pub(super) fn hash(what: &'static str, algorithm: u16) -> Result<Bank, Unsupported> {
    match Bank::from_tpm_alg(algorithm) {
        Some(bank) if bank != Bank::Sha1 => Ok(bank),
        _ => Err(Unsupported::of(what, "SHA-256, SHA-384 or SHA-512 as its hash", algorithm)),
    }
}

/// An algorithm by name and number.
fn name(algorithm: u16) -> String {
    let name = match algorithm {
        RSA => "TPM_ALG_RSA",
        0x0004 => "TPM_ALG_SHA1",
        0x0005 => "TPM_ALG_HMAC",
        0x0008 => "TPM_ALG_KEYEDHASH",
        0x000b => "TPM_ALG_SHA256",
        0x000c => "TPM_ALG_SHA384",
        0x000d => "TPM_ALG_SHA512",
        NULL => "TPM_ALG_NULL",
        0x0012 => "TPM_ALG_SM3_256",
        RSASSA => "TPM_ALG_RSASSA",
        0x0015 => "TPM_ALG_RSAES",
        RSAPSS => "TPM_ALG_RSAPSS",
        0x0017 => "TPM_ALG_OAEP",
        ECDSA => "TPM_ALG_ECDSA",
        0x001a => "TPM_ALG_ECDAA",
        0x001b => "TPM_ALG_SM2",
        0x001c => "TPM_ALG_ECSCHNORR",
        ECC => "TPM_ALG_ECC",
        0x0025 => "TPM_ALG_SYMCIPHER",
        0x0027 => "TPM_ALG_SHA3_256",
        0x0028 => "TPM_ALG_SHA3_384",
        0x0029 => "TPM_ALG_SHA3_512",
        _ => return format!("algorithm {algorithm:#06x}"),
    };
    format!("{name} ({algorithm:#06x})")
}

/// A curve by name and number.
pub(super) fn curve_name(curve: u16) -> String {
    let name = match curve {
        0x0001 => "P-192",
        0x0002 => "P-224",
        P256 => "P-256",
        P384 => "P-384",
        0x0005 => "P-521",
        0x0010 => "BN P-256",
        0x0011 => "BN P-638",
        0x0020 => "SM2 P-256",
        _ => return format!("curve {curve:#06x}"),
    };
    format!("{name} ({curve:#06x})")
}
