//! Records by their place in the whole log.

use std::ops::Range;

use super::Records;

/// Stretches of the whole log, in the order in which a list shows them. None is empty, and none goes on where the one
/// before it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ranges(Vec<Range<usize>>);

impl Ranges {
    /// How many records.
    pub fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stretches.
    pub fn stretches(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Each record in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().cloned().flatten()
    }

    /// The first record.
    pub fn first(&self) -> Option<usize> {
        self.0.first().map(|range| range.start)
    }

    /// The last one.
    pub fn last(&self) -> Option<usize> {
        self.0.last().map(|range| range.end - 1)
    }

    /// Those of them that are older than `end`.
    #[must_use]
    pub fn before(&self, end: usize) -> Ranges {
        let mut before = Ranges::default();
        self.0.iter().for_each(|range| before.push(range.start..range.end.min(end)));
        before
    }

    /// Whether a record is among them.
    pub fn contains(&self, record: usize) -> bool {
        self.0.iter().any(|range| range.contains(&record))
    }

    /// Puts records at the end.
    pub fn push(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push(range),
        }
    }

    /// Puts those of another list at the end.
    pub fn append(&mut self, other: Ranges) {
        other.0.into_iter().for_each(|range| self.push(range));
    }

    /// Takes the first `count` records off, or all when there are fewer.
    pub fn take_first(&mut self, count: usize) -> Ranges {
        let mut taken = Ranges::default();
        let mut left = Ranges::default();
        for range in std::mem::take(&mut self.0) {
            let split = range.start + range.len().min(count - taken.len());
            taken.push(range.start..split);
            left.push(split..range.end);
        }
        *self = left;
        taken
    }
}

impl Records for Ranges {
    fn take_first(&mut self, count: u64) -> Ranges {
        Ranges::take_first(self, usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn append(&mut self, later: Ranges) {
        Ranges::append(self, later);
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "ranges of records are what a list is made of")]
mod tests {
    use super::*;

    #[test]
    fn what_joins_is_one_stretch() {
        let mut list = Ranges::default();
        list.push(3..5);
        list.push(5..5);
        list.push(5..6);
        list.push(8..9);
        assert_eq!(list.stretches(), [3..6, 8..9]);
        assert_eq!((list.len(), list.contains(5), list.contains(6)), (4, true, false));
        assert_eq!(list.take_first(2).stretches(), [3..5]);
        assert_eq!(list.take_first(9).stretches(), [5..6, 8..9]);
        assert!(list.is_empty());
    }
}
