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
    /// Remove all of them.
    TrimAll,
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
            Request::Trim(records) => vec![Move { from: current, part: Part::First(records), to: To::Out }],
            Request::TrimAll => vec![Move { from: current, part: Part::All, to: To::Out }],
        }
    }
}
