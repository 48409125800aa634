//! How many records each list holds, column by column.

use std::collections::BTreeMap;

use super::columns::Columns;
use imalab_check::{RecordHistory, Within};

/// Where records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Current,
    Staged,
    /// User space has them alone.
    Saved,
    /// Nobody has.
    Gone,
}

impl Place {
    pub(super) const ALL: [Place; 4] = [Place::Current, Place::Staged, Place::Saved, Place::Gone];

    pub(super) fn name(self) -> &'static str {
        match self {
            Place::Current => "current list",
            Place::Staged => "staged list",
            Place::Saved => "saved, and removed from the kernel",
            Place::Gone => "nowhere",
        }
    }

    fn of(within: &Within) -> Place {
        match within {
            Within::Current | Within::Carried => Place::Current,
            Within::Staged => Place::Staged,
            Within::Chunk(_) => Place::Saved,
            Within::Nothing | Within::Lost => Place::Gone,
        }
    }
}

/// Numbers of records by place, from a column on.
pub(super) type Levels = Vec<(usize, [u64; 4])>;

/// The numbers at each column at which one changes; empty where no list was ever read whole. `left_out` columns are told of as
/// of one.
pub(super) fn levels(columns: &Columns, histories: impl Iterator<Item = RecordHistory>) -> Levels {
    let mut moves: BTreeMap<usize, [i64; 4]> = BTreeMap::new();
    for history in histories {
        let mut before = None;
        for place in &history.places {
            let column = match (place.at_ns, before) {
                (Some(begin), _) => columns.ended(place.boot, begin),
                (None, None) => columns.of_event(history.event),
                // Another kernel has it.
                (None, Some(_)) => columns.boots.get(usize::from(place.boot)).copied(),
            };
            let now = Place::of(&place.within) as usize;
            let change = moves.entry(column.unwrap_or_default()).or_default();
            if let Some(before) = before.replace(now) {
                change[before] -= 1;
            }
            change[now] += 1;
        }
    }
    let mut level = [0_i64; 4];
    let mut levels = Vec::with_capacity(moves.len());
    for (column, change) in moves {
        level.iter_mut().zip(change).for_each(|(level, change)| *level += change);
        levels.push((column, level.map(|level| u64::try_from(level).unwrap_or(0))));
    }
    levels
}
