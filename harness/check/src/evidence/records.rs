//! Every record that any list showed, kept once.
//!
//! One run reads the same records over and over: in each view, at each checkpoint. Kept once and known by number,
//! lists compare by number, and a list of records that were seen in its order is next to nothing.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::HashTable;

use super::Extend;
use crate::run_length::Successive;
use imalab_formats::ima::{Bank, ByteOrder, Digest, RecordRef, write_record};

/// Longest part of a file name that a finding shows, in characters.
const NAME_SHOWN: usize = 120;

/// Number of a record in [`Records`]; equal numbers are equal records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordId(pub(crate) u32);

impl Successive for RecordId {
    fn plus(self, further: usize) -> RecordId {
        // No further than there are records.
        RecordId(u32::try_from(self.0 as usize + further).unwrap_or(u32::MAX))
    }
}

/// What all views of a record share.
#[derive(Clone, Debug)]
pub(crate) struct KnownRecord<'r> {
    /// PCR that was to be extended.
    pub(crate) pcr: u32,
    /// Template name.
    pub(crate) template: &'r str,
    /// Template data as in the binary list.
    pub(crate) data: &'r [u8],
    /// Whether the list shows an all-zero digest.
    pub(crate) violation: bool,
}

impl<'r> KnownRecord<'r> {
    /// As a record without a digest.
    pub(crate) fn borrowed(&self) -> RecordRef<'r> {
        RecordRef { pcr: self.pcr, digest: &[], template: self.template, data: self.data }
    }

    fn kind(&self) -> (u32, &'r str, bool) {
        (self.pcr, self.template, self.violation)
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.kind().hash(&mut hasher);
        hasher.write(self.data);
        hasher.finish()
    }

    /// Whether any list ever showed it: every template has a name.
    pub(crate) fn is_shown(&self) -> bool {
        !self.template.is_empty()
    }

    /// The field with this identifier, when its template has it and its data are sound up to there.
    pub(crate) fn field(&self, id: &str) -> Option<&'r [u8]> {
        let mut fields = self.borrowed().fields(ByteOrder::Little).filter_map(Result::ok);
        fields.find(|field| field.id == Some(id)).map(|field| field.data)
    }

    /// Bytes that it takes in the list of the SHA-1 view, which is the form in which a kexec carries it.
    pub(crate) fn size(&self) -> u64 {
        self.borrowed().binary_size(Bank::Sha1)
    }

    /// File name, or what the template has in its place; empty when it has none.
    pub(crate) fn file_name(&self) -> &'r [u8] {
        let name = self.field("n").or_else(|| self.field("n-ng")).unwrap_or_default();
        name.strip_suffix(&[0]).unwrap_or(name)
    }

    /// Whether it is critical data of this event name, in the template that such have by default.
    pub(crate) fn is_mark(&self, event: &str) -> bool {
        self.template == "ima-buf" && self.file_name() == event.as_bytes()
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

/// Bytes of the data of all records that are kept: some four million records' own. A guest that wants to fill memory reads
/// itself more.
const MOST_DATA: usize = 512 << 20;

/// The records and the banks in which their digests are asked for, which are computed when they are asked for.
#[derive(Debug)]
pub(crate) struct Records {
    /// The machine's banks in their order, then SHA-1 when it is not among them: its view is always there.
    banks: Vec<Bank>,
    /// How many of `banks` are the machine's.
    active: usize,
    /// What many records share.
    kinds: Vec<KindOf>,
    /// Where each record's data are, and its kind.
    placed: Vec<Placed>,
    /// Data of records, one after the other.
    data: Vec<u8>,
    /// Numbers of records by the hash of the record, while lists are read.
    index: HashTable<u32>,
    /// Whether there were more than are kept.
    full: bool,
}

/// PCR, template and whether it is a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KindOf {
    pcr: u32,
    template: Box<str>,
    violation: bool,
}

impl KindOf {
    fn borrowed(&self) -> (u32, &str, bool) {
        (self.pcr, &self.template, self.violation)
    }
}

/// Where a record's data are, and what is said of it elsewhere.
#[derive(Clone, Copy, Debug)]
struct Placed {
    at: usize,
    length: u32,
    kind: u32,
}

impl Records {
    pub(crate) fn new(active: &[Bank]) -> Records {
        let mut banks = active.to_vec();
        if !banks.contains(&Bank::Sha1) {
            banks.push(Bank::Sha1);
        }
        Records {
            banks,
            active: active.len(),
            kinds: Vec::new(),
            placed: Vec::new(),
            data: Vec::new(),
            index: HashTable::new(),
            full: false,
        }
    }

    /// The machine's banks.
    pub(crate) fn active(&self) -> &[Bank] {
        &self.banks[..self.active]
    }

    /// The number of a record, which is a new one when it was not seen before. None when no more are kept.
    pub(crate) fn intern(&mut self, record: RecordRef<'_>) -> Option<RecordId> {
        let record = KnownRecord {
            pcr: record.pcr,
            template: record.template,
            data: record.data,
            violation: record.is_violation(),
        };
        let same = |id: &u32| {
            let known = self.get(RecordId(*id));
            known.data == record.data && known.kind() == record.kind()
        };
        if let Some(id) = self.index.find(record.hash(), same) {
            return Some(RecordId(*id));
        }
        self.full |= self.data.len() + record.data.len() > MOST_DATA;
        if self.full {
            return None;
        }
        let hash = record.hash();
        let id = self.push(&record);
        let mut index = std::mem::take(&mut self.index);
        index.insert_unique(hash, id.0, |id| self.get(RecordId(*id)).hash());
        self.index = index;
        Some(id)
    }

    /// No more lists are read. Why not all records are kept, where they are not.
    pub(super) fn close(&mut self) -> Option<String> {
        self.index = HashTable::new();
        let most = MOST_DATA >> 20;
        self.full.then(|| format!("the lists hold more than {most} MiB of records; the rest was not kept"))
    }

    fn push(&mut self, record: &KnownRecord<'_>) -> RecordId {
        // Of four thousand million distinct records the guest would not come to the end.
        let id = u32::try_from(self.placed.len()).unwrap_or(u32::MAX);
        let kind = self.kinds.iter().position(|kind| kind.borrowed() == record.kind()).unwrap_or_else(|| {
            let (pcr, template, violation) = record.kind();
            self.kinds.push(KindOf { pcr, template: template.into(), violation });
            self.kinds.len() - 1
        });
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (length, kind) = (number(record.data.len()), number(kind));
        self.placed.push(Placed { at: self.data.len(), length, kind });
        self.data.extend_from_slice(record.data);
        RecordId(id)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.placed.len()
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (RecordId, KnownRecord<'_>)> {
        (0..).map(RecordId).take(self.len()).map(|id| (id, self.get(id)))
    }

    /// Adds the records of extends that no list showed, so that a log without one can be told from one that is wrong. All
    /// that is known of such a record is its digests.
    pub(crate) fn add_extended(&mut self, extends: impl Iterator<Item = Extend>) {
        let mut known: HashSet<(u32, Digest)> =
            self.all().map(|(id, record)| (record.pcr, self.digest(id, 0))).collect();
        for Extend { pcr, digests, .. } in extends {
            let Some(Some(first)) = digests.first() else { continue };
            if *first == Digest::ones(first.bank()) || !known.insert((pcr, *first)) {
                continue;
            }
            let mut data = Vec::new();
            for (at, bank) in self.banks.iter().enumerate() {
                let digest = digests.get(at).copied().flatten().unwrap_or_else(|| Digest::zero(*bank));
                data.extend_from_slice(digest.as_bytes());
            }
            self.push(&KnownRecord { pcr, template: "", data: &data, violation: false });
        }
    }

    /// A record.
    pub(crate) fn get(&self, id: RecordId) -> KnownRecord<'_> {
        let Placed { at, length, kind } = self.placed[id.0 as usize];
        let (pcr, template, violation) = self.kinds[kind as usize].borrowed();
        KnownRecord { pcr, template, data: &self.data[at..at + length as usize], violation }
    }

    /// The digest over its data in the `at`-th bank; of a record that no list showed, the one that was extended.
    fn digest(&self, id: RecordId, at: usize) -> Digest {
        let (record, bank) = (self.get(id), self.banks[at]);
        if record.is_shown() {
            return record.borrowed().template_digest(bank);
        }
        let before: usize = self.banks[..at].iter().map(|bank| bank.digest_size()).sum();
        let bytes = record.data.get(before..before + bank.digest_size()).unwrap_or_default();
        Digest::from_bytes(bank, bytes).unwrap_or_else(|| Digest::zero(bank))
    }

    /// What the file of `bank` must show as template digest: zeros for a violation.
    pub(crate) fn shown(&self, id: RecordId, bank: Bank) -> Digest {
        let record = self.get(id);
        if record.violation {
            return Digest::zero(bank);
        }
        match self.banks.iter().position(|known| *known == bank) {
            Some(at) => self.digest(id, at),
            None => record.borrowed().template_digest(bank),
        }
    }

    /// What the kernel must extend for it in the `at`-th bank of the machine: all ones for a violation
    /// (`ima_init_digests`, `security/integrity/ima/ima_queue.c`).
    pub(crate) fn extended(&self, id: RecordId, at: usize) -> Digest {
        if self.get(id).violation { Digest::ones(self.banks[at]) } else { self.digest(id, at) }
    }

    /// Whether the two are one and the same record as far as its extend says: a kernel shows a carried record under the name of
    /// its template, where it was made under its format (`lookup_template_desc`, `security/integrity/ima/ima_template.c`).
    pub(crate) fn are_same(&self, one: RecordId, other: RecordId) -> bool {
        let (first, second) = (self.get(one), self.get(other));
        one == other
            || first.pcr == second.pcr
                && first.violation == second.violation
                && (0..self.banks.len()).all(|at| self.digest(one, at) == self.digest(other, at))
    }

    /// The records that are no violation and have this digest in the `at`-th bank of the machine.
    pub(crate) fn with_digest(&self, at: usize, digest: &Digest) -> Option<RecordId> {
        let has =
            |(id, record): &(RecordId, KnownRecord<'_>)| !record.violation && self.digest(*id, at) == *digest;
        self.all().find(has).map(|(id, _)| id)
    }

    /// Appends the record in the kernel's binary form, as the file of the SHA-1 bank shows it; nothing when no list ever
    /// showed it.
    pub(crate) fn write(&self, id: RecordId, into: &mut Vec<u8>) {
        if !self.get(id).is_shown() {
            return;
        }
        let digest = self.shown(id, Bank::Sha1);
        let record = self.get(id);
        let shown = RecordRef { digest: digest.as_bytes(), ..record.borrowed() };
        // It came out of a list of this form, so its lengths fit; memory takes what is written.
        let _ = write_record(into, shown, ByteOrder::Little);
    }
}
