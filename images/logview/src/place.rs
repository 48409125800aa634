//! Places in the log, counted from the first record after a cold boot.

use std::collections::BTreeMap;

use imalab_ima::{Bank, Digest, LogReader, ReadError, RecordRef, Replay};

use crate::form::{Form, line_size};

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// How many records are before it.
    pub records: u64,
    /// Bytes before it in the canonical form, the binary one of SHA-1.
    pub binary: u64,
    /// Bytes before it in the ASCII form of SHA-1.
    pub ascii: u64,
}

impl Place {
    /// Bytes before it in `form`: forms of other banks differ by the size of each record's digest alone.
    pub fn offset(self, form: Form) -> u64 {
        let longer = (form.bank.digest_size() - Bank::Sha1.digest_size()) as u64;
        let (bytes, each) = if form.ascii { (self.ascii, 2 * longer) } else { (self.binary, longer) };
        bytes.saturating_add(self.records.saturating_mul(each))
    }

    /// Goes behind a record of the canonical form.
    pub fn pass(&mut self, record: RecordRef<'_>) {
        self.records += 1;
        self.binary += record.binary_size(Bank::Sha1);
        self.ascii += line_size(record);
    }

    /// Goes behind all records of a list in the canonical form.
    ///
    /// # Errors
    ///
    /// When the bytes are not whole records.
    pub fn pass_all(&mut self, list: &[u8]) -> Result<(), ReadError> {
        let mut reader = LogReader::new(list, Bank::Sha1);
        while let Some(record) = reader.next_record()? {
            self.pass(record);
        }
        Ok(())
    }
}

/// A place, and what the records before it amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The place.
    pub place: Place,
    /// Violations among the records before it.
    pub violations: u64,
    /// PCRs that those records extended, and their values in each bank, in the order of [`Bank::ALL`].
    values: BTreeMap<u32, [Digest; 4]>,
}

fn at_reset(pcr: u32) -> [Digest; 4] {
    Bank::ALL.map(|bank| Replay::new(bank).value(pcr).unwrap_or(Digest::zero(bank)))
}

impl Position {
    /// Before the first record.
    pub fn start() -> Position {
        Position::default()
    }

    /// Goes behind a record of the canonical form.
    pub fn pass(&mut self, record: RecordRef<'_>) {
        self.place.pass(record);
        self.extend(record);
    }

    /// Extends PCRs and counts violations, and leaves the place where it is.
    fn extend(&mut self, record: RecordRef<'_>) {
        self.violations += u64::from(record.is_violation());
        let values = self.values.entry(record.pcr).or_insert_with(|| at_reset(record.pcr));
        for (bank, value) in Bank::ALL.into_iter().zip(values) {
            value.extend(&record.extend_digest(bank));
        }
    }

    /// Goes behind all records of a list in the canonical form, and gives how many there are.
    ///
    /// # Errors
    ///
    /// When the bytes are not whole records.
    pub fn pass_all(&mut self, list: &[u8]) -> Result<u64, ReadError> {
        let mut reader = LogReader::new(list, Bank::Sha1);
        while let Some(record) = reader.next_record()? {
            self.pass(record);
        }
        Ok(reader.records())
    }

    /// What `pcr` has in `bank` when the records before this place have extended it.
    pub fn value(&self, bank: Bank, pcr: u32) -> Digest {
        let index = Bank::ALL.iter().position(|of| *of == bank).unwrap_or_default();
        self.values.get(&pcr).map_or_else(|| at_reset(pcr)[index], |values| values[index])
    }

    /// The PCRs that records have extended, with their values.
    pub(crate) fn values(&self) -> impl Iterator<Item = (u32, &Digest)> {
        self.values.iter().flat_map(|(pcr, values)| values.iter().map(|value| (*pcr, value)))
    }

    pub(crate) fn set_value(&mut self, pcr: u32, value: Digest) {
        let values = self.values.entry(pcr).or_insert_with(|| at_reset(pcr));
        if let Some(place) = values.iter_mut().find(|place| place.bank() == value.bank()) {
            *place = value;
        }
    }
}
