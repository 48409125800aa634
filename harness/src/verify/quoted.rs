//! What a quote attests to, and after how many records the replay is there.

use crate::ima::{Bank, Digest};

use super::verdict::{Outcome, QuoteVerdict};

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
}

impl Quoted {
    /// The digest that a quote with this selection has when each PCR has the value that `value` gives.
    pub fn digest_of(&self, mut value: impl FnMut(Bank, u32) -> Digest) -> Digest {
        let values: Vec<Digest> = self
            .selection
            .iter()
            .flat_map(|(bank, pcrs)| pcrs.iter().map(move |pcr| (*bank, *pcr)))
            .map(|(bank, pcr)| value(bank, pcr))
            .collect();
        let parts: Vec<&[u8]> = values.iter().map(Digest::as_bytes).collect();
        Digest::of(self.hash, &parts)
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

    /// Takes note of the PCR values after record `number`, from 1.
    pub(super) fn after(&mut self, number: u64, value: impl FnMut(Bank, u32) -> Digest) {
        if self.quoted.digest_of(value).as_bytes() == self.quoted.digest {
            self.matched = Some(number);
        }
    }

    /// What came of it, after `records`, of which some extended the PCRs for which `extended` holds.
    pub(super) fn verdict(&self, records: u64, extended: impl Fn(u32) -> bool) -> QuoteVerdict {
        // A quote that covers no PCR of the list says nothing about it, whatever its digest.
        let speaks = (0..crate::ima::PCR_LIMIT).any(|pcr| self.quoted.covers(pcr) && extended(pcr));
        let outcome = if speaks { Outcome::of(self.matched, records) } else { Outcome::Mismatch };
        QuoteVerdict { selection: self.quoted.selection.clone(), outcome }
    }
}
