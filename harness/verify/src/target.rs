//! Finds after how many records the PCRs of one bank have the values that were read from a TPM.

use imalab_formats::ima::{Digest, PCR_LIMIT, PcrValues, Replay};

/// The values that the replay of a bank should come to, and when it was there.
pub(super) struct Target {
    /// The value of PCR n at n.
    values: [Option<Digest>; PCR_LIMIT as usize],
    met: [Met; PCR_LIMIT as usize],
}

/// After which records a PCR was at its value. A chain of extends comes to no value twice, so it is one stretch.
#[derive(Clone, Copy)]
struct Met {
    first: u64,
    /// [`AT_IT`] when it still is, [`NEVER`] when it never was.
    last: u64,
}

const AT_IT: u64 = u64::MAX;
const NEVER: u64 = u64::MAX - 1;

impl Target {
    /// `replay` is where the PCRs start.
    pub(super) fn new(values: &PcrValues, replay: &Replay) -> Target {
        let mut index = 0..;
        let values: [Option<Digest>; _] =
            std::array::from_fn(|_| index.next().and_then(|index| values.get(index)));
        let mut index = 0..;
        let met = values.map(|value| {
            let start = index.next().and_then(|index| replay.value(index));
            Met { first: 0, last: if value.is_some() && value == start { AT_IT } else { NEVER } }
        });
        Target { values, met }
    }

    /// Takes note that record `number`, from 1, has extended PCR `pcr`, which is `now`.
    pub(super) fn extended(&mut self, number: u64, pcr: u32, now: &Digest) {
        let place = (pcr % PCR_LIMIT) as usize;
        let met = &mut self.met[place];
        if met.last == AT_IT {
            met.last = number - 1;
        }
        if self.values[place].as_ref() == Some(now) {
            *met = Met { first: number, last: AT_IT };
        }
    }

    /// The value that the TPM had in PCR `pcr`.
    pub(super) fn value(&self, pcr: u32) -> Option<Digest> {
        self.values.get(pcr as usize).copied().flatten()
    }

    /// The first and the last of `records` after which PCR `pcr` was at its value, 0 for none; `None`: it never was.
    pub(super) fn met(&self, pcr: u32, records: u64) -> Option<(u64, u64)> {
        let met = self.met.get(pcr as usize).filter(|met| met.last != NEVER)?;
        Some((met.first, met.last.min(records)))
    }

    /// After how many of `records` all of `pcrs` were at their values at the same time: the most.
    pub(super) fn all_met(&self, pcrs: impl IntoIterator<Item = u32>, records: u64) -> Option<u64> {
        let mut all = (0, records);
        for pcr in pcrs {
            let (first, last) = self.met(pcr, records)?;
            all = (all.0.max(first), all.1.min(last));
        }
        (all.0 <= all.1).then_some(all.1)
    }
}
