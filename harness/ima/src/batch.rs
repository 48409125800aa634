//! Many records in one buffer, to be handed to another thread.

use std::ops::Range;

use super::record::RecordRef;

/// Records that own their bytes together; filled by [`LogReader::next_batch`](super::LogReader::next_batch).
#[derive(Debug, Default)]
pub struct Batch {
    buffer: Vec<u8>,
    places: Vec<Place>,
    /// Template names; consecutive records mostly share one.
    templates: Vec<String>,
}

/// Where the parts of a record lie in a buffer.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) pcr: u32,
    /// Index of the template's name in the batch.
    pub(super) template: usize,
    pub(super) digest: Range<usize>,
    pub(super) data: Range<usize>,
    /// Where the record begins in its list, bytes.
    pub(super) offset: u64,
}

impl Place {
    #[inline]
    pub(super) fn record<'a>(&self, buffer: &'a [u8], template: &'a str) -> RecordRef<'a> {
        RecordRef {
            pcr: self.pcr,
            digest: &buffer[self.digest.clone()],
            template,
            data: &buffer[self.data.clone()],
        }
    }
}

impl Batch {
    /// No record.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The records, each with the place where it begins in its list, in bytes.
    pub fn records(&self) -> impl Iterator<Item = (RecordRef<'_>, u64)> {
        self.places
            .iter()
            .map(|place| (place.record(&self.buffer, &self.templates[place.template]), place.offset))
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.templates.clear();
    }

    pub(super) fn push(&mut self, mut place: Place, template: &str) {
        if self.templates.last().is_none_or(|last| last != template) {
            self.templates.push(template.to_owned());
        }
        place.template = self.templates.len() - 1;
        self.places.push(place);
    }

    /// Takes the buffer in which the records lie, and returns another of at least `size` bytes, which begins with
    /// the bytes `rest` of it.
    pub(super) fn swap_buffer(&mut self, buffer: Vec<u8>, rest: Range<usize>, size: usize) -> Vec<u8> {
        let mut other = std::mem::replace(&mut self.buffer, buffer);
        // One that had to grow for a large record is not kept: memory stays as it would be without it.
        other.truncate(size.max(rest.len()));
        other.shrink_to(size.max(rest.len()));
        other.resize(size.max(rest.len()), 0);
        other[..rest.len()].copy_from_slice(&self.buffer[rest]);
        other
    }
}
