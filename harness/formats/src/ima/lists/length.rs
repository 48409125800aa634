//! Lists of which only the length matters.

use super::Records;

/// How many records there are, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Length(pub Option<u64>);

impl Default for Length {
    fn default() -> Length {
        Length(Some(0))
    }
}

impl Records for Length {
    fn take_first(&mut self, count: u64) -> Length {
        let taken = self.0.map(|all| all.min(count));
        self.0 = self.0.zip(taken).map(|(all, taken)| all - taken);
        Length(taken)
    }

    fn append(&mut self, later: Length) {
        self.0 = self.0.zip(later.0).map(|(before, later)| before.saturating_add(later));
    }
}
