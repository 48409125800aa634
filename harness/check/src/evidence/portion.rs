//! What an operation read, where it is.

use std::borrow::Cow;
use std::io::{self, Read};

use imalab_wire::Message;

use imalab_trace::{Event, Seen, Spooled, Unreadable, What};

/// A piece of what an operation read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Portion<'a> {
    /// In memory.
    Here(&'a [u8]),
    /// In the spool.
    There(Spooled<'a>),
}

impl<'a> Portion<'a> {
    /// That of an event; nothing where the event is none of data.
    pub(super) fn of(seen: &Seen<'a>) -> Portion<'a> {
        match seen {
            Seen::Here(Event { what: What::Guest(Message::Data(piece)), .. }) => Portion::Here(&piece.bytes),
            Seen::Here(_) => Portion::Here(&[]),
            Seen::There(_, place) => Portion::There(*place),
        }
    }

    /// Its bytes.
    pub(crate) fn bytes(self) -> Result<Cow<'a, [u8]>, Unreadable> {
        match self {
            Portion::Here(bytes) => Ok(Cow::Borrowed(bytes)),
            Portion::There(place) => match place.event()?.what {
                What::Guest(Message::Data(piece)) => Ok(Cow::Owned(piece.bytes)),
                _ => Ok(Cow::Borrowed(&[])),
            },
        }
    }
}

/// The pieces of one operation's data, one after the other.
pub(crate) struct Pieces<'p, 'a> {
    pieces: std::slice::Iter<'p, Portion<'a>>,
    current: Cow<'a, [u8]>,
    /// Bytes of it that were read.
    done: usize,
}

impl<'p, 'a> Pieces<'p, 'a> {
    pub(crate) fn new(pieces: &'p [Portion<'a>]) -> Pieces<'p, 'a> {
        Pieces { pieces: pieces.iter(), current: Cow::Borrowed(&[]), done: 0 }
    }
}

impl Read for Pieces<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.done == self.current.len() {
            match self.pieces.next() {
                Some(piece) => (self.current, self.done) = (piece.bytes().map_err(io::Error::other)?, 0),
                None => return Ok(0),
            }
        }
        let read = (&self.current[self.done..]).read(into)?;
        self.done += read;
        Ok(read)
    }
}
