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

/// Why a log that was read cannot go on: what is there now is not what was read.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// See [`Gap`].
    #[error(transparent)]
    Gap(#[from] Gap),
    /// The pieces have other records, or fewer, than they had.
    #[error("records after record {0} have changed")]
    Other(u64),
    /// The kernel's list is none.
    #[error(transparent)]
    Records(#[from] NotRecords),
    /// A piece cannot be read.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
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

    /// Says what the kernel holds now, as [`set_tail`](Log::set_tail) does: it begins with what it was said to hold before.
    ///
    /// # Errors
    ///
    /// [`Broken`] where it does not; the log is what it was.
    pub fn follow(&mut self, list: Vec<u8>) -> Result<(), Broken> {
        let kept = self.kept();
        let Some(tail) = &mut self.tail else { return Ok(self.set_tail(list)?) };
        match list.strip_prefix(tail.source().as_slice()) {
            Some(more) => Ok(tail.append(more).map_err(NotRecords)?),
            None => Err(Broken::Other(kept.records)),
        }
    }

    /// Appends a segment of records that the kernel was said to hold, or will have held: what it has of them is forgotten, and what it
    /// has behind them is not.
    ///
    /// # Errors
    ///
    /// [`Broken`] where the kernel was said to hold others; the log is what it was.
    pub fn keep(&mut self, segment: Segment<S>) -> Result<(), Broken> {
        let (start, end) = (segment.start(), segment.end());
        if start != self.kept() {
            return Err(Gap { end: self.kept(), start }.into());
        }
        let Some(tail) = &self.tail else { return Ok(self.push(segment)?) };
        let known = tail.source();
        let length = usize::try_from(end.binary - start.binary).map_err(io::Error::other)?;
        let both = length.min(known.len());
        let mut kept = vec![0; both];
        let mut done = 0;
        while done < both {
            match segment.read_at(Form::CANONICAL, start.binary + done as u64, &mut kept[done..])? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                more => done += more,
            }
        }
        if kept != known[..both] {
            return Err(Broken::Other(start.records));
        }
        self.segments.push(segment);
        self.tail = self.tail.take().filter(|_| both == length).map(|tail| tail.behind(length, end));
        Ok(())
    }

    /// Goes on as `next`, which begins with all that there is in this one.
    ///
    /// # Errors
    ///
    /// [`Broken`] where it does not; what was taken over until then has been in both.
    pub fn go_on_as(&mut self, next: Log<S>) -> Result<(), Broken> {
        let known = self.segments.len();
        let ends = |log: &Log<S>| log.segments.iter().take(known).map(Segment::end).collect::<Vec<_>>();
        if ends(self) != ends(&next) {
            return Err(Broken::Other(0));
        }
        for segment in next.segments.into_iter().skip(known) {
            self.keep(segment)?;
        }
        self.follow(next.tail.map(Segment::into_source).unwrap_or_default())
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
