//! Addresses of the guest's kernel.

use serde::{Deserialize, Serialize};

/// Addresses of the guest's kernel, from `begin` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range {
    /// The first.
    pub begin: u64,
    /// The first after it.
    pub end: u64,
}

impl Range {
    /// Whether it has this address.
    #[must_use]
    pub fn has(self, address: u64) -> bool {
        (self.begin..self.end).contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_begin_and_not_its_end() {
        let range = Range { begin: 16, end: 32 };
        assert_eq!([15, 16, 31, 32].map(|address| range.has(address)), [false, true, true, false]);
    }
}
