//! Finds after how many records the PCRs of one bank have the values that were read from a TPM.

use crate::ima::{Digest, PCR_LIMIT, PcrValues, Replay};

use super::trail::{Explanation, Trail};
use super::verdict::{BankVerdict, Outcome, PcrVerdict};

/// The replay of a bank beside the values that it should come to.
pub(super) struct Target {
    /// The value of PCR n at n.
    values: [Option<Digest>; PCR_LIMIT as usize],
    /// Bit n: PCR n was extended.
    extended: u64,
    /// Bit n: PCR n was extended and is not at its value, or has none.
    off: u64,
    /// The longest prefix after which every PCR that the records extend was at its value.
    matched: Option<u64>,
    trail: Trail,
}

const _: () = assert!(PCR_LIMIT == u64::BITS, "a PCR is a bit of a u64");

impl Target {
    pub(super) fn new(values: &PcrValues) -> Target {
        let mut index = 0..;
        let values = std::array::from_fn(|_| index.next().and_then(|index| values.get(index)));
        Target { values, extended: 0, off: 0, matched: None, trail: Trail::default() }
    }

    /// Takes note that record `number`, from 1, has extended PCR `pcr` with `digest`, so that it was `before` and
    /// is `now`.
    pub(super) fn extended(&mut self, number: u64, pcr: u32, digest: &Digest, before: &Digest, now: &Digest) {
        self.trail.push(number, pcr, digest);
        let bit = 1 << (pcr % PCR_LIMIT);
        let wanted = self.values[(pcr % PCR_LIMIT) as usize].as_ref();
        if self.extended & bit == 0 {
            self.extended |= bit;
            // At a prefix that does not reach this PCR, it must have been as the TPM starts it.
            if wanted != Some(before) {
                self.matched = None;
            }
        }
        if wanted == Some(now) {
            self.off &= !bit;
        } else {
            self.off |= bit;
        }
        if self.off == 0 {
            self.matched = Some(number);
        }
    }

    /// What came of it, after `records`.
    pub(super) fn verdict(&self, replay: &Replay, records: u64) -> BankVerdict {
        let pcrs = replay
            .extended()
            .map(|(index, replayed)| PcrVerdict { index, replayed, expected: self.value(index) })
            .collect();
        let outcome = Outcome::of(self.matched, records);
        let explanation = (outcome == Outcome::Mismatch).then(|| self.explain(replay)).flatten();
        BankVerdict { bank: replay.bank(), outcome, pcrs, explanation }
    }

    /// What a single record would have to be for the whole list to match; when several PCRs are off, it is more
    /// than one.
    fn explain(&self, replay: &Replay) -> Option<Explanation> {
        let pcr = self.off.trailing_zeros();
        let wanted = self.value(pcr).filter(|_| self.off.count_ones() == 1)?;
        self.trail.explain(&Replay::new(replay.bank()), pcr, &wanted)
    }

    /// The value that the TPM had in PCR `pcr`.
    pub(super) fn value(&self, pcr: u32) -> Option<Digest> {
        self.values.get(pcr as usize).copied().flatten()
    }
}
