//! Reads the binary form of the measurement list.

use std::fmt;
use std::io::{self, Read};

use super::field::{ByteOrder, DataError};
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

/// Bytes to ask the source for at once.
const CHUNK: usize = 256 << 10;

/// A list that is not well-formed, or could not be read.
#[derive(Debug, thiserror::Error)]
#[error("record {record}, byte {offset}: {problem}")]
pub struct ReadError {
    /// Which record, from 1.
    pub record: u64,
    /// Where the part of the record begins that is wrong, in bytes from the start of the list.
    pub offset: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a list at some place.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The list ends inside a record.
    #[error("expected {expected} bytes of {part}, found the end of the list after {found}")]
    Truncated {
        /// Which part of the record.
        part: Part,
        /// Its size, bytes.
        expected: usize,
        /// How much of it there is, bytes.
        found: usize,
    },
    /// A number is out of its range.
    #[error("expected {part} of {least} to {most}, found {found} ({found:#010x})")]
    Range {
        /// Which part of the record.
        part: Part,
        /// Smallest that can be.
        least: u32,
        /// Largest that can be.
        most: u32,
        /// What the list has.
        found: u32,
    },
    /// The template name has bytes that no name has.
    #[error("expected a template name of printable ASCII, found \"{}\"", .0.escape_ascii())]
    Name(Vec<u8>),
    /// The template data are not the template's fields.
    #[error("template data of `{template}`: {fault}")]
    Data {
        /// The template.
        template: String,
        /// What does not fit.
        fault: DataError,
    },
    /// The list could not be read.
    #[error("cannot read: {0}")]
    Io(io::Error),
}

/// A part of a record in the binary list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Index of the PCR, 4 bytes.
    Pcr,
    /// Template digest, of the view's digest size.
    Digest,
    /// Length of the template's name, 4 bytes.
    NameLength,
    /// Name of the template.
    Name,
    /// Length of the template data, 4 bytes; the template `ima` has none.
    DataLength,
    /// Template data.
    Data,
    /// File digest of the template `ima`.
    LegacyDigest,
    /// Length of the file name of the template `ima`, 4 bytes.
    LegacyNameLength,
    /// File name of the template `ima`.
    LegacyName,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Pcr => "PCR index",
            Part::Digest => "template digest",
            Part::NameLength => "template name length",
            Part::Name => "template name",
            Part::DataLength => "template data length",
            Part::Data => "template data",
            Part::LegacyDigest => "file digest",
            Part::LegacyNameLength => "file name length",
            Part::LegacyName => "file name",
        })
    }
}

/// Reads records one after the other out of the binary form, in constant memory.
///
/// The form is `ima_measurements_show` in `security/integrity/ima/ima_fs.c`: PCR, template digest of the
/// view's bank, length and name of the template, length and content of the data.
#[derive(Debug)]
pub struct LogReader<R> {
    source: R,
    view: Bank,
    order: ByteOrder,
    check_fields: bool,
    buffer: Vec<u8>,
    /// What is read and not yet handed out: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Place of `buffer[start]` in the list.
    offset: u64,
    number: u64,
    done: bool,
}

impl<R: Read> LogReader<R> {
    /// Reads from `source`, which is little-endian and the file of bank `view`. The file without a suffix is
    /// that of SHA-1.
    ///
    /// No buffering is needed underneath: the source is asked for 256 KiB at a time.
    pub fn new(source: R, view: Bank) -> LogReader<R> {
        LogReader {
            source,
            view,
            order: ByteOrder::Little,
            check_fields: true,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
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

    /// Leaves it to the caller to look whether a record's data are the fields of its template.
    #[must_use]
    pub fn without_field_check(mut self) -> LogReader<R> {
        self.check_fields = false;
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
        match self.parse() {
            Ok(Some(shape)) => {
                let at = self.start;
                self.start += shape.end;
                self.offset += shape.end as u64;
                self.number += 1;
                Ok(Some(shape.record(&self.buffer[at..self.start], self.view)))
            }
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Err(Fault { at, problem }) => {
                self.done = true;
                Err(ReadError { record: self.number + 1, offset: self.offset + at as u64, problem })
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Shape>, Fault> {
        if self.fill(1).map_err(|error| Fault { at: 0, problem: Problem::Io(error) })? == 0 {
            return Ok(None);
        }
        let pcr = self.number(Part::Pcr, 0, 0, PCR_LIMIT as usize - 1)?;
        let mut at = 4;
        self.need(Part::Digest, at, self.view.digest_size())?;
        at += self.view.digest_size();
        let length = self.number(Part::NameLength, at, 1, NAME_MAX)? as usize;
        at += 4;
        let name = at..at + length;
        self.need(Part::Name, at, length)?;
        at += length;
        let text = &self.buffer[self.start..][name.clone()];
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(Fault { at: name.start, problem: Problem::Name(text.to_vec()) });
        }
        let data = if text == template::LEGACY.as_bytes() {
            self.need(Part::LegacyDigest, at, template::LEGACY_DIGEST)?;
            let length_at = at + template::LEGACY_DIGEST;
            let length = self.number(Part::LegacyNameLength, length_at, 0, template::LEGACY_NAME_MAX)?;
            self.need(Part::LegacyName, length_at + 4, length as usize)?;
            at..length_at + 4 + length as usize
        } else {
            let length = self.number(Part::DataLength, at, 0, DATA_MAX)? as usize;
            self.need(Part::Data, at + 4, length)?;
            at + 4..at + 4 + length
        };
        let shape = Shape { pcr, name, end: data.end, data };
        if self.check_fields {
            self.fields_fit(&shape)?;
        }
        Ok(Some(shape))
    }

    fn fields_fit(&self, shape: &Shape) -> Result<(), Fault> {
        let record = shape.record(&self.buffer[self.start..][..shape.end], self.view);
        for field in record.fields(self.order) {
            field.map_err(|fault| Fault {
                at: shape.data.start + fault.offset,
                problem: Problem::Data { template: record.template.to_owned(), fault },
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
    fn need(&mut self, part: Part, at: usize, length: usize) -> Result<(), Fault> {
        let have = self.fill(at + length).map_err(|error| Fault { at, problem: Problem::Io(error) })?;
        if have < at + length {
            let problem = Problem::Truncated { part, expected: length, found: have - at };
            return Err(Fault { at, problem });
        }
        Ok(())
    }

    /// Reads until `wanted` bytes of the record are in the buffer or the source has ended; how many there are.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        while self.end - self.start < wanted {
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

/// Where the parts of a record lie, in bytes from its start.
struct Shape {
    pcr: u32,
    name: std::ops::Range<usize>,
    data: std::ops::Range<usize>,
    end: usize,
}

impl Shape {
    fn record<'a>(&self, bytes: &'a [u8], view: Bank) -> RecordRef<'a> {
        RecordRef {
            pcr: self.pcr,
            digest: &bytes[4..4 + view.digest_size()],
            // Only printable ASCII passed, so the fallback is never taken.
            template: std::str::from_utf8(&bytes[self.name.clone()]).unwrap_or_default(),
            data: &bytes[self.data.clone()],
        }
    }
}

struct Fault {
    /// Bytes from the start of the record.
    at: usize,
    problem: Problem,
}
