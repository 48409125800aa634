//! Numbers that a seed decides.

/// The draw that belongs to `event` under `seed`: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, 2014), entered at the event instead of stepped to it.
///
/// A draw does not depend on those before it: when a schedule is shortened, what is left of it is decided as before. The
/// numbers are part of what a seed means, so they never change.
#[must_use]
pub fn draw(seed: u64, event: u64) -> u64 {
    // The increment of SplitMix64: the odd integer next to 2^64 divided by the golden ratio.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let from = mix(seed.wrapping_add(STEP));
    mix(from.wrapping_add(event.wrapping_add(1).wrapping_mul(STEP)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_stay_what_they_were() {
        // The first output of SplitMix64 for the state 0, as its authors' own program prints it.
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
        assert_eq!([draw(1, 0), draw(1, 1), draw(2, 0)].map(|n| n % 1000), FIRST);
    }

    /// Draws as they were when this was written.
    const FIRST: [u64; 3] = [158, 846, 636];

    #[test]
    fn one_in_n_is_about_one_in_n() {
        let hits = (0..10_000).filter(|&event| draw(7, event).is_multiple_of(10)).count();
        assert!((900..1100).contains(&hits), "{hits}");
    }
}
