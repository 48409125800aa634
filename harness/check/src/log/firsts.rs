//! Where in the log each record is first.

use std::collections::BTreeMap;

use crate::evidence::RecordId;

/// Records that count on, at places that count on with them.
#[derive(Debug)]
struct Stretch {
    length: u32,
    place: usize,
}

/// A place for each of some records: as many stretches as there are breaks in what counts on.
#[derive(Debug, Default)]
pub(super) struct Firsts {
    /// By the first record of each.
    stretches: BTreeMap<u32, Stretch>,
}

impl Firsts {
    pub(super) fn get(&self, id: RecordId) -> Option<usize> {
        let (first, stretch) = self.stretches.range(..=id.0).next_back()?;
        let inside = id.0 - first;
        (inside < stretch.length).then(|| stretch.place + inside as usize)
    }

    /// Adds a record that has no place yet.
    pub(super) fn insert(&mut self, id: RecordId, place: usize) {
        if let Some((first, stretch)) = self.stretches.range_mut(..=id.0).next_back()
            && first + stretch.length == id.0
            && stretch.place + stretch.length as usize == place
        {
            stretch.length += 1;
            return;
        }
        self.stretches.insert(id.0, Stretch { length: 1, place });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_where_it_was_put() {
        let all = [(5, 0), (6, 1), (7, 2), (2, 3), (3, 4), (4, 5), (9, 6), (8, 7), (1, 9)];
        let mut firsts = Firsts::default();
        for (at, (id, place)) in all.iter().enumerate() {
            assert!(all[at..].iter().all(|(id, _)| firsts.get(RecordId(*id)).is_none()));
            firsts.insert(RecordId(*id), *place);
            assert!(all[..=at].iter().all(|(id, place)| firsts.get(RecordId(*id)) == Some(*place)));
        }
        assert_eq!(firsts.stretches.len(), 5);
        assert_eq!((firsts.get(RecordId(0)), firsts.get(RecordId(10))), (None, None));
    }
}
