//! Consecutive records, kept in one place.

use std::io;
use std::sync::OnceLock;

use imalab_ima::{Bank, LogReader, ReadError};

use crate::form::Form;
use crate::place::Place;
use crate::source::{ReadAt, Stream};

/// A mark is kept for each so many records: a read at any byte then looks at fewer than that many in vain, and a million
/// records take 375 KiB of marks.
const STRIDE: u64 = 64;

/// Records that lie one after the other in a source, in the canonical form.
#[derive(Debug)]
pub struct Segment<S> {
    source: S,
    /// Where the first record begins in the source.
    skip: u64,
    start: Place,
    end: Place,
    /// Each [`STRIDE`]-th record's place; found at the first read that needs them.
    marks: OnceLock<Vec<Place>>,
}

impl<S: ReadAt> Segment<S> {
    /// The records from the place `start` to `end`, which begin at byte `skip` of the source.
    pub fn new(source: S, skip: u64, start: Place, end: Place) -> Segment<S> {
        Segment { source, skip, start, end, marks: OnceLock::new() }
    }

    /// Where the first record begins in the log.
    pub fn start(&self) -> Place {
        self.start
    }

    /// Where the last one ends.
    pub fn end(&self) -> Place {
        self.end
    }

    /// What the records lie in.
    pub fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn into_source(self) -> S {
        self.source
    }

    fn records_from(&self, place: Place) -> LogReader<Stream<'_, S>> {
        let in_source = |place: Place| self.skip + (place.binary - self.start.binary);
        let stream = Stream { source: &self.source, at: in_source(place), end: in_source(self.end) };
        LogReader::new(stream, Bank::Sha1)
    }

    fn marks(&self) -> io::Result<&[Place]> {
        if let Some(marks) = self.marks.get() {
            return Ok(marks);
        }
        let mut marks = Vec::new();
        let mut place = self.start;
        let mut reader = self.records_from(place);
        while let Some(record) = reader.next_record().map_err(damaged)? {
            if (place.records - self.start.records).is_multiple_of(STRIDE) {
                marks.push(place);
            }
            place.pass(record);
        }
        if place != self.end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "records do not end where they should"));
        }
        Ok(self.marks.get_or_init(|| marks))
    }

    /// The last place that is known to be at or before `offset` of `form`.
    fn mark_before(&self, form: Form, offset: u64) -> io::Result<Place> {
        let marks = self.marks()?;
        let after = marks.partition_point(|mark| mark.offset(form) <= offset);
        Ok(after.checked_sub(1).and_then(|index| marks.get(index)).copied().unwrap_or(self.start))
    }

    /// Reads what the log has at byte `offset` in `form`, as far as this segment goes; `offset` lies within it.
    ///
    /// # Errors
    ///
    /// The source's, and [`io::ErrorKind::InvalidData`] where its bytes are not the records they should be.
    pub fn read_at(&self, form: Form, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if form == Form::CANONICAL {
            let left = usize::try_from(self.end.binary.saturating_sub(offset)).unwrap_or(usize::MAX);
            let room = left.min(buffer.len());
            return self.source.read_at(&mut buffer[..room], self.skip + (offset - self.start.binary));
        }
        let mark = self.mark_before(form, offset)?;
        let mut skip = offset - mark.offset(form);
        let mut reader = self.records_from(mark);
        let (mut shown, mut done) = (Vec::new(), 0);
        while done < buffer.len()
            && let Some(record) = reader.next_record().map_err(damaged)?
        {
            shown.clear();
            form.show(record, &mut shown);
            let from = usize::try_from(skip).unwrap_or(usize::MAX).min(shown.len());
            skip -= from as u64;
            let count = (shown.len() - from).min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&shown[from..from + count]);
            done += count;
        }
        Ok(done)
    }

    /// The place of record `number`, counted from the start of the log; the end for one that is behind it.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Segment::read_at).
    pub fn place_of(&self, number: u64) -> io::Result<Place> {
        let marks = self.marks()?;
        let after = marks.partition_point(|mark| mark.records <= number);
        let mut place =
            after.checked_sub(1).and_then(|index| marks.get(index)).copied().unwrap_or(self.start);
        let mut reader = self.records_from(place);
        while place.records < number
            && let Some(record) = reader.next_record().map_err(damaged)?
        {
            place.pass(record);
        }
        Ok(place)
    }
}

impl Segment<Vec<u8>> {
    /// Appends whole records, and leaves things as they are where the bytes are none.
    pub(crate) fn append(&mut self, more: &[u8]) -> Result<(), ReadError> {
        let mut marks = Vec::new();
        let mut end = self.end;
        let mut reader = LogReader::new(more, Bank::Sha1);
        while let Some(record) = reader.next_record()? {
            if (end.records - self.start.records).is_multiple_of(STRIDE) {
                marks.push(end);
            }
            end.pass(record);
        }
        self.source.extend_from_slice(more);
        self.end = end;
        if let Some(known) = self.marks.get_mut() {
            known.extend(marks);
        }
        Ok(())
    }

    /// What is left of the records behind the first `bytes` bytes, which end at `start`.
    pub(crate) fn behind(mut self, bytes: usize, start: Place) -> Segment<Vec<u8>> {
        self.source.drain(..bytes);
        Segment::new(self.source, 0, start, self.end)
    }
}

fn damaged(error: ReadError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
