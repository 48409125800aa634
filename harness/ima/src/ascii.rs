//! The ASCII form of the measurement list: rendering and parsing of its lines.

use std::io::{self, BufRead, Read};

use super::field::{ByteOrder, Field};
use super::record::{Record, RecordRef};
use super::template::{self, FieldKind};
use super::{Bank, DATA_MAX, PCR_LIMIT};

/// Longest line that is believed, bytes: [`DATA_MAX`] in hexadecimal, and room for the rest.
const LINE_MAX: u64 = 2 * DATA_MAX as u64 + 4096;

/// A record as its line in the ASCII form shows it.
///
/// Lines of one record are equal however they were had: parsed from the kernel's text, or rendered from the
/// binary form with [`AsciiLine::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsciiLine {
    /// Index of the PCR.
    pub pcr: u32,
    /// Template digest of the view's bank.
    pub digest: Vec<u8>,
    /// Template name.
    pub template: String,
    /// The text of each field; not necessarily UTF-8, since a file name need not be.
    pub fields: Vec<Vec<u8>>,
}

/// Why a record cannot be shown in the ASCII form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The data are not the template's fields.
    #[error(transparent)]
    Data(#[from] super::DataError),
    /// A field does not hold what its kind says.
    #[error("field `{id}`: expected {expected}")]
    Field {
        /// The field.
        id: String,
        /// What it should hold.
        expected: &'static str,
    },
}

/// A line that is not a record.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, byte {offset}: {problem}")]
pub struct AsciiError {
    /// Which line, from 1.
    pub line: u64,
    /// Where the line begins, bytes from the start of the list.
    pub offset: u64,
    /// What is wrong.
    pub problem: AsciiProblem,
}

/// What is wrong with a line of the ASCII form.
#[derive(Debug, thiserror::Error)]
pub enum AsciiProblem {
    /// Something else was expected at some place.
    #[error("expected {expected}, found \"{found}\"")]
    Expected {
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The line has no end.
    #[error("expected a line end, found the end of the list")]
    Unfinished,
    /// The line is longer than any record.
    #[error("expected a line of at most {LINE_MAX} bytes")]
    TooLong,
    /// The template's name does not tell what its fields hold.
    #[error("expected a template whose fields are known, found `{0}`")]
    UnknownTemplate(String),
    /// The list could not be read.
    #[error("cannot read: {0}")]
    Io(io::Error),
}

fn expected(what: impl Into<String>, found: &[u8]) -> AsciiProblem {
    let shown = &found[..found.len().min(80)];
    AsciiProblem::Expected { expected: what.into(), found: shown.escape_ascii().to_string() }
}

impl AsciiLine {
    /// The line of a record of a list in byte order `order`.
    ///
    /// Fields that no known template has are shown in hexadecimal.
    ///
    /// # Errors
    ///
    /// [`TextError`] when the data are not what the template says.
    pub fn of<'a>(record: impl Into<RecordRef<'a>>, order: ByteOrder) -> Result<AsciiLine, TextError> {
        let record = record.into();
        let fields = record
            .fields(order)
            .map(|field| field_text(&field?, order))
            .collect::<Result<Vec<_>, TextError>>()?;
        Ok(AsciiLine {
            pcr: record.pcr,
            digest: record.digest.to_vec(),
            template: record.template.to_owned(),
            fields,
        })
    }

    /// The bytes of the line as the kernel prints it, with its line end (`ima_ascii_measurements_show`,
    /// `security/integrity/ima/ima_fs.c`). An empty field leaves its space behind.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut line = format!("{:2} {} {}", self.pcr, hex::encode(&self.digest), self.template).into_bytes();
        for field in &self.fields {
            line.push(b' ');
            line.extend_from_slice(field);
        }
        line.push(b'\n');
        line
    }

    /// Parses a line without its line end, of the file of bank `view`.
    ///
    /// # Errors
    ///
    /// [`AsciiProblem`] that names what was expected where.
    pub fn parse(line: &[u8], view: Bank) -> Result<AsciiLine, AsciiProblem> {
        // "%2d": one space in front of an index below ten.
        let rest = line.strip_prefix(b" ").unwrap_or(line);
        let mut parts = rest.split(|byte| *byte == b' ');
        let mut part = || parts.next().unwrap_or_default();

        let text = part();
        let pcr = std::str::from_utf8(text)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|pcr| *pcr < PCR_LIMIT)
            .ok_or_else(|| expected(format!("a PCR index below {PCR_LIMIT}"), text))?;
        let text = part();
        let digest = hex::decode(text)
            .ok()
            .filter(|digest| digest.len() == view.digest_size())
            .ok_or_else(|| expected(format!("a {view} digest in hexadecimal"), text))?;
        let text = part();
        if text.is_empty() || text.len() > super::NAME_MAX || !text.iter().all(u8::is_ascii_graphic) {
            return Err(expected("a template name", text));
        }
        let template = String::from_utf8_lossy(text).into_owned();
        let fields: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
        if let Some(format) = template::format_of(&template) {
            let wanted = format.split('|').count();
            if fields.len() != wanted {
                let what = format!("{wanted} fields of template `{template}`, each after a space");
                return Err(expected(what, format!("{} fields", fields.len()).as_bytes()));
            }
        }
        Ok(AsciiLine { pcr, digest, template, fields })
    }

    /// The record that the line shows, its data built anew for byte order `order`.
    ///
    /// # Errors
    ///
    /// [`AsciiProblem`] for a template whose fields are not known, and for a field that is not the text of
    /// its kind.
    pub fn to_record(&self, order: ByteOrder) -> Result<Record, AsciiProblem> {
        let format = template::format_of(&self.template)
            .ok_or_else(|| AsciiProblem::UnknownTemplate(self.template.clone()))?;
        let legacy = self.template == template::LEGACY;
        let mut data = Vec::new();
        for (id, text) in format.split('|').zip(&self.fields) {
            let kind = template::field_kind(id)
                .ok_or_else(|| AsciiProblem::UnknownTemplate(self.template.clone()))?;
            let mut content = field_data(id, kind, text, order)?;
            match (legacy, kind) {
                (true, FieldKind::Digest) if content.len() != template::LEGACY_DIGEST => {
                    return Err(expected("a file digest of 20 bytes in hexadecimal", text));
                }
                (true, FieldKind::Digest) => {}
                // The binary form of this template leaves the name's NUL out.
                (true, _) => {
                    content.pop();
                    data.extend_from_slice(&order.bytes(content.len() as u32));
                }
                (false, _) => data.extend_from_slice(&order.bytes(content.len() as u32)),
            }
            data.extend_from_slice(&content);
        }
        Ok(Record { pcr: self.pcr, digest: self.digest.clone(), template: self.template.clone(), data })
    }
}

/// What `ima_show_template_data_ascii` (`security/integrity/ima/ima_template_lib.c`) prints for a field.
fn field_text(field: &Field<'_>, order: ByteOrder) -> Result<Vec<u8>, TextError> {
    let wrong = |expected| TextError::Field { id: field.id.unwrap_or("?").to_owned(), expected };
    let data = field.data;
    if data.is_empty() {
        return Ok(Vec::new());
    }
    Ok(match field.kind() {
        FieldKind::Digest | FieldKind::Bytes => hex::encode(data).into_bytes(),
        FieldKind::TaggedDigest => {
            let tag = until_nul(data);
            if tag.last() != Some(&b':') || tag.len() == data.len() {
                return Err(wrong("`<algorithm>:`, a NUL, a digest"));
            }
            // A tag of a colon alone is not printed.
            let shown: &[u8] = if tag.len() > 1 { tag } else { b"" };
            [shown, hex::encode(&data[tag.len() + 1..]).as_bytes()].concat()
        }
        FieldKind::Text => until_nul(data).to_vec(),
        FieldKind::Number(_) => {
            if ![1, 2, 4, 8].contains(&data.len()) {
                return Err(wrong("a number of 1, 2, 4 or 8 bytes"));
            }
            order.u64(data).to_string().into_bytes()
        }
    })
}

/// The bytes of a field of which `text` is shown.
fn field_data(id: &str, kind: FieldKind, text: &[u8], order: ByteOrder) -> Result<Vec<u8>, AsciiProblem> {
    let unhex =
        |text: &[u8]| hex::decode(text).map_err(|_| expected(format!("field `{id}` in hexadecimal"), text));
    Ok(match kind {
        FieldKind::Digest | FieldKind::Bytes => unhex(text)?,
        FieldKind::TaggedDigest if text.is_empty() => Vec::new(),
        FieldKind::TaggedDigest => {
            let colon = text.iter().rposition(|byte| *byte == b':');
            let (tag, digest): (&[u8], &[u8]) =
                colon.map_or((b":", text), |colon| (&text[..=colon], &text[colon + 1..]));
            [tag, b"\0", &unhex(digest)?].concat()
        }
        // evm_read_protected_xattrs leaves no names, and then not their NUL either.
        FieldKind::Text if text.is_empty() && id == "xattrnames" => Vec::new(),
        FieldKind::Text => [text, b"\0"].concat(),
        FieldKind::Number(_) if text.is_empty() => Vec::new(),
        FieldKind::Number(size) => {
            let mut bytes = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
                .filter(|number| number.leading_zeros() as usize >= 64 - 8 * size)
                .ok_or_else(|| expected(format!("field `{id}`, a number of {} bits", 8 * size), text))?
                .to_le_bytes()[..size]
                .to_vec();
            if order == ByteOrder::Big {
                bytes.reverse();
            }
            bytes
        }
    })
}

fn until_nul(data: &[u8]) -> &[u8] {
    data.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Reads the lines of the ASCII form of bank `view`, one after the other.
///
/// The kernel prints a file name as it is, so one with a line break in it breaks its line: the binary form
/// alone is exact. Such a line is an error here, never a wrong record.
#[derive(Debug)]
pub struct AsciiReader<R> {
    source: R,
    view: Bank,
    line: u64,
    offset: u64,
    done: bool,
}

impl<R: BufRead> AsciiReader<R> {
    /// Reads from `source`.
    pub fn new(source: R, view: Bank) -> AsciiReader<R> {
        AsciiReader { source, view, line: 0, offset: 0, done: false }
    }

    fn parse(&mut self, line: &mut Vec<u8>) -> Result<Option<AsciiLine>, AsciiProblem> {
        // One byte more than the limit tells a line that is too long from one that just fits.
        self.source.by_ref().take(LINE_MAX + 1).read_until(b'\n', line).map_err(AsciiProblem::Io)?;
        if line.is_empty() {
            return Ok(None);
        }
        let Some(content) = line.strip_suffix(b"\n") else {
            let long = line.len() as u64 > LINE_MAX;
            return Err(if long { AsciiProblem::TooLong } else { AsciiProblem::Unfinished });
        };
        AsciiLine::parse(content, self.view).map(Some)
    }
}

impl<R: BufRead> Iterator for AsciiReader<R> {
    type Item = Result<AsciiLine, AsciiError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let mut line = Vec::new();
        let item = self.parse(&mut line);
        self.done = !matches!(item, Ok(Some(_)));
        let (number, offset) = (self.line + 1, self.offset);
        self.line += 1;
        self.offset += line.len() as u64;
        item.map_err(|problem| AsciiError { line: number, offset, problem }).transpose()
    }
}
