//! The fields inside a record's template data.

use super::template::{self, FieldKind};

/// Byte order of the numbers in a binary list.
///
/// The kernel writes its own, or little-endian with `ima_canonical_fmt` (`security/integrity/ima/ima_fs.c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// x86 and most others, and every machine with `ima_canonical_fmt`.
    #[default]
    Little,
    /// A big-endian machine without `ima_canonical_fmt`.
    Big,
}

impl ByteOrder {
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The number in up to 8 bytes; further ones do not count.
    pub fn u64(self, bytes: &[u8]) -> u64 {
        let mut place = [0; 8];
        for (place, byte) in place.iter_mut().zip(bytes) {
            *place = *byte;
        }
        if self == ByteOrder::Big {
            place[..bytes.len().min(8)].reverse();
        }
        u64::from_le_bytes(place)
    }

    pub(super) fn bytes(self, value: u32) -> [u8; 4] {
        match self {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        }
    }
}

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Field identifier as in a template format (`d-ng`); `None` when the template's name does not tell.
    pub id: Option<&'a str>,
    /// The bytes without their length.
    pub data: &'a [u8],
}

impl Field<'_> {
    /// What the field holds; [`FieldKind::Bytes`] when its identifier is not known.
    pub fn kind(&self) -> FieldKind {
        self.id.and_then(template::field_kind).unwrap_or(FieldKind::Bytes)
    }
}

/// Template data that are not made of the template's fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct DataError {
    /// Where in the data, bytes from their start.
    pub offset: usize,
    /// What belongs there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Walks over the fields of a record's data, without allocating.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    data: &'a [u8],
    at: usize,
    order: ByteOrder,
    ids: Ids<'a>,
    failed: bool,
}

#[derive(Clone, Debug)]
enum Ids<'a> {
    Named(std::str::Split<'a, char>),
    /// The template is not known: as many fields as the data hold.
    Unnamed,
    /// The template `ima`: a digest without a length, then a name.
    LegacyDigest,
    LegacyName,
    LegacyEnd,
}

impl<'a> Fields<'a> {
    pub(super) fn new(template: &'a str, data: &'a [u8], order: ByteOrder) -> Fields<'a> {
        let ids = match template::format_of(template) {
            _ if template == template::LEGACY => Ids::LegacyDigest,
            Some(format) => Ids::Named(format.split('|')),
            None => Ids::Unnamed,
        };
        Fields { data, at: 0, order, ids, failed: false }
    }

    /// Takes `length` bytes, which are `part` of field `id`.
    fn take(&mut self, length: usize, part: &str, id: Option<&str>) -> Result<&'a [u8], DataError> {
        let rest = &self.data[self.at..];
        let Some(taken) = rest.get(..length) else {
            return Err(DataError {
                offset: self.at,
                expected: format!("{length} bytes as the {part} of field `{}`", id.unwrap_or("?")),
                found: format!("{} bytes to the end of the template data", rest.len()),
            });
        };
        self.at += length;
        Ok(taken)
    }

    fn prefixed(&mut self, id: Option<&str>) -> Result<&'a [u8], DataError> {
        let length = self.take(4, "length", id)?;
        let length = self.order.u32([length[0], length[1], length[2], length[3]]);
        self.take(length as usize, "content", id)
    }

    fn end(&self) -> Option<Result<Field<'a>, DataError>> {
        let left = self.data.len() - self.at;
        (left > 0).then(|| {
            Err(DataError {
                offset: self.at,
                expected: "the end of the template data after the last field".to_owned(),
                found: format!("{left} bytes more"),
            })
        })
    }

    fn step(&mut self) -> Option<Result<Field<'a>, DataError>> {
        let (id, data) = match &mut self.ids {
            Ids::Named(ids) => match ids.next() {
                Some(id) => (Some(id), self.prefixed(Some(id))),
                None => return self.end(),
            },
            Ids::Unnamed if self.at == self.data.len() => return None,
            Ids::Unnamed => (None, self.prefixed(None)),
            Ids::LegacyDigest => {
                self.ids = Ids::LegacyName;
                (Some("d"), self.take(template::LEGACY_DIGEST, "content", Some("d")))
            }
            Ids::LegacyName => {
                self.ids = Ids::LegacyEnd;
                (Some("n"), self.prefixed(Some("n")))
            }
            Ids::LegacyEnd => return self.end(),
        };
        Some(data.map(|data| Field { id, data }))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, DataError>;

    /// The next field; after an error, nothing.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.step();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}
