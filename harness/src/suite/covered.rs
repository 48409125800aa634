//! How many of all schedules with few preemptions were run, and how many are left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use imalab_schedule::Holds;

/// By case: the schedules' numbers, and how many there are.
#[derive(Debug, Default)]
pub(super) struct Covered(Mutex<BTreeMap<String, (BTreeSet<u64>, u64)>>);

/// What was run of the schedules of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// The scenario with its parameters, and the kernel.
    pub case: String,
    /// Schedules that were run.
    pub ran: u64,
    /// All that there are.
    pub all: u64,
}

impl Covered {
    /// A schedule of a case with so many points is run.
    pub(super) fn add(&self, case: String, holds: Holds, seed: u64, points: u64) {
        let all = holds.count(points);
        let mut cases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ran, count) = cases.entry(case).or_default();
        *count = all;
        ran.extend(seed.checked_rem(all));
    }

    /// All cases.
    pub(super) fn all(&self) -> Vec<Cover> {
        let cases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cover = |(case, (ran, all)): (&String, &(BTreeSet<u64>, u64))| Cover {
            case: case.clone(),
            ran: ran.len() as u64,
            all: *all,
        };
        cases.iter().map(cover).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_counts_once() {
        let covered = Covered::default();
        for seed in [1, 2, 6, 7] {
            covered.add("a/b on k".to_owned(), Holds::One, seed, 5);
        }
        let cover = Cover { case: "a/b on k".to_owned(), ran: 2, all: 5 };
        assert_eq!(covered.all(), [cover]);
        covered.add("c on k".to_owned(), Holds::Two, 1, 0);
        assert_eq!((covered.all()[1].ran, covered.all()[1].all), (0, 0));
    }
}
