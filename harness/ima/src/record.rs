//! One record of the measurement list.

use super::field::{ByteOrder, DataError, Field, Fields};
use super::{Bank, Digest, template};

/// A record whose bytes lie elsewhere, for instance in a reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Index of the PCR that was extended.
    pub pcr: u32,
    /// Template digest as the list shows it; of the digest size of the view that was read.
    pub digest: &'a [u8],
    /// Template name, or its format when it has no name.
    pub template: &'a str,
    /// Template data as they lie in the list. Fields have their lengths in front of them; for the template
    /// `ima`: 20 bytes of digest, the length of the name, the name without NUL.
    pub data: &'a [u8],
}

/// A record that owns its bytes.
///
/// Two are equal when they are the same record in the same view: `digest` differs from one bank's file to the
/// next. [`Record::event`] is what all views share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Index of the PCR that was extended.
    pub pcr: u32,
    /// Template digest as the list shows it; of the digest size of the view that was read.
    pub digest: Vec<u8>,
    /// Template name, or its format when it has no name.
    pub template: String,
    /// Template data as they lie in the list; see [`RecordRef::data`].
    pub data: Vec<u8>,
}

impl<'a> RecordRef<'a> {
    /// A copy that owns its bytes.
    pub fn to_owned(&self) -> Record {
        Record {
            pcr: self.pcr,
            digest: self.digest.to_vec(),
            template: self.template.to_owned(),
            data: self.data.to_vec(),
        }
    }

    /// The bank whose file this record was read from, told by the size of its digest.
    pub fn view(&self) -> Option<Bank> {
        Bank::ALL.into_iter().find(|bank| bank.digest_size() == self.digest.len())
    }

    /// Whether the record tells of a violation: its digest is all zero (`ima_add_violation`,
    /// `security/integrity/ima/ima_api.c`).
    pub fn is_violation(&self) -> bool {
        self.digest.iter().all(|byte| *byte == 0)
    }

    /// Bytes that the record takes in the binary list of `view` (`ima_measurements_show`, `security/integrity/ima/ima_fs.c`):
    /// PCR, digest, name and data, the latter two with their lengths; the data of template `ima` without.
    pub fn binary_size(&self, view: Bank) -> u64 {
        let length = if self.template == template::LEGACY { 0 } else { 4 };
        (4 + view.digest_size() + 4 + self.template.len() + length + self.data.len()) as u64
    }

    /// The fields of the data, of a list written in byte order `order`.
    pub fn fields(&self, order: ByteOrder) -> Fields<'a> {
        Fields::new(self.template, self.data, order)
    }

    /// The digest of `bank` over the template data, computed anew.
    ///
    /// Every template but `ima` is hashed as its data lie in the list: each field's length, then the field.
    /// For `ima` there are no lengths, and the name is padded with zeros to 256 bytes
    /// (`ima_calc_field_array_hash_tfm`, `security/integrity/ima/ima_crypto.c`).
    pub fn template_digest(&self, bank: Bank) -> Digest {
        if self.template != template::LEGACY {
            return Digest::of(bank, &[self.data]);
        }
        let (digest, rest) = self.data.split_at(self.data.len().min(template::LEGACY_DIGEST));
        let name = rest.get(4..).unwrap_or_default();
        let mut padded = [0; template::LEGACY_NAME_MAX + 1];
        let length = name.len().min(padded.len());
        padded[..length].copy_from_slice(&name[..length]);
        Digest::of(bank, &[digest, &padded])
    }

    /// What the kernel handed to `PCR_Extend` for `bank`: 0xff throughout for a violation, the digest in the
    /// record for the bank of its view, and a recomputed one for every other bank.
    pub fn extend_digest(&self, bank: Bank) -> Digest {
        if self.is_violation() {
            return Digest::ones(bank);
        }
        Digest::from_bytes(bank, self.digest).unwrap_or_else(|| self.template_digest(bank))
    }

    /// Whether the digest in the record is that of its data; a violation's zeros are.
    pub fn is_consistent(&self) -> bool {
        self.is_violation()
            || self.view().is_some_and(|view| self.template_digest(view).as_bytes() == self.digest)
    }
}

impl<'a> From<&'a Record> for RecordRef<'a> {
    fn from(record: &'a Record) -> Self {
        record.borrowed()
    }
}

impl Record {
    /// The record of the view of `view` with these data, its digest computed.
    pub fn new(view: Bank, pcr: u32, template: &str, data: Vec<u8>) -> Record {
        let mut record = Record { pcr, digest: Vec::new(), template: template.to_owned(), data };
        record.digest = record.borrowed().template_digest(view).as_bytes().to_vec();
        record
    }

    /// The same record without owning its bytes.
    pub fn borrowed(&self) -> RecordRef<'_> {
        RecordRef { pcr: self.pcr, digest: &self.digest, template: &self.template, data: &self.data }
    }

    /// The fields of the data, of a little-endian list.
    ///
    /// # Errors
    ///
    /// [`DataError`] when the data are not made of the template's fields.
    pub fn fields(&self) -> Result<Vec<Field<'_>>, DataError> {
        self.borrowed().fields(ByteOrder::Little).collect()
    }

    /// The record as the file of `view` shows it: the same, its digest recomputed, zeros for a violation.
    pub fn in_view(&self, view: Bank) -> Record {
        let digest = if self.is_violation() { Digest::zero(view) } else { self.template_digest(view) };
        Record { digest: digest.as_bytes().to_vec(), ..self.clone() }
    }

    /// What the files of all banks show alike: PCR, whether it is a violation, template, data.
    pub fn event(&self) -> (u32, bool, &str, &[u8]) {
        (self.pcr, self.is_violation(), &self.template, &self.data)
    }

    /// See [`RecordRef::view`].
    pub fn view(&self) -> Option<Bank> {
        self.borrowed().view()
    }

    /// See [`RecordRef::is_violation`].
    pub fn is_violation(&self) -> bool {
        self.borrowed().is_violation()
    }

    /// See [`RecordRef::template_digest`].
    pub fn template_digest(&self, bank: Bank) -> Digest {
        self.borrowed().template_digest(bank)
    }

    /// See [`RecordRef::extend_digest`].
    pub fn extend_digest(&self, bank: Bank) -> Digest {
        self.borrowed().extend_digest(bank)
    }

    /// See [`RecordRef::is_consistent`].
    pub fn is_consistent(&self) -> bool {
        self.borrowed().is_consistent()
    }
}
