//! What the lists held at a moment, as far as steps moved their records.

use crate::check::evidence::Moment;
use crate::check::history::{Move, Moved};
use crate::ima::model::Ranges;

/// The lists after each move, in order of time.
#[derive(Debug)]
pub(super) struct Lists {
    /// From this moment on: the staged list, and the current one with all that it will ever get. `None` where nobody
    /// knows how many records a move took.
    states: Vec<(Moment, Option<(Ranges, Ranges)>)>,
}

impl Lists {
    pub(super) fn of(records: usize, moves: &[Moved]) -> Lists {
        let mut current = Ranges::default();
        current.push(0..records);
        let mut state = Some((Ranges::default(), current));
        let mut states = vec![(Moment { boot: 0, ns: 0 }, state.clone())];
        for moved in moves {
            state = state.and_then(|(staged, current)| apply(moved.what, staged, current));
            states.push((moved.at, state.clone()));
        }
        Lists { states }
    }

    /// Number of the state at a moment.
    pub(super) fn at(&self, when: Moment) -> usize {
        self.states.partition_point(|(at, _)| *at <= when).saturating_sub(1)
    }

    /// The list that a file shows in a state; what is beyond its end at the time comes later.
    pub(super) fn list(&self, staged: bool, state: usize) -> Option<&Ranges> {
        let (_, state) = self.states.get(state)?;
        state.as_ref().map(|(of_staged, of_current)| if staged { of_staged } else { of_current })
    }

    /// Whether a move began after `from` and before `to`.
    pub(super) fn moved_between(&self, from: Moment, to: Moment) -> bool {
        self.states.iter().any(|(at, _)| from < *at && *at < to)
    }
}

fn apply(what: Move, mut staged: Ranges, mut current: Ranges) -> Option<(Ranges, Ranges)> {
    match what {
        Move::Staged { records } => staged.append(current.take_first(records?)),
        Move::Deleted { .. } => staged = Ranges::default(),
        Move::Trimmed { records } => {
            current.take_first(usize::try_from(records).unwrap_or(usize::MAX));
        }
        Move::Carried => {
            staged.append(current);
            (staged, current) = (Ranges::default(), staged);
        }
    }
    Some((staged, current))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "ranges of records are what a list is made of")]
mod tests {
    use super::*;

    #[test]
    fn lists_are_what_the_moves_before_left() {
        let at = |ns| Moment { boot: 1, ns };
        let moved = |ns, what| Moved { at: at(ns), step: 0, what };
        let moves = [
            moved(10, Move::Staged { records: Some(3) }),
            moved(20, Move::Trimmed { records: 2 }),
            moved(30, Move::Carried),
            moved(40, Move::Staged { records: None }),
        ];
        let lists = Lists::of(9, &moves);
        let of = |staged, ns| lists.list(staged, lists.at(at(ns))).map(|ranges| ranges.stretches().to_vec());
        assert_eq!((of(true, 5), of(false, 5)), (Some(vec![]), Some(vec![0..9])));
        assert_eq!((of(true, 10), of(false, 10)), (Some(vec![0..3]), Some(vec![3..9])));
        assert_eq!(of(false, 25), Some(vec![5..9]));
        assert_eq!((of(true, 30), of(false, 39)), (Some(vec![]), Some(vec![0..3, 5..9])));
        assert_eq!(of(false, 40), None);
        assert!(lists.moved_between(at(9), at(11)) && !lists.moved_between(at(10), at(20)));
    }
}
