//! Replays records into PCR values.

use super::record::RecordRef;
use super::{Bank, Digest, PCR_LIMIT};

/// The PCRs of one bank, as the records so far have extended them.
#[derive(Clone, Debug)]
pub struct Replay {
    bank: Bank,
    pcrs: [Pcr; PCR_LIMIT as usize],
}

#[derive(Clone, Copy, Debug)]
struct Pcr {
    value: Digest,
    extended: bool,
}

impl Replay {
    /// PCRs as a reset leaves them: 17 to 22 all ones, the others all zero (TCG PC Client Platform TPM
    /// Profile, PCR attributes).
    pub fn new(bank: Bank) -> Replay {
        let mut pcrs = [Pcr { value: Digest::zero(bank), extended: false }; PCR_LIMIT as usize];
        for pcr in &mut pcrs[17..=22] {
            pcr.value = Digest::ones(bank);
        }
        Replay { bank, pcrs }
    }

    /// The bank.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// Starts PCR `pcr` at `value` instead; for a list whose first records were deleted. Nothing happens to
    /// an index of [`PCR_LIMIT`] and above, or a value of another bank; `false` then.
    pub fn start_at(&mut self, pcr: u32, value: Digest) -> bool {
        let known = value.bank() == self.bank;
        match self.pcrs.get_mut(pcr as usize) {
            Some(place) if known => {
                *place = Pcr { value, extended: false };
                true
            }
            _ => false,
        }
    }

    /// Extends the record's PCR as the kernel did; see [`RecordRef::extend_digest`].
    pub fn record<'a>(&mut self, record: impl Into<RecordRef<'a>>) {
        let record = record.into();
        self.extend(record.pcr, &record.extend_digest(self.bank));
    }

    /// Extends PCR `pcr` with a digest; an index of [`PCR_LIMIT`] and above, which no list has, is left alone.
    pub fn extend(&mut self, pcr: u32, digest: &Digest) {
        if let Some(pcr) = self.pcrs.get_mut(pcr as usize) {
            pcr.value.extend(digest);
            pcr.extended = true;
        }
    }

    /// The value of PCR `pcr`, or `None` for an index of [`PCR_LIMIT`] and above.
    pub fn value(&self, pcr: u32) -> Option<Digest> {
        self.pcrs.get(pcr as usize).map(|pcr| pcr.value)
    }

    /// Whether PCR `pcr` has this value now.
    pub fn is_at(&self, pcr: u32, value: &[u8]) -> bool {
        self.pcrs.get(pcr as usize).is_some_and(|pcr| pcr.value.as_bytes() == value)
    }

    /// Whether any record extended PCR `pcr`.
    pub fn was_extended(&self, pcr: u32) -> bool {
        self.pcrs.get(pcr as usize).is_some_and(|pcr| pcr.extended)
    }

    /// The PCRs that any record extended, in ascending order, with their values.
    pub fn extended(&self) -> impl Iterator<Item = (u32, Digest)> {
        (0..).zip(&self.pcrs).filter(|(_, pcr)| pcr.extended).map(|(index, pcr)| (index, pcr.value))
    }
}

/// The value of PCR `pcr` in `bank` after replaying `records` from the value at reset.
pub fn replay<'a>(
    records: impl IntoIterator<Item = &'a super::Record>,
    bank: Bank,
    pcr: u32,
) -> Option<Digest> {
    let mut replay = Replay::new(bank);
    for record in records {
        replay.record(record);
    }
    replay.value(pcr)
}

/// After how many of `records` PCR `pcr` in `bank` has the value `target`: the longest such prefix.
pub fn matching_prefix<'a>(
    records: impl IntoIterator<Item = &'a super::Record>,
    bank: Bank,
    pcr: u32,
    target: &[u8],
) -> Option<usize> {
    let mut replay = Replay::new(bank);
    let mut found = replay.is_at(pcr, target).then_some(0);
    for (count, record) in (1..).zip(records) {
        replay.record(record);
        if replay.is_at(pcr, target) {
            found = Some(count);
        }
    }
    found
}
