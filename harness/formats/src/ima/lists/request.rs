//! What tasks ask of the lists.

use super::{Kind, ListId, Move, Namespace, Part, To};

/// What a request asks for. Every interface knows some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Move the whole current list to the staged list.
    StageAll,
    /// Move so many of its first records there.
    StageFirst(u64),
    /// Move so many of them there, or all.
    StageUpTo(u64),
    /// Remove the staged list.
    Delete,
    /// Remove its first records, and put the others back.
    DeleteFirst(u64),
    /// Remove the first records of the current list.
    Trim(u64),
    /// As [`Request::Trim`], or nothing when it is none, if so many were trimmed before.
    TrimIf {
        /// Records that were trimmed before.
        trimmed: u64,
        /// Records to remove.
        records: u64,
    },
    /// Remove all of them.
    TrimAll,
    /// Remove what is before a mark in the current list. How many records that are is for who knows the records to say: until
    /// then it moves nothing.
    TrimTo(Mark),
    /// Remove what is before the mark that was recorded when the file was opened; as with [`Request::TrimTo`], how many that are
    /// is for others to say.
    Purge,
    /// Record a mark: no record moves.
    MarkLog,
}

/// A record of the kernel's own that divides the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The first in the list.
    First,
    /// The last.
    Last,
    /// This one, from 1.
    Nth(u64),
}

impl Mark {
    /// Which of so many it is, from 0.
    pub fn place(self, marks: usize) -> Option<usize> {
        let place = match self {
            Mark::First => 0,
            Mark::Last => marks.checked_sub(1)?,
            Mark::Nth(number) => usize::try_from(number.checked_sub(1)?).ok()?,
        };
        (place < marks).then_some(place)
    }
}

impl Request {
    /// Whether it stages all records, however many there are.
    pub fn stages_all(self) -> bool {
        match self {
            Request::StageAll => true,
            Request::StageUpTo(records) => records >= i64::MAX as u64,
            _ => false,
        }
    }

    /// What it does, step by step.
    pub fn moves(self, namespace: Namespace) -> Vec<Move> {
        let list = |kind| ListId { namespace, kind };
        let (current, staged) = (list(Kind::Current), list(Kind::Staged));
        match self {
            Request::StageAll => vec![Move { from: current, part: Part::All, to: To::Behind(staged) }],
            Request::StageFirst(records) | Request::StageUpTo(records) => {
                vec![Move { from: current, part: Part::First(records), to: To::Behind(staged) }]
            }
            Request::Delete => vec![Move { from: staged, part: Part::All, to: To::Out }],
            Request::DeleteFirst(records) => vec![
                Move { from: staged, part: Part::First(records), to: To::Out },
                Move { from: staged, part: Part::All, to: To::Before(current) },
            ],
            Request::Trim(records) | Request::TrimIf { records, .. } => {
                vec![Move { from: current, part: Part::First(records), to: To::Out }]
            }
            Request::TrimAll => vec![Move { from: current, part: Part::All, to: To::Out }],
            Request::TrimTo(_) | Request::Purge | Request::MarkLog => Vec::new(),
        }
    }
}
