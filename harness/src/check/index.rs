//! Finds numbers by the hash of what they stand for, in some eight bytes each: a table of numbers with open addressing.

/// The table. What a number stands for is known to its owner.
#[derive(Debug, Default)]
pub(in crate::check) struct Index {
    /// Numbers plus 1; 0 is a free place. As many as a power of two, half of them free at least.
    places: Vec<u32>,
    used: usize,
}

/// Places of the smallest table.
const SMALLEST: usize = 64;

impl Index {
    /// The number of this hash that is the same as what is looked for.
    pub(in crate::check) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.probe(hash).map_while(|at| self.places[at].checked_sub(1)).find(|number| same(*number))
    }

    /// Adds a number that is not there. `hash_of` gives the hash of any that is.
    pub(in crate::check) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.used + 1) * 2 > self.places.len() {
            let before = std::mem::take(&mut self.places);
            self.places = vec![0; (before.len() * 2).max(SMALLEST)];
            for number in before.into_iter().filter_map(|place| place.checked_sub(1)) {
                self.put(hash_of(number), number);
            }
        }
        self.put(hash, number);
        self.used += 1;
    }

    /// Puts a number in the place of one that is there, of the same hash.
    pub(in crate::check) fn replace(&mut self, hash: u64, number: u32, by: u32) {
        let held = self.probe(hash).find(|at| self.places[*at] == number.saturating_add(1));
        if let Some(at) = held {
            self.places[at] = by.saturating_add(1);
        }
    }

    fn put(&mut self, hash: u64, number: u32) {
        let free = self.probe(hash).find(|at| self.places[*at] == 0);
        if let Some(at) = free {
            self.places[at] = number.saturating_add(1);
        }
    }

    /// Each place once, from that of the hash on.
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let places = self.places.len();
        let first = usize::try_from(hash).unwrap_or(0);
        (0..places).map(move |step| first.wrapping_add(step) & (places - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_whatever_its_hash() {
        // All in one place, in a few, and spread out.
        for hash_of in [
            |_: u32| 7,
            |number: u32| u64::from(number % 5),
            |number: u32| u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ] {
            let mut index = Index::default();
            assert_eq!(index.find(hash_of(0), |_| true), None);
            for number in 0..500 {
                assert_eq!(index.find(hash_of(number), |found| found == number), None);
                index.insert(hash_of(number), number, hash_of);
            }
            for number in 0..500 {
                assert_eq!(index.find(hash_of(number), |found| found == number), Some(number));
            }
            index.replace(hash_of(0), 0, 5_000);
            assert_eq!(index.find(hash_of(0), |found| found == 0), None);
            assert_eq!(index.find(hash_of(0), |found| found == 5_000), Some(5_000));
        }
    }
}
