//! Where the many and large events of a run are: in a file without a name, to be read one after the other.
//!
//! A million records are a million TPM commands and as many lines of lists: gigabytes, if all were in memory. Who reads
//! them here holds a portion. What few events there are in a short run never leave the buffer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use imalab_wire::Message;

use super::{Event, What};
use crate::spill::Spill;

/// Bytes that are read at once.
const PORTION: usize = 256 * 1024;

/// Bytes of the length before each event.
const LENGTH: usize = 4;

/// Events that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("the run's events cannot be read back from its scratch file, from byte {at} on")]
pub struct Unreadable {
    at: u64,
    source: io::Error,
}

impl What {
    /// Whether it is one of the many or large ones.
    pub fn is_bulk(&self) -> bool {
        matches!(self, What::Tpm(_) | What::Guest(Message::Data(_)))
    }
}

/// Takes events.
#[derive(Debug, Default)]
pub(super) struct Spooler {
    /// Where they go, when not into memory.
    spill: Option<Spill>,
}

impl Spooler {
    /// Puts them into a file in `folder`. Where that is not possible they stay in memory.
    pub(super) fn within(folder: &Path) -> Spooler {
        Spooler { spill: Spill::within(folder) }
    }

    /// Whether an event belongs here.
    pub(super) fn takes(&self, event: &Event) -> bool {
        self.spill.is_some() && event.what.is_bulk()
    }

    /// Adds an event, or gives it back.
    pub(super) fn push(&mut self, event: Event) -> Option<Event> {
        let Some(spill) = &mut self.spill else { return Some(event) };
        let Ok(bytes) = postcard::to_stdvec(&event) else { return Some(event) };
        let Ok(length) = u32::try_from(bytes.len()) else { return Some(event) };
        spill.push(&length.to_le_bytes());
        spill.push(&bytes);
        None
    }

    /// All that was added.
    pub(super) fn finish(self) -> Spool {
        Spool { spill: self.spill.map(Arc::new) }
    }
}

/// Events in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Spool {
    /// None where everything stayed in memory.
    spill: Option<Arc<Spill>>,
}

impl Spool {
    fn len(&self) -> u64 {
        self.spill.as_ref().map_or(0, |spill| spill.len())
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.spill.as_ref().map_or(Ok(0), |spill| spill.read(at, buffer))
    }

    /// All events, each with its place.
    pub(super) fn iter(&self) -> Reader<'_> {
        Reader { spool: self, at: 0, portion: Vec::new(), from: 0 }
    }
}

/// A place in a spool.
#[derive(Clone, Copy, Debug)]
pub struct Spooled<'s> {
    spool: &'s Spool,
    at: u64,
}

impl Spooled<'_> {
    /// The event there.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub fn event(self) -> Result<Event, Unreadable> {
        let mut reader = Reader { at: self.at, ..self.spool.iter() };
        match reader.next_event() {
            Ok(Some((_, event))) => Ok(event),
            Ok(None) => Err(reader.error(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(error),
        }
    }
}

/// Reads events one after the other. After the first error there is no more.
#[derive(Debug)]
pub(super) struct Reader<'s> {
    spool: &'s Spool,
    /// Where the next event begins.
    at: u64,
    portion: Vec<u8>,
    /// Where the portion begins.
    from: u64,
}

impl<'s> Reader<'s> {
    fn error(&self, source: io::Error) -> Unreadable {
        Unreadable { at: self.at, source }
    }

    fn next_event(&mut self) -> Result<Option<(Spooled<'s>, Event)>, Unreadable> {
        let Some(length) = self.bytes(self.at, LENGTH)? else { return Ok(None) };
        let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let begin = self.at + LENGTH as u64;
        let Some(bytes) = self.bytes(begin, length)? else {
            return Err(self.error(io::ErrorKind::UnexpectedEof.into()));
        };
        let event = postcard::from_bytes(bytes);
        let event = event.map_err(|error| self.error(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        let place = Spooled { spool: self.spool, at: self.at };
        self.at = begin + length as u64;
        Ok(Some((place, event)))
    }

    /// So many bytes at a place; none where the spool has not so many.
    fn bytes(&mut self, at: u64, length: usize) -> Result<Option<&[u8]>, Unreadable> {
        let skip = |from: u64| usize::try_from(at.checked_sub(from)?).ok();
        let has =
            |skip: usize, portion: &[u8]| portion.len().checked_sub(skip).is_some_and(|left| left >= length);
        if !skip(self.from).is_some_and(|skip| has(skip, &self.portion)) {
            self.portion.resize(length.max(PORTION), 0);
            let mut got = 0;
            while got < self.portion.len() {
                let more = self.spool.read(at + got as u64, &mut self.portion[got..]);
                match more.map_err(|source| Unreadable { at, source })? {
                    0 => break,
                    more => got += more,
                }
            }
            self.portion.truncate(got);
            self.from = at;
        }
        let skip = skip(self.from).filter(|skip| has(*skip, &self.portion));
        Ok(skip.map(|skip| &self.portion[skip..skip + length]))
    }
}

impl<'s> Iterator for Reader<'s> {
    type Item = Result<(Spooled<'s>, Event), Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_event().transpose();
        if let Some(Err(_)) = item {
            self.at = self.spool.len();
        }
        item
    }
}
