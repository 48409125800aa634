//! What the lists held at a moment, as far as steps moved their records.

use crate::changes::{Change, ListChange};
use crate::evidence::Moment;
use imalab_formats::ima::lists::{ListId, Lists, Loss, Namespace, Ranges, Request};

/// The lists after each move, in order of time.
#[derive(Debug)]
pub(super) struct States {
    /// From this moment on.
    states: Vec<(Moment, State)>,
}

/// The lists; the current one always with all that it will ever get.
#[derive(Clone, Debug)]
struct State {
    lists: Lists<Ranges>,
    known: Known,
}

/// Whether the lists are what they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Both are.
    Apart,
    /// Both together are, but nobody has read how much of it is staged.
    Together,
    /// Neither is: nobody knows how many records a move took.
    No,
}

impl States {
    pub(super) fn of(records: usize, changes: &[ListChange]) -> States {
        let mut state = State { lists: Lists::new(), known: Known::Apart };
        state.lists.get_mut(ListId::CURRENT).push(0..records);
        let mut states = vec![(Moment { boot: 0, ns: 0 }, state.clone())];
        for change in changes {
            state.apply(change.what);
            states.push((change.at, state.clone()));
        }
        States { states }
    }

    /// Number of the state at a moment.
    pub(super) fn at(&self, when: Moment) -> usize {
        self.states.partition_point(|(at, _)| *at <= when).saturating_sub(1)
    }

    /// The list that a file shows in a state; what is beyond its end at the time comes later.
    pub(super) fn list(&self, list: ListId, state: usize) -> Option<&Ranges> {
        let State { lists, known } = &self.states.get(state)?.1;
        (*known == Known::Apart).then(|| lists.get(list))
    }

    /// Whether a move began after `from` and before `to`.
    pub(super) fn moved_between(&self, from: Moment, to: Moment) -> bool {
        self.states.iter().any(|(at, _)| from < *at && *at < to)
    }
}

impl State {
    fn apply(&mut self, change: Change) {
        let Some(request) = change.request() else {
            if let Change::Carried { kept, lost } = change {
                self.lists.kexec(Loss { kept: kept as u64, lost: lost as u64 });
            }
            // Whatever was staged is before the rest.
            if self.known == Known::Together {
                self.known = Known::Apart;
            }
            return;
        };
        self.lists.carry_out(Namespace::INIT, request);
        self.known = match (self.known, request) {
            (Known::Apart, Request::StageAll) => Known::Together,
            (Known::Apart, _) => Known::Apart,
            (Known::Together | Known::No, _) => Known::No,
        };
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "ranges of records are what a list is made of")]
mod tests {
    use super::*;

    #[test]
    fn lists_are_what_the_moves_before_left() {
        let at = |ns| Moment { boot: 1, ns };
        let made = |ns, what| ListChange { at: at(ns), end: at(ns), step: 0, what };
        let moves = [
            made(10, Change::Staged { records: Some(3) }),
            made(20, Change::Trimmed { records: 2 }),
            made(30, Change::Carried { kept: 0, lost: 0 }),
            made(40, Change::Staged { records: None }),
            made(50, Change::Carried { kept: 3, lost: 1 }),
            made(60, Change::Staged { records: None }),
            made(70, Change::Deleted { saved: None }),
            made(80, Change::Carried { kept: 0, lost: 0 }),
        ];
        let lists = States::of(9, &moves);
        let of = |staged, ns| {
            lists
                .list(if staged { ListId::STAGED } else { ListId::CURRENT }, lists.at(at(ns)))
                .map(|ranges| ranges.stretches().to_vec())
        };
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
