//! The signature of a quote.

use super::algorithm::{self, Unsupported};
use crate::ima::Bank;
use crate::tpm::unmarshal::{Malformed, Reader};

/// `TPMT_SIGNATURE` (TPM 2.0 Library Part 2, 11.3.4), of a scheme that imalab verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature<'a> {
    /// Of the message, and of the digest in it (Part 3, 18.4.1).
    pub(super) hash: Bank,
    pub(super) scheme: Scheme<'a>,
}

/// What is signed how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme<'a> {
    /// Two numbers, big-endian; leading zeros may be left out.
    Ecdsa {
        r: &'a [u8],
        s: &'a [u8],
    },
    /// PKCS#1 v1.5.
    Rsassa(&'a [u8]),
    Rsapss(&'a [u8]),
}

/// Why there is no signature.
pub(super) enum SignatureError {
    Form(Malformed),
    Unsupported(Unsupported),
}

impl From<Malformed> for SignatureError {
    fn from(error: Malformed) -> Self {
        SignatureError::Form(error)
    }
}

impl From<Unsupported> for SignatureError {
    fn from(error: Unsupported) -> Self {
        SignatureError::Unsupported(error)
    }
}

impl Signature<'_> {
    pub(super) fn read(bytes: &[u8]) -> Result<Signature<'_>, SignatureError> {
        let mut reader = Reader::new(bytes);
        let scheme = reader.u16("sigAlg")?;
        if ![algorithm::ECDSA, algorithm::RSASSA, algorithm::RSAPSS].contains(&scheme) {
            return Err(Unsupported::of("quote's signature", algorithm::SCHEMES, scheme).into());
        }
        let hash = algorithm::hash("quote's signature", reader.u16("hash")?)?;
        let scheme = match scheme {
            algorithm::ECDSA => {
                Scheme::Ecdsa { r: reader.sized("signatureR")?, s: reader.sized("signatureS")? }
            }
            algorithm::RSASSA => Scheme::Rsassa(reader.sized("sig")?),
            _ => Scheme::Rsapss(reader.sized("sig")?),
        };
        reader.finish()?;
        Ok(Signature { hash, scheme })
    }
}
