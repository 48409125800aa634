//! Reads the binary form of the measurement list.

use std::io::{self, Read};

use super::batch::{Batch, Place};
use super::field::{ByteOrder, Fields};
use super::read_error::{Part, Problem, ReadError};
use super::record::{Record, RecordRef};
use super::{Bank, template};

/// Longest template name, bytes: a format of 15 fields of 16 bytes with separators
/// (`IMA_TEMPLATE_NUM_FIELDS_MAX`, `IMA_TEMPLATE_FIELD_ID_MAX_LEN`, `security/integrity/ima/ima.h`).
pub const NAME_MAX: usize = 15 * 16 + 14;

/// Longest template data that are believed, bytes.
///
/// The kernel names no limit. The largest things it logs are a signature in an extended attribute (64 KiB,
/// `XATTR_SIZE_MAX`), a signature appended to a module, and a buffer such as the command line of kexec or a
/// key. A length above this comes from a list that is damaged or was read as that of another bank; without
/// the limit it would be a request for 4 GiB of memory.
pub const DATA_MAX: usize = 16 << 20;

/// PCR indices are below this: `INVALID_PCR`, `security/integrity/ima/ima_policy.c`, allows a policy rule the
/// bits of `measured_pcrs`, an unsigned long.
pub const PCR_LIMIT: u32 = 64;

/// Bytes to ask the source for at once; few enough for a core's own cache.
const CHUNK: usize = 256 << 10;

/// Bytes of the first buffer: many a list is read of which there is less, and a large buffer takes longer to make than such a list to read.
const FIRST: usize = 8 << 10;

/// Reads records one after the other out of the binary form, in constant memory.
///
/// The form is `ima_measurements_show` in `security/integrity/ima/ima_fs.c`: PCR, template digest of the
/// view's bank, length and name of the template, length and content of the data.
#[derive(Debug)]
pub struct LogReader<R> {
    source: R,
    view: Bank,
    order: ByteOrder,
    buffer: Vec<u8>,
    /// What is read and not yet handed out: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Whether the buffer's content may be moved to make room for more.
    may_read: bool,
    /// The template of the record before, and how many fields its name tells: mostly the next one has the same.
    template: String,
    fields: Option<usize>,
    /// Place of `buffer[start]` in the list.
    offset: u64,
    number: u64,
    done: bool,
}

/// What stops a record from being parsed, and where, in bytes from the record's start.
struct Fault {
    at: usize,
    problem: Problem,
}

impl<R: Read> LogReader<R> {
    /// Reads from `source`, which is little-endian and the file of bank `view`. The file without a suffix is
    /// that of SHA-1.
    ///
    /// No buffering is needed underneath: the source is asked for 8 KiB, and then for 256 KiB at a time.
    pub fn new(source: R, view: Bank) -> LogReader<R> {
        LogReader {
            source,
            view,
            order: ByteOrder::Little,
            buffer: vec![0; FIRST],
            start: 0,
            end: 0,
            may_read: true,
            template: String::new(),
            fields: None,
            offset: 0,
            number: 0,
            done: false,
        }
    }

    /// Takes the numbers in the list to be in this byte order.
    #[must_use]
    pub fn byte_order(mut self, order: ByteOrder) -> LogReader<R> {
        self.order = order;
        self
    }

    /// How many records were handed out.
    pub fn records(&self) -> u64 {
        self.number
    }

    /// How many bytes of the list they take.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, which stays where it is until the next call; `None` at the end of the list.
    ///
    /// # Errors
    ///
    /// [`ReadError`], once; after it the list is at its end.
    pub fn next_record(&mut self) -> Result<Option<RecordRef<'_>>, ReadError> {
        if self.done {
            return Ok(None);
        }
        self.may_read = true;
        match self.parse() {
            Ok(Some(place)) => {
                self.pass(&place);
                Ok(Some(place.record(&self.buffer, &self.template)))
            }
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Puts the records that come with one look at the source, at least one, into `batch` in place of what it
    /// held; `false` at the end of the list. No record is copied: the batch takes the reader's buffer, and the
    /// reader goes on in that of the batch.
    ///
    /// # Errors
    ///
    /// [`ReadError`], once, when the first record of a batch is not well-formed; the records before it have come
    /// in a batch of their own.
    pub fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        batch.clear();
        if self.done {
            return Ok(false);
        }
        self.may_read = true;
        loop {
            match self.parse() {
                Ok(Some(place)) => {
                    self.pass(&place);
                    batch.push(place, &self.template);
                    // From here on, reading would move what the batch refers to.
                    self.may_read = false;
                }
                Ok(None) if batch.is_empty() => {
                    self.done = true;
                    return Ok(false);
                }
                Err(fault) if batch.is_empty() => return Err(self.fail(fault)),
                // The next batch begins with it, and reads more, or tells what is wrong.
                Ok(None) | Err(_) => break,
            }
        }
        self.buffer = batch.swap_buffer(std::mem::take(&mut self.buffer), self.start..self.end, CHUNK);
        (self.start, self.end) = (0, self.end - self.start);
        Ok(true)
    }

    fn pass(&mut self, place: &Place) {
        self.offset += (place.data.end - self.start) as u64;
        self.start = place.data.end;
        self.number += 1;
    }

    fn fail(&mut self, fault: Fault) -> ReadError {
        self.done = true;
        ReadError { record: self.number + 1, offset: self.offset + fault.at as u64, problem: fault.problem }
    }

    /// Finds the next record's parts and leaves it where it is; `None` when there is no byte of it.
    fn parse(&mut self) -> Result<Option<Place>, Fault> {
        if self.fill(1).map_err(|error| Fault { at: 0, problem: Problem::Io(error) })? == 0 {
            return Ok(None);
        }
        let pcr = self.number(Part::Pcr, 0, 0, PCR_LIMIT as usize - 1)?;
        let digest_end = 4 + self.view.digest_size();
        self.need(Part::Digest, 4, self.view.digest_size())?;
        let length = self.number(Part::NameLength, digest_end, 1, NAME_MAX)? as usize;
        let name = digest_end + 4;
        self.need(Part::Name, name, length)?;
        self.know_template(name, length)?;
        let at = name + length;
        let data = if self.template == template::LEGACY {
            self.need(Part::LegacyDigest, at, template::LEGACY_DIGEST)?;
            let length_at = at + template::LEGACY_DIGEST;
            let length =
                self.number(Part::LegacyNameLength, length_at, 0, template::LEGACY_NAME_MAX)? as usize;
            self.need(Part::LegacyName, length_at + 4, length)?;
            at..length_at + 4 + length
        } else {
            let length = self.number(Part::DataLength, at, 0, DATA_MAX)? as usize;
            self.need(Part::Data, at + 4, length)?;
            let data = at + 4..at + 4 + length;
            self.fields_fit(&data)?;
            data
        };
        let start = self.start;
        Ok(Some(Place {
            pcr,
            template: 0,
            digest: start + 4..start + digest_end,
            data: start + data.start..start + data.end,
            offset: self.offset,
        }))
    }

    /// Makes `self.template` the name at byte `at` of the record, when it is a name.
    fn know_template(&mut self, at: usize, length: usize) -> Result<(), Fault> {
        let name = &self.buffer[self.start + at..][..length];
        if name == self.template.as_bytes() {
            return Ok(());
        }
        if !name.iter().all(u8::is_ascii_graphic) {
            return Err(Fault { at, problem: Problem::Name(name.to_vec()) });
        }
        self.template.clear();
        self.template.extend(name.iter().copied().map(char::from));
        self.fields = template::format_of(&self.template).map(|format| format.split('|').count());
        Ok(())
    }

    /// Checks that the data are the template's fields.
    fn fields_fit(&self, data: &std::ops::Range<usize>) -> Result<(), Fault> {
        let bytes = &self.buffer[self.start..][data.clone()];
        let (mut rest, mut count) = (bytes, 0);
        while let Some((length, after)) = rest.split_first_chunk() {
            let Some(after) = after.get(self.order.u32(*length) as usize..) else { break };
            rest = after;
            count += 1;
        }
        if rest.is_empty() && self.fields.is_none_or(|fields| fields == count) {
            return Ok(());
        }
        for field in Fields::new(&self.template, bytes, self.order) {
            field.map_err(|fault| Fault {
                at: data.start + fault.offset,
                problem: Problem::Data { template: self.template.clone(), fault: Box::new(fault) },
            })?;
        }
        Ok(())
    }

    /// The number at byte `at` of the record, which has to be from `least` to `most`.
    fn number(&mut self, part: Part, at: usize, least: u32, most: usize) -> Result<u32, Fault> {
        self.need(part, at, 4)?;
        let bytes = &self.buffer[self.start + at..][..4];
        let found = self.order.u32([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if found < least || found as usize > most {
            let problem = Problem::Range { part, least, most: most as u32, found };
            return Err(Fault { at, problem });
        }
        Ok(found)
    }

    /// Makes sure that `length` bytes of `part` from byte `at` of the record are in the buffer.
    #[inline]
    fn need(&mut self, part: Part, at: usize, length: usize) -> Result<(), Fault> {
        if self.end - self.start >= at + length {
            return Ok(());
        }
        let have = self.fill(at + length).map_err(|error| Fault { at, problem: Problem::Io(error) })?;
        if have < at + length {
            let problem = Problem::Truncated { part, expected: length, found: have - at };
            return Err(Fault { at, problem });
        }
        Ok(())
    }

    /// Reads until `wanted` bytes of the record are in the buffer, the source has ended, or nothing may be
    /// read; how many there are.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        while self.end - self.start < wanted && self.may_read {
            if self.end == self.buffer.len() && self.end < CHUNK {
                self.buffer.resize(CHUNK, 0);
            }
            if self.start > 0 && self.start + wanted > self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end == self.buffer.len() {
                // Grows with what has arrived, not with what a length claims.
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end - self.start)
    }
}

impl<R: Read> Iterator for LogReader<R> {
    type Item = Result<Record, ReadError>;

    /// The next record, as a copy of its own.
    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().map(|record| record.map(|record| record.to_owned())).transpose()
    }
}

/// Reads a whole little-endian list, the file of bank `view`, out of memory.
///
/// # Errors
///
/// [`ReadError`] at the first record that is not well-formed.
pub fn parse_log(list: &[u8], view: Bank) -> Result<Vec<Record>, ReadError> {
    LogReader::new(list, view).collect()
}
