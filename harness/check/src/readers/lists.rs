//! What the lists held at a moment, as far as steps moved their records.

use crate::evidence::Moment;
use crate::history::{Move, Moved};
use imalab_formats::ima::model::Ranges;

/// The lists after each move, in order of time.
#[derive(Debug)]
pub(super) struct Lists {
    /// From this moment on.
    states: Vec<(Moment, State)>,
}

/// What is known of the two lists; the current one always with all that it will ever get.
#[derive(Clone, Debug)]
enum State {
    /// Both.
    Known { staged: Ranges, current: Ranges },
    /// What both hold, but not how much of it is staged: nobody has read it since.
    Together(Ranges),
    /// Nothing: nobody knows how many records a move took.
    Unknown,
}

impl Lists {
    pub(super) fn of(records: usize, moves: &[Moved]) -> Lists {
        let mut current = Ranges::default();
        current.push(0..records);
        let mut state = State::Known { staged: Ranges::default(), current };
        let mut states = vec![(Moment { boot: 0, ns: 0 }, state.clone())];
        for moved in moves {
            state = apply(moved.what, state);
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
        match &self.states.get(state)?.1 {
            State::Known { staged: list, .. } if staged => Some(list),
            State::Known { current, .. } => Some(current),
            State::Together(_) | State::Unknown => None,
        }
    }

    /// Whether a move began after `from` and before `to`.
    pub(super) fn moved_between(&self, from: Moment, to: Moment) -> bool {
        self.states.iter().any(|(at, _)| from < *at && *at < to)
    }
}

fn apply(what: Move, state: State) -> State {
    match (what, state) {
        (Move::Staged { records: Some(records) }, State::Known { mut staged, mut current }) => {
            staged.append(current.take_first(records));
            State::Known { staged, current }
        }
        (Move::Staged { records: None }, State::Known { mut staged, current }) => {
            staged.append(current);
            State::Together(staged)
        }
        (Move::Deleted { .. }, State::Known { current, .. }) => {
            State::Known { staged: Ranges::default(), current }
        }
        (Move::Trimmed { records }, State::Known { staged, mut current }) => {
            current.take_first(usize::try_from(records).unwrap_or(usize::MAX));
            State::Known { staged, current }
        }
        (Move::Carried { kept, lost }, State::Known { staged: mut all, current }) => {
            all.append(current);
            carried(all, kept, lost)
        }
        // Whatever was staged is before the rest.
        (Move::Carried { kept, lost }, State::Together(all)) => carried(all, kept, lost),
        (_, State::Together(_) | State::Unknown) => State::Unknown,
    }
}

/// The next kernel's lists: all is current but what was lost behind the first records.
fn carried(mut all: Ranges, kept: usize, lost: usize) -> State {
    if lost > 0 {
        let mut left = all.take_first(kept);
        all.take_first(lost);
        left.append(all);
        all = left;
    }
    State::Known { staged: Ranges::default(), current: all }
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
            moved(30, Move::Carried { kept: 0, lost: 0 }),
            moved(40, Move::Staged { records: None }),
            moved(50, Move::Carried { kept: 3, lost: 1 }),
            moved(60, Move::Staged { records: None }),
            moved(70, Move::Deleted { saved: None }),
            moved(80, Move::Carried { kept: 0, lost: 0 }),
        ];
        let lists = Lists::of(9, &moves);
        let of = |staged, ns| lists.list(staged, lists.at(at(ns))).map(|ranges| ranges.stretches().to_vec());
        assert_eq!((of(true, 5), of(false, 5)), (Some(vec![]), Some(vec![0..9])));
        assert_eq!((of(true, 10), of(false, 10)), (Some(vec![0..3]), Some(vec![3..9])));
        assert_eq!(of(false, 25), Some(vec![5..9]));
        assert_eq!((of(true, 30), of(false, 39)), (Some(vec![]), Some(vec![0..3, 5..9])));
        assert_eq!((of(true, 40), of(false, 40)), (None, None));
        // The next kernel has all of it in one list, however it was divided.
        assert_eq!((of(true, 50), of(false, 50)), (Some(vec![]), Some(vec![0..3, 6..9])));
        assert_eq!((of(false, 70), of(false, 80)), (None, None));
        assert!(lists.moved_between(at(9), at(11)) && !lists.moved_between(at(10), at(20)));
    }
}
