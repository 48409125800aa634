//! Which blocks a schedule came to, and in which order processors came to them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::draw;

/// Most blocks that are kept: IMA's code has some thousands.
const MOST_BLOCKS: usize = 1 << 15;

/// Most ordered pairs that are kept.
const MOST_PAIRS: usize = 1 << 16;

/// What a run came to. Two runs with one schedule have one coverage; it is no part of the schedule's hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Addresses of points.
    pub blocks: BTreeSet<u64>,
    /// For each point that came next after one of another processor: a hash of both their addresses.
    pub pairs: BTreeSet<u32>,
}

impl Coverage {
    /// How much of `other` is not in this.
    #[must_use]
    pub fn lacks(&self, other: &Coverage) -> usize {
        other.blocks.difference(&self.blocks).count() + other.pairs.difference(&self.pairs).count()
    }

    /// Adds what another run came to.
    pub fn add(&mut self, other: &Coverage) {
        self.blocks.extend(&other.blocks);
        self.pairs.extend(&other.pairs);
    }
}

/// What a run has come to so far.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    last: Option<(u32, u64)>,
    coverage: Coverage,
}

impl Collector {
    /// A processor is at a point.
    pub(crate) fn point(&mut self, cpu: u32, address: u64) {
        let Coverage { blocks, pairs } = &mut self.coverage;
        if blocks.len() < MOST_BLOCKS {
            blocks.insert(address);
        }
        if let Some((other, before)) = self.last.replace((cpu, address))
            && other != cpu
            && pairs.len() < MOST_PAIRS
        {
            pairs.insert(pair(before, address));
        }
    }

    pub(crate) fn coverage(&self) -> Coverage {
        self.coverage.clone()
    }
}

/// A number for two addresses in this order. Two pairs may have one number, as any two of 2^32.
fn pair(before: u64, after: u64) -> u32 {
    (draw(before, after) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(points: &[(u32, u64)]) -> Coverage {
        let mut collector = Collector::default();
        points.iter().for_each(|(cpu, address)| collector.point(*cpu, *address));
        collector.coverage()
    }

    #[test]
    fn a_pair_is_of_two_processors_one_after_the_other() {
        assert_eq!(of(&[(0, 8), (0, 16), (0, 8)]).pairs.len(), 0);
        let seen = of(&[(0, 8), (0, 16), (1, 24), (1, 32), (0, 8)]);
        assert_eq!(seen.blocks, BTreeSet::from([8, 16, 24, 32]));
        assert_eq!(seen.pairs, BTreeSet::from([pair(16, 24), pair(32, 8)]));
        assert_ne!(pair(16, 24), pair(24, 16));
    }

    #[test]
    fn what_is_lacking_is_counted_until_it_is_added() {
        let mut all = of(&[(0, 8), (1, 16)]);
        let other = of(&[(0, 8), (1, 24)]);
        assert_eq!(all.lacks(&other), 2);
        all.add(&other);
        assert_eq!(all.lacks(&other), 0);
    }

    #[test]
    fn a_guest_cannot_fill_the_memory_of_its_host() {
        let many: Vec<(u32, u64)> = (0..200_000u64).map(|step| ((step % 2) as u32, 8 * step)).collect();
        let seen = of(&many);
        assert_eq!((seen.blocks.len(), seen.pairs.len()), (MOST_BLOCKS, MOST_PAIRS));
    }
}
