//! Where each record of the whole log was at every moment: in which kernel's list, in which chunk, carried when.
//!
//! A record gets into the current list when it is measured, in the order of the whole log. So it is enough to know how
//! many records each staging moved and each trim removed.

use super::boots;
use super::changes::{Change, ListChange};
use super::evidence::{Evidence, RecordId};
use super::run_length::RunLength;
use imalab_formats::ima::lists::{ListId, Lists, Loss, Namespace, Ranges, Request, To};

/// Something that happened to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It was measured in this boot, from 1, and is in the current list.
    Logged { boot: u32 },
    /// It is in the staged list, by this change of the lists.
    Staged { by: usize },
    /// It was staged, and is nowhere but where the step `saved` put it.
    Deleted { by: usize, saved: Option<usize> },
    /// It was staged, and is in the current list again.
    PutBack { by: usize },
    /// It was current, and is nowhere but where the step put what it read before.
    Trimmed { by: usize },
    /// It is in the current list that the kernel of this boot began with.
    Carried { boot: u32 },
    /// It should be there, and is known not to be.
    Lost { boot: u32 },
}

/// The records of one whole log, each with what happened to it.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// What happened to which records, in order of time.
    turns: Vec<(Ranges, Turn)>,
    /// For each boot its list at the start, as places in the whole log: nothing for the first.
    pub(super) carried: Vec<Vec<usize>>,
    /// For each boot the place of the first record of its own.
    pub(super) starts: Vec<usize>,
    /// Records of the whole log.
    records: usize,
}

impl History {
    /// Follows `changes` over the whole log `records`, of some of which nothing may be known.
    pub(super) fn of(
        evidence: &Evidence<'_>,
        records: &RunLength<Option<RecordId>>,
        changes: &[ListChange],
    ) -> History {
        let mut starts = boots::aggregates(evidence, records.iter());
        // Whatever is before the first aggregate is of the first boot.
        match starts.first_mut() {
            Some(first) => *first = 0,
            None => starts.push(0),
        }
        History::with_starts(records.len(), starts, changes)
    }

    fn with_starts(records: usize, starts: Vec<usize>, changes: &[ListChange]) -> History {
        let mut followed = Followed { turns: Vec::new(), lists: Lists::new(), reached: 0 };
        // What is appended later stands behind everything that moves before.
        followed.lists.get_mut(ListId::CURRENT).push(0..records);
        let mut carried = vec![Vec::new()];
        for (by, change) in changes.iter().enumerate() {
            let (out, request) = match change.what {
                // What nobody read of it cannot be followed.
                Change::Staged { records: None } => continue,
                Change::Carried { lost, .. } => {
                    let start = starts.get(carried.len()).copied().unwrap_or(records);
                    carried.push(followed.kexec(carried.len(), start, lost));
                    continue;
                }
                Change::Deleted { saved } | Change::DeletedFirst { saved, .. } => {
                    (Turn::Deleted { by, saved }, change.what.request())
                }
                Change::Staged { .. } | Change::Trimmed { .. } => {
                    (Turn::Trimmed { by }, change.what.request())
                }
            };
            if let Some(request) = request {
                followed.carry_out(request, by, out);
            }
        }
        History { turns: followed.turns, carried, starts, records }
    }

    /// What happened to record `at`, in order of time.
    pub(super) fn turns(&self, at: usize) -> impl Iterator<Item = Turn> {
        let logged = (at < self.records).then(|| Turn::Logged { boot: self.boot_of(at) });
        let moved = self.turns.iter().filter(move |(records, _)| records.contains(at));
        logged.into_iter().chain(moved.map(|(_, turn)| *turn))
    }

    /// The boot, from 1, that logged record `at`.
    pub(super) fn boot_of(&self, at: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= at)).unwrap_or(u32::MAX).max(1)
    }
}

/// The lists, as places in the whole log, and what moved in them.
struct Followed {
    turns: Vec<(Ranges, Turn)>,
    lists: Lists<Ranges>,
    /// Behind the last record that moved.
    reached: usize,
}

impl Followed {
    fn tell(&mut self, records: Ranges, turn: Turn) {
        self.reached = self.reached.max(records.last().map_or(0, |last| last + 1));
        if !records.is_empty() {
            self.turns.push((records, turn));
        }
    }

    /// Carries out the `by`-th change; `out` is what becomes of records that leave the kernel.
    fn carry_out(&mut self, request: Request, by: usize, out: Turn) {
        for moved in self.lists.carry_out(Namespace::INIT, request) {
            let turn = match moved.to {
                To::Out => out,
                To::Behind(_) => Turn::Staged { by },
                To::Before(_) => Turn::PutBack { by },
            };
            self.tell(moved.records, turn);
        }
    }

    /// Another kernel takes over from the `boot`-th, whose own records begin at `start`: what its list begins with.
    fn kexec(&mut self, boot: usize, start: usize, lost: usize) -> Vec<usize> {
        let boot = u32::try_from(boot).unwrap_or(u32::MAX).saturating_add(1);
        // Whatever moved is older than what the next kernel logs.
        let end = self.reached.max(start);
        let lists = [ListId::STAGED, ListId::CURRENT].map(|id| self.lists.get(id));
        let carried = lists.iter().map(|list| list.before(end).len()).sum::<usize>();
        let kept = carried.saturating_sub(lost);
        let loss = Loss { kept: kept as u64, lost: (carried - kept) as u64 };
        for moved in self.lists.kexec(loss) {
            if moved.to == To::Out {
                self.tell(moved.records, Turn::Lost { boot });
            }
        }
        let carried = self.lists.get(ListId::CURRENT).before(end);
        let places = carried.iter().collect();
        self.tell(carried, Turn::Carried { boot });
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Moment;

    fn made(step: usize, what: Change) -> ListChange {
        let at = Moment { boot: 1, ns: step as u64 };
        ListChange { at, end: at, step, what }
    }

    #[test]
    fn each_record_is_followed_from_list_to_list() {
        // 0 to 3 staged, 4 and 5 trimmed meanwhile, 6 current; 7 is the aggregate of the next kernel, 8 its own.
        let moves = [
            made(1, Change::Staged { records: Some(4) }),
            made(2, Change::Trimmed { records: 2 }),
            made(3, Change::Carried { kept: 0, lost: 0 }),
            made(4, Change::Staged { records: Some(6) }),
            made(5, Change::Deleted { saved: Some(6) }),
        ];
        let history = History::with_starts(9, vec![0, 7], &moves);
        assert_eq!(history.carried, [vec![], vec![0, 1, 2, 3, 6]]);
        let turns = |at: usize| history.turns(at).collect::<Vec<_>>();
        let out = [Turn::Staged { by: 3 }, Turn::Deleted { by: 4, saved: Some(6) }];
        let carried = Turn::Carried { boot: 2 };
        assert_eq!(
            turns(0),
            [&[Turn::Logged { boot: 1 }, Turn::Staged { by: 0 }, carried][..], &out].concat()
        );
        assert_eq!(turns(4), [Turn::Logged { boot: 1 }, Turn::Trimmed { by: 1 }]);
        assert_eq!(turns(6), [&[Turn::Logged { boot: 1 }, carried][..], &out].concat());
        assert_eq!(turns(7), [&[Turn::Logged { boot: 2 }][..], &out].concat());
        assert_eq!(turns(8), [Turn::Logged { boot: 2 }]);
        assert_eq!((history.boot_of(6), history.boot_of(7)), (1, 2));
    }

    #[test]
    fn what_is_not_deleted_of_a_staged_list_goes_back() {
        let changes = [
            made(1, Change::Staged { records: Some(3) }),
            made(1, Change::DeletedFirst { records: 2, saved: None }),
            made(2, Change::Trimmed { records: 1 }),
        ];
        let history = History::with_starts(4, vec![0], &changes);
        let turns = |at: usize| history.turns(at).skip(1).collect::<Vec<_>>();
        assert_eq!(turns(1), [Turn::Staged { by: 0 }, Turn::Deleted { by: 1, saved: None }]);
        assert_eq!(turns(2), [Turn::Staged { by: 0 }, Turn::PutBack { by: 1 }, Turn::Trimmed { by: 2 }]);
        assert_eq!(turns(3), []);
    }

    #[test]
    fn a_list_is_carried_from_kernel_to_kernel() {
        let moves =
            [made(1, Change::Carried { kept: 0, lost: 0 }), made(2, Change::Carried { kept: 0, lost: 0 })];
        let history = History::with_starts(6, vec![0, 2, 4], &moves);
        assert_eq!(history.carried, [vec![], vec![0, 1], vec![0, 1, 2, 3]]);
        let twice = [Turn::Logged { boot: 1 }, Turn::Carried { boot: 2 }, Turn::Carried { boot: 3 }];
        assert_eq!(history.turns(0).collect::<Vec<_>>(), twice);
        assert_eq!(history.turns(5).collect::<Vec<_>>(), [Turn::Logged { boot: 3 }]);
    }

    #[test]
    fn what_is_lost_is_the_end_of_what_should_be_carried() {
        let moves = [
            made(1, Change::Staged { records: Some(2) }),
            made(2, Change::Carried { kept: 0, lost: 2 }),
            made(3, Change::Carried { kept: 0, lost: 9 }),
        ];
        let history = History::with_starts(6, vec![0, 3, 5], &moves);
        assert_eq!(history.carried, [vec![], vec![0], vec![]]);
        let lost = Turn::Lost { boot: 2 };
        assert_eq!(
            history.turns(1).collect::<Vec<_>>(),
            [Turn::Logged { boot: 1 }, Turn::Staged { by: 0 }, lost]
        );
        assert_eq!(history.turns(4).collect::<Vec<_>>(), [Turn::Logged { boot: 2 }, Turn::Lost { boot: 3 }]);
    }

    #[test]
    fn numbers_that_cannot_be_are_borne() {
        let moves = [
            made(1, Change::Trimmed { records: u64::MAX }),
            made(2, Change::Deleted { saved: None }),
            made(3, Change::Staged { records: Some(7) }),
            made(4, Change::Carried { kept: 0, lost: 0 }),
            made(5, Change::Carried { kept: 0, lost: 0 }),
        ];
        let history = History::with_starts(3, vec![0], &moves);
        assert_eq!(history.carried, vec![Vec::<usize>::new(); 3]);
        assert_eq!(history.turns(2).collect::<Vec<_>>(), [Turn::Logged { boot: 1 }, Turn::Trimmed { by: 0 }]);
    }
}
