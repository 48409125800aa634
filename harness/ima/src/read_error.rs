//! What can be wrong with the binary form of the measurement list.

use std::fmt;
use std::io;

use super::DataError;

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
        fault: Box<DataError>,
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
