//! Where each record of the whole log is in a file, bytes.

use std::ops::Range;
use std::rc::Rc;

use crate::ima::Bank;

/// Where each record ends in the SHA-1 bank's file.
#[derive(Debug, Default)]
pub(super) struct Ends {
    ends: Vec<u64>,
    /// Records of which the bytes are not known, in order.
    unknown: Vec<usize>,
}

impl Ends {
    /// From the records' lengths, as far as they are known.
    pub(super) fn of(lengths: impl ExactSizeIterator<Item = Option<u64>>) -> Ends {
        let mut ends = Ends { ends: Vec::with_capacity(lengths.len()), unknown: Vec::new() };
        let mut end = 0;
        for (place, length) in lengths.enumerate() {
            if length.is_none() {
                ends.unknown.push(place);
            }
            end += length.unwrap_or(0);
            ends.ends.push(end);
        }
        ends
    }
}

/// The whole log as one kind of file shows it: files of different banks differ in the length of a digest alone.
#[derive(Clone, Debug)]
pub(in crate::check) struct View {
    ends: Rc<Ends>,
    pub(in crate::check) ascii: bool,
    pub(in crate::check) bank: Bank,
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
    pub(in crate::check) fn unknown_from(&self, place: usize) -> Option<usize> {
        let at = self.ends.unknown.partition_point(|unknown| *unknown < place);
        self.ends.unknown.get(at).copied()
    }

    /// Bytes of all records before this one.
    pub(in crate::check) fn start(&self, place: usize) -> u64 {
        let end = place.checked_sub(1).and_then(|before| self.ends.ends.get(before));
        end.copied().unwrap_or(0) + place as u64 * self.more
    }

    /// Bytes of these records, which follow one another; `None` when not all are known.
    pub(in crate::check) fn length(&self, places: Range<usize>) -> Option<u64> {
        let known = self.unknown_from(places.start).is_none_or(|unknown| unknown >= places.end);
        (known && places.end <= self.ends.ends.len())
            .then(|| self.start(places.end) - self.start(places.start))
    }

    /// The record of these, which follow one another, in which the byte is that comes so many after the first of them
    /// began; the one after the last when there is none. The bytes of all of them are known.
    pub(in crate::check) fn record_at(&self, places: Range<usize>, byte: u64) -> usize {
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
