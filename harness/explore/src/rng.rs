//! Draws of a seed, one after the other.

use imalab_schedule::draw;

/// Numbers that a seed decides. They are part of what a seed means, so they never change.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    seed: u64,
    drawn: u64,
}

impl Rng {
    /// The draws of a seed.
    pub(crate) fn new(seed: u64) -> Rng {
        Rng { seed, drawn: 0 }
    }

    fn next(&mut self) -> u64 {
        self.drawn += 1;
        draw(self.seed, self.drawn)
    }

    /// A number below `limit`; 0 where there is none.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap_or(0)
    }

    /// A number of `low` to `high`.
    pub(crate) fn within(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high.saturating_sub(low) + 1)) as u32
    }

    /// True one time in so many.
    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.next().is_multiple_of(many.max(1))
    }

    /// One of these; `None` where there is none.
    pub(crate) fn one_of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        let at = self.below(all.len());
        all.get(at)
    }

    /// One of these by its weight; the last where no weight is given.
    pub(crate) fn weighted<T: Copy>(&mut self, all: &[(u32, T)]) -> Option<T> {
        let sum: u64 = all.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut at = self.next() % sum.max(1);
        for (weight, one) in all {
            match at.checked_sub(u64::from(*weight)) {
                None => return Some(*one),
                Some(rest) => at = rest,
            }
        }
        all.last().map(|(_, one)| *one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_stay_what_they_were() {
        let mut rng = Rng::new(7);
        let drawn: Vec<usize> = (0..5).map(|_| rng.below(1000)).collect();
        assert_eq!(drawn, (1..6).map(|event| (draw(7, event) % 1000) as usize).collect::<Vec<_>>());
    }

    #[test]
    fn weights_are_kept() {
        let mut rng = Rng::new(1);
        let hits = (0..1000).filter(|_| rng.weighted(&[(1, false), (3, true)]) == Some(true)).count();
        assert!((700..800).contains(&hits), "{hits}");
        assert_eq!(rng.weighted::<u8>(&[]), None);
    }
}
