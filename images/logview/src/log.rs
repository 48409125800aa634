//! The one log.

use std::io;

use crate::form::Form;
use crate::place::Place;
use crate::segment::Segment;
use crate::shard::NotRecords;
use crate::source::ReadAt;

/// The log of a machine since its last cold boot: segments, oldest first, and what the kernel still holds.
#[derive(Debug)]
pub struct Log<S> {
    segments: Vec<Segment<S>>,
    tail: Option<Segment<Vec<u8>>>,
}

/// A segment does not begin where the one before it ends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("records {} to {} are in none of the pieces", .end.records, .start.records)]
pub struct Gap {
    /// Where the log ends so far.
    pub end: Place,
    /// Where the segment begins.
    pub start: Place,
}

impl<S> Default for Log<S> {
    fn default() -> Log<S> {
        Log { segments: Vec::new(), tail: None }
    }
}

impl<S: ReadAt> Log<S> {
    /// A log of nothing.
    pub fn new() -> Log<S> {
        Log::default()
    }

    /// Appends a segment, and forgets what the kernel was said to hold.
    ///
    /// # Errors
    ///
    /// When it does not begin where the log ends.
    pub fn push(&mut self, segment: Segment<S>) -> Result<(), Gap> {
        self.tail = None;
        if segment.start() != self.end() {
            return Err(Gap { end: self.end(), start: segment.start() });
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Where the segments end and the kernel's records begin.
    pub fn kept(&self) -> Place {
        self.segments.last().map(Segment::end).unwrap_or_default()
    }

    /// Where the log ends.
    pub fn end(&self) -> Place {
        self.tail.as_ref().map_or_else(|| self.kept(), Segment::end)
    }

    /// Says what the kernel holds behind the segments: staged records, then current ones, in the canonical form.
    ///
    /// # Errors
    ///
    /// When the bytes are not whole records.
    pub fn set_tail(&mut self, list: Vec<u8>) -> Result<(), NotRecords> {
        let start = self.kept();
        let mut end = start;
        end.pass_all(&list).map_err(NotRecords)?;
        self.tail = Some(Segment::new(list, 0, start, end));
        Ok(())
    }

    /// How many bytes the log has in `form`.
    pub fn size(&self, form: Form) -> u64 {
        self.end().offset(form)
    }

    /// Reads what the log has at byte `offset` in `form`; 0 at its end and behind.
    ///
    /// # Errors
    ///
    /// See [`Segment::read_at`].
    pub fn read_at(&self, form: Form, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let first = self.segments.partition_point(|segment| segment.end().offset(form) <= offset);
        let mut done = 0;
        for segment in &self.segments[first..] {
            if done == buffer.len() {
                return Ok(done);
            }
            let end = segment.end().offset(form);
            while done < buffer.len() && offset + (done as u64) < end {
                match segment.read_at(form, offset + done as u64, &mut buffer[done..])? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => done += more,
                }
            }
        }
        if let Some(tail) = &self.tail
            && done < buffer.len()
            && offset + (done as u64) < tail.end().offset(form)
        {
            done += tail.read_at(form, offset + done as u64, &mut buffer[done..])?;
        }
        Ok(done)
    }

    /// The place of record `number`; the end for one that is not there yet.
    ///
    /// # Errors
    ///
    /// See [`Segment::read_at`].
    pub fn place_of(&self, number: u64) -> io::Result<Place> {
        let first = self.segments.partition_point(|segment| segment.end().records <= number);
        match (self.segments.get(first), &self.tail) {
            (Some(segment), _) => segment.place_of(number),
            (None, Some(tail)) => tail.place_of(number),
            (None, None) => Ok(self.kept()),
        }
    }
}
