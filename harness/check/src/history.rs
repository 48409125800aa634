//! Where each record of the whole log was at every moment: in which kernel's list, in which chunk, carried when.
//!
//! A record gets into the current list when it is measured, in the order of the whole log. So it is enough to know how
//! many records each staging moved and each trim removed.

use super::boots;
use super::evidence::{Evidence, Moment, RecordId};
use super::runs::Runs;
use imalab_formats::ima::lists::{ListId, Lists, Loss, Namespace, Ranges, Request, To};

/// What became of the lists as a whole, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// The current list was staged: so many records, once anybody read them.
    Staged { records: Option<usize> },
    /// The staged list was deleted. `saved`: the step by which user space had read it.
    Deleted { saved: Option<usize> },
    /// So many records of the current list were removed.
    Trimmed { records: u64 },
    /// The next kernel took the lists over, but for so many records at their end, as it is known to; then just `kept` ones
    /// are left.
    Carried { kept: usize, lost: usize },
}

/// A move with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// When the step's system call began; the end of the boot for a carry-over.
    pub(super) at: Moment,
    /// The step that did it.
    pub(super) step: usize,
    pub(super) what: Move,
}

/// The moves, while they are gone through.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    all: Vec<Moved>,
    /// The step by which user space read what is staged.
    saved: Option<usize>,
}

impl Moves {
    /// One was done.
    pub(super) fn push(&mut self, at: Moment, step: usize, what: Move) {
        let what = match what {
            Move::Deleted { .. } => Move::Deleted { saved: self.saved },
            what => what,
        };
        if !matches!(what, Move::Trimmed { .. }) {
            self.saved = None;
        }
        self.all.push(Moved { at, step, what });
    }

    /// The staged list was read, by user space when it `keeps` what it read.
    pub(super) fn read_staged(&mut self, step: usize, found: usize, keeps: bool) {
        let last = self.all.iter_mut().rfind(|moved| !matches!(moved.what, Move::Trimmed { .. }));
        if let Some(Moved { what: Move::Staged { records }, .. }) = last {
            records.get_or_insert(found);
            if keeps {
                self.saved.get_or_insert(step);
            }
        }
    }

    /// All of them, in order.
    pub(super) fn done(self) -> Vec<Moved> {
        self.all
    }
}

/// Something that happened to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It was measured in this boot, from 1, and is in the current list.
    Logged { boot: u32 },
    /// It is in the staged list.
    Staged { step: usize },
    /// It was staged, and is nowhere but where the step `saved` put it.
    Deleted { step: usize, saved: Option<usize> },
    /// It was current, and is nowhere but where the step put what it read before.
    Trimmed { step: usize },
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
    /// Follows `moves` over the whole log `records`, of some of which nothing may be known.
    pub(super) fn of(evidence: &Evidence<'_>, records: &Runs<Option<RecordId>>, moves: &[Moved]) -> History {
        let mut starts = boots::aggregates(evidence, records.iter());
        // Whatever is before the first aggregate is of the first boot.
        match starts.first_mut() {
            Some(first) => *first = 0,
            None => starts.push(0),
        }
        History::with_starts(records.len(), starts, moves)
    }

    fn with_starts(records: usize, starts: Vec<usize>, moves: &[Moved]) -> History {
        let mut followed = Followed { turns: Vec::new(), lists: Lists::new(), reached: 0 };
        // What is appended later stands behind everything that moves before.
        let mut log = Ranges::default();
        log.push(0..records);
        followed.lists.append(ListId::CURRENT, log);
        let mut carried = vec![Vec::new()];
        for moved in moves {
            let step = moved.step;
            match moved.what {
                Move::Staged { records } => {
                    let records = records.map_or(0, |records| records as u64);
                    followed.carry_out(Request::StageFirst(records), Turn::Staged { step });
                }
                Move::Deleted { saved } => {
                    followed.carry_out(Request::Delete, Turn::Deleted { step, saved });
                }
                Move::Trimmed { records } => {
                    followed.carry_out(Request::Trim(records), Turn::Trimmed { step });
                }
                Move::Carried { lost, .. } => {
                    let start = starts.get(carried.len()).copied().unwrap_or(records);
                    carried.push(followed.kexec(carried.len(), start, lost));
                }
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

    fn carry_out(&mut self, request: Request, turn: Turn) {
        for moved in self.lists.carry_out(Namespace::INIT, request) {
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

    fn moved(step: usize, what: Move) -> Moved {
        Moved { at: Moment { boot: 1, ns: step as u64 }, step, what }
    }

    #[test]
    fn each_record_is_followed_from_list_to_list() {
        // 0 to 3 staged, 4 and 5 trimmed meanwhile, 6 current; 7 is the aggregate of the next kernel, 8 its own.
        let moves = [
            moved(1, Move::Staged { records: Some(4) }),
            moved(2, Move::Trimmed { records: 2 }),
            moved(3, Move::Carried { kept: 0, lost: 0 }),
            moved(4, Move::Staged { records: Some(6) }),
            moved(5, Move::Deleted { saved: Some(6) }),
        ];
        let history = History::with_starts(9, vec![0, 7], &moves);
        assert_eq!(history.carried, [vec![], vec![0, 1, 2, 3, 6]]);
        let turns = |at: usize| history.turns(at).collect::<Vec<_>>();
        let out = [Turn::Staged { step: 4 }, Turn::Deleted { step: 5, saved: Some(6) }];
        let carried = Turn::Carried { boot: 2 };
        assert_eq!(
            turns(0),
            [&[Turn::Logged { boot: 1 }, Turn::Staged { step: 1 }, carried][..], &out].concat()
        );
        assert_eq!(turns(4), [Turn::Logged { boot: 1 }, Turn::Trimmed { step: 2 }]);
        assert_eq!(turns(6), [&[Turn::Logged { boot: 1 }, carried][..], &out].concat());
        assert_eq!(turns(7), [&[Turn::Logged { boot: 2 }][..], &out].concat());
        assert_eq!(turns(8), [Turn::Logged { boot: 2 }]);
        assert_eq!((history.boot_of(6), history.boot_of(7)), (1, 2));
    }

    #[test]
    fn a_list_is_carried_from_kernel_to_kernel() {
        let moves =
            [moved(1, Move::Carried { kept: 0, lost: 0 }), moved(2, Move::Carried { kept: 0, lost: 0 })];
        let history = History::with_starts(6, vec![0, 2, 4], &moves);
        assert_eq!(history.carried, [vec![], vec![0, 1], vec![0, 1, 2, 3]]);
        let twice = [Turn::Logged { boot: 1 }, Turn::Carried { boot: 2 }, Turn::Carried { boot: 3 }];
        assert_eq!(history.turns(0).collect::<Vec<_>>(), twice);
        assert_eq!(history.turns(5).collect::<Vec<_>>(), [Turn::Logged { boot: 3 }]);
    }

    #[test]
    fn what_is_lost_is_the_end_of_what_should_be_carried() {
        let moves = [
            moved(1, Move::Staged { records: Some(2) }),
            moved(2, Move::Carried { kept: 0, lost: 2 }),
            moved(3, Move::Carried { kept: 0, lost: 9 }),
        ];
        let history = History::with_starts(6, vec![0, 3, 5], &moves);
        assert_eq!(history.carried, [vec![], vec![0], vec![]]);
        let lost = Turn::Lost { boot: 2 };
        assert_eq!(
            history.turns(1).collect::<Vec<_>>(),
            [Turn::Logged { boot: 1 }, Turn::Staged { step: 1 }, lost]
        );
        assert_eq!(history.turns(4).collect::<Vec<_>>(), [Turn::Logged { boot: 2 }, Turn::Lost { boot: 3 }]);
    }

    #[test]
    fn numbers_that_cannot_be_are_borne() {
        let moves = [
            moved(1, Move::Trimmed { records: u64::MAX }),
            moved(2, Move::Deleted { saved: None }),
            moved(3, Move::Staged { records: Some(7) }),
            moved(4, Move::Carried { kept: 0, lost: 0 }),
            moved(5, Move::Carried { kept: 0, lost: 0 }),
        ];
        let history = History::with_starts(3, vec![0], &moves);
        assert_eq!(history.carried, vec![Vec::<usize>::new(); 3]);
        assert_eq!(
            history.turns(2).collect::<Vec<_>>(),
            [Turn::Logged { boot: 1 }, Turn::Trimmed { step: 1 }]
        );
    }
}
