//! The forms in which a kernel shows its list.

use std::fmt;

use imalab_ima::{AsciiLine, Bank, ByteOrder, Digest, RecordRef, write_record};

/// One of the files `{ascii,binary}_runtime_measurements_BANK`.
///
/// Shards hold the form of the binary file of SHA-1, the *canonical* one. All others are made from it: a record's data
/// are the same in each, and digests of other banks are those of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Form {
    /// Lines of text, or the binary form.
    pub ascii: bool,
    /// Whose digests are shown.
    pub bank: Bank,
}

impl Form {
    /// The one that is stored.
    pub const CANONICAL: Form = Form { ascii: false, bank: Bank::Sha1 };

    /// All of them.
    pub fn all() -> impl Iterator<Item = Form> {
        [false, true].into_iter().flat_map(|ascii| Bank::ALL.map(|bank| Form { ascii, bank }))
    }

    /// The kernel's name of its file.
    pub fn file_name(self) -> String {
        let form = if self.ascii { "ascii" } else { "binary" };
        format!("{form}_runtime_measurements_{}", self.bank)
    }

    /// Appends a record of the canonical form to `out` as this form shows it.
    ///
    /// Data that are not what their template says are shown in hexadecimal as a whole: then the text need not be the kernel's.
    pub fn show(self, record: RecordRef<'_>, out: &mut Vec<u8>) {
        let digest = match self.bank {
            Bank::Sha1 => None,
            bank if record.is_violation() => Some(Digest::zero(bank)),
            bank => Some(record.template_digest(bank)),
        };
        let shown = RecordRef { digest: digest.as_ref().map_or(record.digest, Digest::as_bytes), ..record };
        if !self.ascii {
            // A record that was read has lengths that fit, and a Vec takes what it gets.
            let _ = write_record(out, shown, ByteOrder::Little);
            return;
        }
        out.extend(line(shown).to_bytes());
    }
}

fn line(record: RecordRef<'_>) -> AsciiLine {
    AsciiLine::of(record, ByteOrder::Little).unwrap_or_else(|_| AsciiLine {
        pcr: record.pcr,
        digest: record.digest.to_vec(),
        template: record.template.to_owned(),
        fields: vec![hex::encode(record.data).into_bytes()],
    })
}

/// Bytes that the line of a canonical record has in the form of SHA-1.
pub(crate) fn line_size(record: RecordRef<'_>) -> u64 {
    line(record).to_bytes().len() as u64
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file_name())
    }
}
