//! Every record that any list showed, kept once.
//!
//! One run reads the same records over and over: in each view, at each checkpoint. Kept once and known by number,
//! lists compare by number, and a record's digests are computed once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::ima::{Bank, ByteOrder, Digest, RecordRef, write_record};

/// Longest part of a file name that a finding shows, in characters.
const NAME_SHOWN: usize = 120;

/// Number of a record in [`Records`]; equal numbers are equal records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordId(pub(in crate::check) u32);

/// What all views of a record share.
#[derive(Clone, Debug)]
pub(crate) struct KnownRecord {
    /// PCR that was to be extended.
    pub(crate) pcr: u32,
    /// Template name.
    pub(crate) template: Box<str>,
    /// Template data as in the binary list.
    pub(crate) data: Box<[u8]>,
    /// Whether the list shows an all-zero digest.
    pub(crate) violation: bool,
    /// The digest over the template data in each bank of [`Records::banks`].
    digests: Box<[Digest]>,
    /// Another record of the same hash.
    chained: Option<RecordId>,
}

impl KnownRecord {
    /// As a record without a digest.
    pub(crate) fn borrowed(&self) -> RecordRef<'_> {
        RecordRef { pcr: self.pcr, digest: &[], template: &self.template, data: &self.data }
    }

    /// The field with this identifier, when its template has it and its data are sound up to there.
    pub(crate) fn field(&self, id: &str) -> Option<&[u8]> {
        let mut fields = self.borrowed().fields(ByteOrder::Little).filter_map(Result::ok);
        fields.find(|field| field.id == Some(id)).map(|field| field.data)
    }

    /// Bytes that it takes in the list of the SHA-1 view, which is the form in which a kexec carries it.
    pub(crate) fn size(&self) -> u64 {
        self.borrowed().binary_size(Bank::Sha1)
    }

    /// File name, or what the template has in its place; empty when it has none.
    pub(crate) fn file_name(&self) -> &[u8] {
        let name = self.field("n").or_else(|| self.field("n-ng")).unwrap_or_default();
        name.strip_suffix(&[0]).unwrap_or(name)
    }

    /// Whether it is of a file with this content; `None` when that cannot be said.
    pub(crate) fn is_of(&self, content: &[u8]) -> Option<bool> {
        is_digest_of(self.field("d-ng").or_else(|| self.field("d-ngv2"))?, content)
    }

    /// The file name in a finding's words.
    pub(crate) fn name(&self) -> String {
        if self.field("n").or_else(|| self.field("n-ng")).is_none() {
            return "?".to_owned();
        }
        let name = String::from_utf8_lossy(self.file_name()).escape_debug().to_string();
        match name.char_indices().nth(NAME_SHOWN) {
            Some((at, _)) => format!("{}...", &name[..at]),
            None => name,
        }
    }
}

/// Whether a record's file digest is that of this content: the algorithm, a colon and a zero byte come before it, and
/// `verity:` or `ima:` before that in later templates (`ima_eventdigest_init_common`,
/// `security/integrity/ima/ima_template_lib.c`). `None` when its algorithm is none of ours.
fn is_digest_of(field: &[u8], content: &[u8]) -> Option<bool> {
    let split = field.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&field[..split]).ok()?.strip_suffix(':')?;
    let bank: Bank = name.rsplit(':').next()?.parse().ok()?;
    Some(Digest::of(bank, &[content]).as_bytes() == &field[split + 1..])
}

/// The records and the banks in which their digests are known.
#[derive(Debug)]
pub(crate) struct Records {
    /// The machine's banks in their order, then SHA-1 when it is not among them: its view is always there.
    banks: Vec<Bank>,
    /// How many of `banks` are the machine's.
    active: usize,
    records: Vec<KnownRecord>,
    by_hash: HashMap<u64, RecordId>,
}

impl Records {
    pub(crate) fn new(active: &[Bank]) -> Records {
        let mut banks = active.to_vec();
        if !banks.contains(&Bank::Sha1) {
            banks.push(Bank::Sha1);
        }
        Records { banks, active: active.len(), records: Vec::new(), by_hash: HashMap::new() }
    }

    /// The machine's banks.
    pub(crate) fn active(&self) -> &[Bank] {
        &self.banks[..self.active]
    }

    /// The number of a record, which is a new one when it was not seen before.
    pub(crate) fn intern(&mut self, record: RecordRef<'_>) -> RecordId {
        let violation = record.is_violation();
        let mut hasher = DefaultHasher::new();
        (record.pcr, violation, record.template).hash(&mut hasher);
        hasher.write(record.data);
        let hash = hasher.finish();

        let first = self.by_hash.get(&hash).copied();
        let mut next = first;
        while let Some(id) = next {
            let known = &self.records[id.0 as usize];
            if known.pcr == record.pcr
                && known.violation == violation
                && *known.template == *record.template
                && *known.data == *record.data
            {
                return id;
            }
            next = known.chained;
        }

        // A trace of four thousand million distinct records cannot be held in memory.
        let id = RecordId(u32::try_from(self.records.len()).unwrap_or(u32::MAX));
        self.records.push(KnownRecord {
            pcr: record.pcr,
            template: record.template.into(),
            data: record.data.into(),
            violation,
            digests: self.banks.iter().map(|bank| record.template_digest(*bank)).collect(),
            chained: first,
        });
        self.by_hash.insert(hash, id);
        id
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (RecordId, &KnownRecord)> {
        (0..).map(RecordId).zip(&self.records)
    }

    /// A record.
    pub(crate) fn get(&self, id: RecordId) -> &KnownRecord {
        &self.records[id.0 as usize]
    }

    /// What the file of `bank` must show as template digest: zeros for a violation.
    pub(crate) fn shown(&self, id: RecordId, bank: Bank) -> Digest {
        let record = self.get(id);
        if record.violation {
            return Digest::zero(bank);
        }
        match self.banks.iter().position(|known| *known == bank) {
            Some(at) => record.digests[at],
            None => record.borrowed().template_digest(bank),
        }
    }

    /// What the kernel must extend for it in the `at`-th bank of the machine: all ones for a violation
    /// (`ima_init_digests`, `security/integrity/ima/ima_queue.c`).
    pub(crate) fn extended(&self, id: RecordId, at: usize) -> Digest {
        let record = self.get(id);
        if record.violation { Digest::ones(self.banks[at]) } else { record.digests[at] }
    }

    /// The records that are no violation and have this digest in the `at`-th bank of the machine.
    pub(crate) fn with_digest(&self, at: usize, digest: &Digest) -> Option<RecordId> {
        let place = self.records.iter().position(|known| !known.violation && known.digests[at] == *digest)?;
        Some(RecordId(u32::try_from(place).ok()?))
    }

    /// Appends the record in the kernel's binary form, as the file of the SHA-1 bank shows it.
    pub(crate) fn write(&self, id: RecordId, into: &mut Vec<u8>) {
        let digest = self.shown(id, Bank::Sha1);
        let shown = RecordRef { digest: digest.as_bytes(), ..self.get(id).borrowed() };
        // It came out of a list of this form, so its lengths fit; memory takes what is written.
        let _ = write_record(into, shown, ByteOrder::Little);
    }

    /// A record in a finding's words.
    pub(crate) fn describe(&self, id: RecordId) -> String {
        let record = self.get(id);
        let violation = if record.violation { ", violation" } else { "" };
        let digest = self.extended(id, 0);
        format!("{} ({}, {}:{digest}{violation})", record.name(), record.template, digest.bank())
    }
}
