//! What a quote attests to, and after how many records the replay is there.

use imalab_formats::ima::{Bank, Digest};

use super::outcome::Outcome;

/// The parts of a quote as they came from files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteFiles {
    /// Marshalled `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// Marshalled `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
    /// The attestation key's public part.
    pub key: Vec<u8>,
    /// The nonce that the quote must carry.
    pub nonce: Vec<u8>,
}

/// What a verified quote attests to: `TPMS_QUOTE_INFO` (TPM 2.0 Library Part 2, 10.12.4), with the hash of
/// its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The PCRs of each bank, in the order of the selection.
    pub selection: Vec<(Bank, Vec<u32>)>,
    /// Hash of the digest: that of the signing scheme (Part 3, 18.4 `TPM2_Quote`).
    pub hash: Bank,
    /// Digest over the values of the selected PCRs, one after the other in the order of the selection.
    pub digest: Vec<u8>,
    /// Whether the key was shown to sign nothing but what a TPM made itself; a bare public key shows nothing.
    pub restricted: bool,
    /// Whether it carries no nonce: then it may be an old one.
    pub empty_nonce: bool,
}

impl Quoted {
    /// The digest that a quote with this selection has when each PCR has the value that `value` gives.
    pub fn digest_of(&self, mut value: impl FnMut(Bank, u32) -> Digest) -> Digest {
        let values: Vec<Digest> = self.selected().map(|(bank, pcr)| value(bank, pcr)).collect();
        let parts: Vec<&[u8]> = values.iter().map(Digest::as_bytes).collect();
        Digest::of(self.hash, &parts)
    }

    /// Every PCR of every bank, in order.
    pub fn selected(&self) -> impl Iterator<Item = (Bank, u32)> {
        self.selection.iter().flat_map(|(bank, pcrs)| pcrs.iter().map(move |pcr| (*bank, *pcr)))
    }

    /// Whether the quote covers PCR `pcr` in any bank.
    pub fn covers(&self, pcr: u32) -> bool {
        self.selection.iter().any(|(_, pcrs)| pcrs.contains(&pcr))
    }
}

/// A quote beside the replay.
pub(super) struct QuoteTarget {
    pub(super) quoted: Quoted,
    matched: Option<u64>,
}

impl QuoteTarget {
    pub(super) fn new(quoted: Quoted) -> QuoteTarget {
        QuoteTarget { quoted, matched: None }
    }

    /// Takes note of the PCR values after record `number`, from 1; 0 is before all.
    pub(super) fn after(&mut self, number: u64, value: impl FnMut(Bank, u32) -> Digest) {
        if self.quoted.digest_of(value).as_bytes() == self.quoted.digest {
            self.matched = Some(number);
        }
    }

    /// The most of `records` after which the digest was met. A record of a PCR that it does not cover changes
    /// nothing; `last_covered` is the last that does.
    pub(super) fn matched(&self, records: u64, last_covered: u64) -> Option<u64> {
        self.matched.map(|matched| if matched == last_covered { records } else { matched })
    }

    pub(super) fn outcome(&self, records: u64, last_covered: u64) -> Outcome {
        Outcome::of(self.matched(records, last_covered), records)
    }
}
