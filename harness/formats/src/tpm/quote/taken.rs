//! A quote with all that is needed to verify it offline.

use serde::{Deserialize, Serialize};

use crate::ima::Bank;

/// One PCR value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcrValue {
    /// Bank it was read from.
    pub bank: Bank,
    /// Digest, of the bank's size.
    #[serde(with = "hex")]
    pub digest: Vec<u8>,
}

/// A quote over PCR 10, with all that is needed to verify it offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteTaken {
    /// The mark.
    pub mark: u64,
    /// The nonce the harness chose (`qualifyingData`).
    #[serde(with = "hex")]
    pub nonce: Vec<u8>,
    /// Marshalled `TPM2B_PUBLIC`'s inner `TPMT_PUBLIC` of the attestation key.
    #[serde(with = "hex")]
    pub key: Vec<u8>,
    /// Marshalled `TPMS_ATTEST`.
    #[serde(with = "hex")]
    pub attest: Vec<u8>,
    /// Marshalled `TPMT_SIGNATURE`.
    #[serde(with = "hex")]
    pub signature: Vec<u8>,
    /// PCR 10 of every quoted bank, read under the same mark.
    pub values: Vec<PcrValue>,
}
