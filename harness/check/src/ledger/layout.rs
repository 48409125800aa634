//! The whole log, laid out in order of its places.

use super::{Generation, Source, Staging, Stretch};
use crate::evidence::RecordId;
use crate::run_length::RunLength;
use imalab_formats::ima::lists::Ranges;

/// What is known of some places of the whole log.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// They were read.
    Read { source: Source, records: RunLength<RecordId> },
    /// They were taken out by the step at this place, and never read.
    Missing { by: usize },
    /// They are staged.
    Staged(Generation),
    /// They were staged, and taken out by the step at this place.
    Deleted(Generation, usize),
}

/// Some places of the whole log, in order, and what is known of them.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) places: Ranges,
    pub(super) known: Known,
}

/// The stretches of a log that these pieces make up.
pub(super) fn stretches(pieces: &[Piece], stagings: &[Staging]) -> Vec<Stretch> {
    let mut parts: Vec<(usize, usize, Stretch)> = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let of_piece = piece.parts(stagings).into_iter();
        parts.extend(of_piece.map(|(place, stretch)| (place, number, stretch)));
    }
    parts.retain(|(.., stretch)| !stretch.is_empty());
    parts.sort_by_key(|(place, ..)| *place);
    let mut all: Vec<(usize, Stretch)> = Vec::new();
    for (_, number, stretch) in parts {
        // Where nothing lies between them.
        let joined = all.last_mut().is_some_and(|(last, before)| *last == number && before.join(&stretch));
        if !joined {
            all.push((number, stretch));
        }
    }
    all.into_iter().map(|(_, stretch)| stretch).collect()
}

impl Piece {
    /// Its parts between which something else may lie, each with its first place.
    fn parts(&self, stagings: &[Staging]) -> Vec<(usize, Stretch)> {
        match &self.known {
            Known::Read { source, records } => self.read(*source, records),
            Known::Missing { by } => self.missing(*by, self.places.len()),
            Known::Staged(generation) => match &stagings[*generation] {
                Staging { read: Some((by, records)), .. } => self.read(Source::Staged(*by), records),
                Staging { by, before, exact: Some(_), .. } => self.begun(Source::Staged(*by), before, *by),
                staging => self.unread(staging.by),
            },
            Known::Deleted(generation, deleter) => match &stagings[*generation] {
                Staging { read: Some((_, records)), saved: Some(by), .. } => {
                    self.read(Source::Saved(*by), records)
                }
                Staging { read: Some((_, records)), .. } => self.missing(*deleter, records.len()),
                Staging { before, exact: Some(_), .. } => {
                    self.begun(Source::Trimmed(*deleter), before, *deleter)
                }
                _ => self.unread(*deleter),
            },
        }
    }

    /// These records are the first of it. A kernel that shows more than there can be has them behind the others.
    fn read(&self, source: Source, records: &RunLength<RecordId>) -> Vec<(usize, Stretch)> {
        let mut parts = Vec::new();
        let mut done = 0;
        let ranges = self.places.stretches();
        for (number, range) in ranges.iter().enumerate() {
            let end = if number + 1 == ranges.len() { records.len() } else { done + range.len() };
            parts.push((range.start, Stretch { source, records: records.slice(done..end) }));
            done = end;
        }
        parts
    }

    /// So many records of it are known to be there, and nothing else is known of them.
    fn missing(&self, by: usize, records: usize) -> Vec<(usize, Stretch)> {
        let gap = |range: &std::ops::Range<usize>| (range.start, Stretch::gap(by, Some(range.len() as u64)));
        self.places.clone().take_first(records).stretches().iter().map(gap).collect()
    }

    /// Its first records were read before, the others never.
    fn begun(&self, source: Source, records: &RunLength<RecordId>, by: usize) -> Vec<(usize, Stretch)> {
        let mut rest = self.places.clone();
        let places = rest.take_first(records.len());
        let begun = Piece { places, known: Known::Missing { by } }.read(source, records);
        let rest = Piece { places: rest, known: Known::Missing { by } };
        begun.into_iter().chain(rest.missing(by, rest.places.len())).collect()
    }

    /// Nobody knows how many there are.
    fn unread(&self, by: usize) -> Vec<(usize, Stretch)> {
        self.places.first().map(|place| (place, Stretch::gap(by, None))).into_iter().collect()
    }
}

impl Stretch {
    fn gap(by: usize, records: Option<u64>) -> Stretch {
        Stretch { source: Source::Gap { by, records }, records: RunLength::default() }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && !matches!(self.source, Source::Gap { records: None | Some(1..), .. })
    }

    /// Takes in what goes on where it ends, and is known as it is. Whether it is.
    fn join(&mut self, other: &Stretch) -> bool {
        match (&mut self.source, other.source) {
            (Source::Gap { records: Some(before), .. }, Source::Gap { records: Some(more), .. }) => {
                *before += more;
            }
            (own, source) if *own == source => other.records.iter().for_each(|id| self.records.push(id)),
            _ => return false,
        }
        true
    }
}
