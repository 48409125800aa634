//! Sequences that mostly count on: a list of a million records that were seen for the first time is one run.

use std::ops::Range;

/// What has successors.
pub(super) trait Successive: Copy + Eq {
    /// The one so many further on.
    fn plus(self, further: usize) -> Self;
}

impl Successive for usize {
    fn plus(self, further: usize) -> usize {
        self.wrapping_add(further)
    }
}

/// Nothing is known of one and nothing of the next.
impl<T: Successive> Successive for Option<T> {
    fn plus(self, further: usize) -> Option<T> {
        self.map(|one| one.plus(further))
    }
}

/// What follows one another from its first on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run<T> {
    /// Place of the first in the sequence.
    at: usize,
    first: T,
}

/// A sequence in runs, each as long as it can be: equal sequences have equal runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunLength<T> {
    runs: Vec<Run<T>>,
    length: usize,
}

impl<T> Default for RunLength<T> {
    fn default() -> RunLength<T> {
        RunLength { runs: Vec::new(), length: 0 }
    }
}

impl<T: Successive> RunLength<T> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// In how many runs it is, which is what it takes.
    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn push(&mut self, next: T) {
        let goes_on = self.runs.last().is_some_and(|run| run.first.plus(self.length - run.at) == next);
        if !goes_on {
            self.runs.push(Run { at: self.length, first: next });
        }
        self.length += 1;
    }

    pub(super) fn get(&self, at: usize) -> Option<T> {
        let run = self.runs[..self.runs.partition_point(|run| run.at <= at)].last()?;
        (at < self.length).then(|| run.first.plus(at - run.at))
    }

    /// Each in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + Clone {
        let ends = self.runs.iter().skip(1).map(|run| run.at).chain([self.length]);
        self.runs
            .iter()
            .zip(ends)
            .flat_map(|(run, end)| (0..end - run.at).map(|further| run.first.plus(further)))
    }

    /// Those at these places, as far as there are so many.
    pub(super) fn slice(&self, places: Range<usize>) -> RunLength<T> {
        let end = places.end.min(self.length);
        let Some(first) = self.get(places.start).filter(|_| places.start < end) else {
            return RunLength::default();
        };
        let within = self.runs.iter().filter(|run| (places.start + 1..end).contains(&run.at));
        let further = within.map(|run| Run { at: run.at - places.start, first: run.first });
        let runs = [Run { at: 0, first }].into_iter().chain(further).collect();
        RunLength { runs, length: end - places.start }
    }

    /// Whether the other is the begin of this one.
    pub(super) fn starts_with(&self, other: &RunLength<T>) -> bool {
        self.slice(0..other.length) == *other
    }

    /// How many are the same from the first on.
    pub(super) fn same_as(&self, other: &RunLength<T>) -> usize {
        self.iter().zip(other.iter()).take_while(|(one, other)| one == other).count()
    }

    /// How many come before the first of which this does not hold; it holds of none after that.
    pub(super) fn partition_point(&self, holds: impl Fn(T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&holds) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl<T: Successive> FromIterator<T> for RunLength<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> RunLength<T> {
        let mut runs = RunLength::default();
        all.into_iter().for_each(|next| runs.push(next));
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(all: &[Option<usize>]) -> RunLength<Option<usize>> {
        all.iter().copied().collect()
    }

    const ALL: [Option<usize>; 9] =
        [Some(4), Some(5), Some(6), None, None, Some(2), Some(2), Some(3), Some(9)];

    #[test]
    fn it_is_the_sequence_in_as_few_runs_as_can_be() {
        let list = runs(&ALL);
        assert_eq!((list.len(), list.runs()), (9, 5));
        assert!(list.iter().eq(ALL));
        assert!((0..12).map(|at| list.get(at)).eq((0..12).map(|at| ALL.get(at).copied())));
        let none = runs(&[]);
        assert_eq!((none.is_empty(), none.get(0), none.iter().count()), (true, None, 0));
    }

    #[test]
    fn each_part_of_it_is_what_a_slice_would_be() {
        let list = runs(&ALL);
        for start in 0..=10 {
            for end in start..=10 {
                let part = ALL.get(start.min(9)..end.min(9)).unwrap_or_default();
                assert_eq!(list.slice(start..end), runs(part), "{start}..{end}");
            }
        }
    }

    #[test]
    fn begins_are_compared() {
        let list = runs(&ALL);
        assert!(
            list.starts_with(&runs(&ALL[..5])) && list.starts_with(&runs(&[])) && list.starts_with(&list)
        );
        let mut other = ALL;
        other[4] = Some(1);
        assert!(!list.starts_with(&runs(&other[..5])) && !runs(&ALL[..5]).starts_with(&list));
        assert_eq!((list.same_as(&runs(&other)), list.same_as(&runs(&ALL[..3]))), (4, 3));
    }

    #[test]
    fn a_border_is_found() {
        let list: RunLength<usize> = [1, 2, 3, 10, 11, 20].into_iter().collect();
        for (below, before) in [(0, 0), (1, 0), (3, 2), (4, 3), (11, 4), (99, 6)] {
            assert_eq!(list.partition_point(|one| one < below), before);
        }
    }
}
