//! The few of many choices that matter.

/// Why shrinking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrunk<E> {
    /// Nothing that is left can be left out alone.
    Minimal,
    /// No more could be tried: what is left is the least that was seen.
    Stopped(E),
}

/// Finds a small part of `all` with which `shows` is still true, by leaving out ever smaller pieces (`ddmin` of Zeller and
/// Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002). `shows` is true of `all`.
///
/// What one choice does may depend on those before it, so a part that shows it may have parts that do not, and those again some
/// that do: the result is one from which no single choice can be taken, not the smallest that there is.
pub fn shrink<T: Clone, E>(
    all: Vec<T>,
    mut shows: impl FnMut(&[T]) -> Result<bool, E>,
) -> (Vec<T>, Shrunk<E>) {
    let mut left = all;
    match shows(&[]) {
        Ok(true) => return (Vec::new(), Shrunk::Minimal),
        Ok(false) => {}
        Err(why) => return (left, Shrunk::Stopped(why)),
    }
    let mut pieces = 2;
    while left.len() > 1 {
        match smaller(&left, pieces, &mut shows) {
            Err(why) => return (left, Shrunk::Stopped(why)),
            Ok(Some((part, next))) => (left, pieces) = (part, next),
            Ok(None) if pieces >= left.len() => break,
            Ok(None) => pieces = (2 * pieces).min(left.len()),
        }
    }
    (left, Shrunk::Minimal)
}

/// A part of `left` that shows it: one of so many pieces, or all but one; and in how many pieces to cut that.
fn smaller<T: Clone, E>(
    left: &[T],
    pieces: usize,
    shows: &mut impl FnMut(&[T]) -> Result<bool, E>,
) -> Result<Option<(Vec<T>, usize)>, E> {
    let size = left.len().div_ceil(pieces);
    for piece in left.chunks(size) {
        if shows(piece)? {
            return Ok(Some((piece.to_vec(), 2)));
        }
    }
    // Of two pieces each is all but the other.
    if pieces == 2 {
        return Ok(None);
    }
    for begin in (0..left.len()).step_by(size) {
        let end = (begin + size).min(left.len());
        let rest = [&left[..begin], &left[end..]].concat();
        if shows(&rest)? {
            return Ok(Some((rest, (pieces - 1).max(2))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Where what is needed does not depend on anything else, exactly that is left.
        #[test]
        fn what_is_needed_is_left(needed in prop::collection::btree_set(0u64..300, 0..6)) {
            let all: Vec<u64> = (0..300).collect();
            let shows = |part: &[u64]| {
                let part: BTreeSet<u64> = part.iter().copied().collect();
                Ok::<bool, Infallible>(needed.is_subset(&part))
            };
            let (left, end) = shrink(all, shows);
            prop_assert_eq!(left, needed.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(end, Shrunk::Minimal);
        }

        /// Whatever shows it: what is left does, and none of it can be left out alone.
        #[test]
        fn nothing_that_is_left_can_be_left_out(seed: u64, length in 1usize..60) {
            let all: Vec<u64> = (0..length as u64).collect();
            let whole = all.clone();
            let shows = |part: &[u64]| {
                let sum = part.iter().fold(seed, |sum, one| crate::draw(sum, *one));
                part == whole || sum.is_multiple_of(3)
            };
            let (left, _) = shrink(all, |part| Ok::<bool, Infallible>(shows(part)));
            prop_assert!(shows(&left));
            for at in 0..left.len() {
                let rest = [&left[..at], &left[at + 1..]].concat();
                prop_assert!(!shows(&rest), "{left:?} without {at}");
            }
        }
    }

    #[test]
    fn few_tries_are_enough_for_few_of_many() {
        let mut tries = 0;
        let (left, _) = shrink((0..4000).collect(), |part: &[i32]| {
            tries += 1;
            Ok::<bool, Infallible>([1000, 1001, 3500].iter().all(|one| part.contains(one)))
        });
        assert_eq!(left, [1000, 1001, 3500]);
        assert!(tries < 150, "{tries}");
    }

    #[test]
    fn who_stops_has_the_least_that_was_seen() {
        let mut tries = 0;
        let (left, end) = shrink((0..100).collect(), |part: &[i32]| {
            tries += 1;
            if tries > 4 { Err("enough") } else { Ok(part.contains(&3)) }
        });
        assert_eq!(end, Shrunk::Stopped("enough"));
        assert!(left.len() < 100 && left.contains(&3), "{left:?}");
    }
}
