//! All schedules with few preemptions, one after the other (Musuvathi, Qadeer: Iterative Context Bounding for Systematic Testing of
//! Multithreaded Programs, 2007).

use crate::order::{Choice, Does};

/// At how many points of a run a processor is kept off until another one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// At one.
    One,
    /// At two.
    Two,
}

impl Holds {
    /// How many schedules there are of a run with so many points.
    #[must_use]
    pub fn count(self, points: u64) -> u64 {
        match self {
            Holds::One => points,
            Holds::Two => u64::try_from(u128::from(points) * u128::from(points.saturating_sub(1)) / 2)
                .unwrap_or(u64::MAX),
        }
    }

    /// The schedule of this number, from 0; after the last one they begin anew. Nothing is done where there is no point.
    ///
    /// The second point is that of a run without preemptions: what comes after the first hold may be more or less than there, and
    /// points that only such a run has are not among them.
    #[must_use]
    pub fn choices(self, number: u64, points: u64) -> Vec<Choice> {
        let Some(number) = number.checked_rem(self.count(points)) else { return Vec::new() };
        let events = match self {
            Holds::One => vec![number],
            Holds::Two => {
                let (first, second) = pair(number);
                vec![first, second]
            }
        };
        events.into_iter().map(|event| Choice { event, does: Does::Hold }).collect()
    }
}

/// The pair of this number, of all pairs by their second, and then by their first: (0, 1), (0, 2), (1, 2), (0, 3)…
fn pair(number: u64) -> (u64, u64) {
    // The second is the largest n with n (n - 1) / 2 <= number.
    let pairs = |n: u64| u128::from(n) * u128::from(n.saturating_sub(1)) / 2;
    let (mut low, mut high) = (1, u64::from(u32::MAX) * 2);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if pairs(middle) <= u128::from(number) { low = middle } else { high = middle - 1 }
    }
    (number - u64::try_from(pairs(low)).unwrap_or(number), low)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_point_and_every_pair_comes_once() {
        for points in 0..12 {
            for (holds, length) in [(Holds::One, 1), (Holds::Two, 2)] {
                let all: Vec<Vec<u64>> = (0..holds.count(points))
                    .map(|number| holds.choices(number, points).iter().map(|choice| choice.event).collect())
                    .collect();
                let different: BTreeSet<_> = all.iter().cloned().collect();
                assert_eq!(different.len(), all.len());
                for events in &all {
                    assert_eq!(events.len(), length);
                    assert!(events.is_sorted_by(|a, b| a < b) && events.iter().all(|event| *event < points));
                }
            }
        }
        assert_eq!((Holds::One.count(12), Holds::Two.count(12)), (12, 66));
    }

    #[test]
    fn after_the_last_they_begin_anew() {
        assert_eq!(Holds::One.choices(14, 12), Holds::One.choices(2, 12));
        assert_eq!(Holds::Two.choices(66, 12), Holds::Two.choices(0, 12));
        assert_eq!(Holds::Two.choices(5, 1), []);
        assert_eq!(Holds::One.choices(5, 0), []);
    }

    #[test]
    fn many_points_have_many_pairs() {
        let points = 3_000_000;
        let last = Holds::Two.count(points) - 1;
        let events: Vec<u64> = Holds::Two.choices(last, points).iter().map(|choice| choice.event).collect();
        assert_eq!(events, [points - 2, points - 1]);
        assert_eq!(Holds::Two.count(u64::MAX), u64::MAX);
    }
}
