//! Where each record of the whole log is in a file, bytes.

use std::ops::Range;
use std::rc::Rc;

use imalab_formats::ima::Bank;
use imalab_formats::ima::lists::Ranges;

/// Where each record ends in the SHA-1 bank's file.
#[derive(Debug)]
pub(super) struct Ends {
    ends: Vec<u64>,
    /// Records of which the bytes are not known.
    unknown: Ranges,
}

impl Ends {
    /// From the records' lengths, as far as they are known.
    pub(super) fn of(lengths: impl Iterator<Item = Option<u64>>) -> Ends {
        let mut ends = Ends { ends: Vec::new(), unknown: Ranges::default() };
        let mut end: u64 = 0;
        for (place, length) in lengths.enumerate() {
            if length.is_none() {
                ends.unknown.push(place..place + 1);
            }
            end += length.unwrap_or(0);
            ends.ends.push(end);
        }
        ends
    }

    fn get(&self, place: usize) -> Option<u64> {
        self.ends.get(place).copied()
    }
}

/// The whole log as one kind of file shows it: files of different banks differ in the length of a digest alone.
#[derive(Clone, Debug)]
pub(crate) struct View {
    ends: Rc<Ends>,
    pub(crate) ascii: bool,
    pub(crate) bank: Bank,
    /// Bytes that a record has more than in the SHA-1 bank's file.
    more: u64,
}

impl View {
    pub(super) fn of(ends: &Rc<Ends>, ascii: bool, bank: Bank) -> View {
        // In text a byte takes two characters.
        let more = (bank.digest_size() - Bank::Sha1.digest_size()) * if ascii { 2 } else { 1 };
        View { ends: Rc::clone(ends), ascii, bank, more: more as u64 }
    }

    /// The first record from this one on of which the bytes are not known.
    pub(crate) fn unknown_from(&self, place: usize) -> Option<usize> {
        let unknown = self.ends.unknown.stretches();
        let at = unknown.partition_point(|range| range.end <= place);
        unknown.get(at).map(|range| range.start.max(place))
    }

    /// Bytes of all records before this one.
    pub(crate) fn start(&self, place: usize) -> u64 {
        let end = place.checked_sub(1).and_then(|before| self.ends.get(before));
        end.unwrap_or(0) + place as u64 * self.more
    }

    /// Bytes of these records, which follow one another; `None` when not all are known.
    pub(crate) fn length(&self, places: Range<usize>) -> Option<u64> {
        let known = self.unknown_from(places.start).is_none_or(|unknown| unknown >= places.end);
        (known && places.end <= self.ends.ends.len())
            .then(|| self.start(places.end) - self.start(places.start))
    }

    /// The record of these, which follow one another, in which the byte is that comes so many after the first of them
    /// began; the one after the last when there is none. The bytes of all of them are known.
    pub(crate) fn record_at(&self, places: Range<usize>, byte: u64) -> usize {
        let begin = self.start(places.start);
        let (mut low, mut high) = (places.start, places.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.start(middle + 1) - begin <= byte {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
