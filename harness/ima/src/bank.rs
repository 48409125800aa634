//! TPM PCR banks: names as the kernel spells them, algorithm identifiers, digest sizes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A PCR bank that imalab can allocate, replay and quote.
///
/// Identifiers are `TPM_ALG_ID` of TPM 2.0 Library Part 2, 6.3; names are those of the kernel's
/// `hash_algo_name` (`crypto/hash_info.c`), which also name the measurement files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bank {
    /// SHA-1, 20 bytes; its file view exists even when the TPM has no such bank.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Bank {
    /// Every bank, in the order of digest size.
    pub const ALL: [Bank; 4] = [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512];

    /// The kernel's name for the algorithm, which is also the suffix of its measurement files.
    pub const fn name(self) -> &'static str {
        match self {
            Bank::Sha1 => "sha1",
            Bank::Sha256 => "sha256",
            Bank::Sha384 => "sha384",
            Bank::Sha512 => "sha512",
        }
    }

    /// Digest size in bytes.
    pub fn digest_size(self) -> usize {
        match self {
            Bank::Sha1 => 20,
            Bank::Sha256 => 32,
            Bank::Sha384 => 48,
            Bank::Sha512 => 64,
        }
    }

    /// `TPM_ALG_ID` of the bank's hash.
    pub fn tpm_alg(self) -> u16 {
        match self {
            Bank::Sha1 => 0x0004,
            Bank::Sha256 => 0x000b,
            Bank::Sha384 => 0x000c,
            Bank::Sha512 => 0x000d,
        }
    }

    /// The bank whose hash has this `TPM_ALG_ID`.
    pub fn from_tpm_alg(alg: u16) -> Option<Bank> {
        Bank::ALL.into_iter().find(|bank| bank.tpm_alg() == alg)
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A bank name that imalab does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown bank `{}` (expected sha1, sha256, sha384 or sha512)", .0.escape_debug())]
pub struct UnknownBank(pub String);

impl FromStr for Bank {
    type Err = UnknownBank;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Bank::ALL.into_iter().find(|bank| bank.name() == s).ok_or_else(|| UnknownBank(s.to_owned()))
    }
}
