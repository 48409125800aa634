//! Where each record of the whole log was at every moment: in which kernel's list, in which chunk, carried when.
//!
//! A record gets into the current list when it is measured, in the order of the whole log. So it is enough to know how
//! many records each staging moved and each trim removed.

use super::boots;
use super::evidence::{Evidence, Moment, RecordId};
use super::runs::Runs;
use imalab_formats::ima::model::Ranges;

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
        let mut lists = Lists { records, boot: 1, ..Lists::default() };
        let mut carried = vec![Vec::new()];
        for moved in moves {
            let step = moved.step;
            match moved.what {
                Move::Staged { records } => lists.stage(step, records.unwrap_or(0)),
                Move::Deleted { saved } => lists.delete(step, saved),
                Move::Trimmed { records } => lists.trim(step, usize::try_from(records).unwrap_or(usize::MAX)),
                Move::Carried { lost, .. } => {
                    let start = usize::try_from(lists.boot).ok().and_then(|boot| starts.get(boot));
                    lists.log_to(start.copied().unwrap_or(records));
                    carried.push(lists.carry(lost));
                }
            }
        }
        lists.log_to(records);
        History { turns: lists.turns, carried, starts }
    }

    /// What happened to record `at`, in order of time.
    pub(super) fn turns(&self, at: usize) -> impl Iterator<Item = Turn> {
        self.turns.iter().filter(move |(records, _)| records.contains(at)).map(|(_, turn)| *turn)
    }

    /// The boot, from 1, that logged record `at`.
    pub(super) fn boot_of(&self, at: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= at)).unwrap_or(u32::MAX).max(1)
    }
}

/// The lists, as places in the whole log.
#[derive(Default)]
struct Lists {
    /// Records of the whole log.
    records: usize,
    turns: Vec<(Ranges, Turn)>,
    boot: u32,
    current: Ranges,
    staged: Ranges,
    /// First place that no list has had yet.
    next: usize,
}

impl Lists {
    /// Logs records up to and without place `to`.
    fn log_to(&mut self, to: usize) {
        let mut logged = Ranges::default();
        logged.push(self.next..to.min(self.records));
        self.next = self.next.max(to.min(self.records));
        self.tell(logged.clone(), Turn::Logged { boot: self.boot });
        self.current.append(logged);
    }

    /// Takes so many records off the current list, which has them by now.
    fn take(&mut self, records: usize) -> Ranges {
        let missing = records.saturating_sub(self.current.len());
        self.log_to(self.next.saturating_add(missing));
        self.current.take_first(records)
    }

    fn tell(&mut self, records: Ranges, turn: Turn) {
        if !records.is_empty() {
            self.turns.push((records, turn));
        }
    }

    fn stage(&mut self, step: usize, records: usize) {
        let staged = self.take(records);
        self.tell(staged.clone(), Turn::Staged { step });
        self.staged.append(staged);
    }

    fn delete(&mut self, step: usize, saved: Option<usize>) {
        let staged = std::mem::take(&mut self.staged);
        self.tell(staged, Turn::Deleted { step, saved });
    }

    fn trim(&mut self, step: usize, records: usize) {
        let trimmed = self.take(records);
        self.tell(trimmed, Turn::Trimmed { step });
    }

    fn carry(&mut self, lost: usize) -> Vec<usize> {
        self.boot += 1;
        let mut all = std::mem::take(&mut self.staged);
        all.append(std::mem::take(&mut self.current));
        self.current = all.take_first(all.len().saturating_sub(lost));
        self.tell(all, Turn::Lost { boot: self.boot });
        self.tell(self.current.clone(), Turn::Carried { boot: self.boot });
        self.current.iter().collect()
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
