//! One thing that a run did to the list.

use std::borrow::Cow;

use imalab_wire::Violation;

use crate::evidence::{Moment, RecordId};
use crate::log::WholeLog;
use crate::run_length::RunLength;
use imalab_formats::ima::model::{Call, Found};

/// One thing that happened within an operation, at some moment of it.
#[derive(Debug)]
pub(super) struct Event<'e> {
    /// Place of its step in the evidence.
    pub(super) step: usize,
    /// Its operation.
    pub(super) op: usize,
    /// The operation's begin and end.
    pub(super) begin: Moment,
    pub(super) end: Moment,
    pub(super) does: Does<'e>,
    pub(super) found: Found,
    /// Length of the whole log at that moment, as far as what was read tells: an order to try first.
    pub(super) length: Option<usize>,
    /// Records that nothing else explains may be made by this operation.
    pub(super) measures: bool,
}

/// How a list was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// On from the open file's offset.
    On,
    /// By offsets of its own, from the first byte.
    Through,
}

/// What it was.
#[derive(Debug)]
pub(super) enum Does<'e> {
    /// A call that the model knows.
    Call(Call<'e>),
    /// A write, whose bytes may be made up from what a call before it gave.
    Write { slot: u16, bytes: Cow<'e, [u8]> },
    /// A list was read to its end, and held this.
    List { slot: u16, records: &'e RunLength<RecordId>, staged: bool, read: Way },
    /// A counter was read whole.
    Counter { slot: u16, number: u64 },
    /// Files were measured, or violated.
    Files(Files<'e>),
    /// Something that may have measured something.
    Other,
}

/// Files that IMA was made to look at, one after the other.
#[derive(Debug)]
pub(super) struct Files<'e> {
    pub(super) dir: &'e str,
    pub(super) name: &'e str,
    pub(super) salt: &'e str,
    pub(super) first: u64,
    pub(super) count: u64,
    /// With a violation before, when each was open for writing, or after, when it was then opened for writing.
    pub(super) violates: Option<Violation>,
    /// Whether each must be recorded unless its digest is known.
    pub(super) certain: bool,
}

impl Files<'_> {
    /// How often IMA looked: a violation is a look of its own.
    pub(super) fn looks(&self) -> usize {
        let files = usize::try_from(self.count).unwrap_or(usize::MAX);
        files.saturating_mul(self.looks_a_file())
    }

    fn looks_a_file(&self) -> usize {
        1 + usize::from(self.violates.is_some())
    }

    /// What a look, from 0, was at.
    pub(super) fn look(&self, at: usize, log: &WholeLog<'_>) -> Measured {
        let number = self.first.wrapping_add((at / self.looks_a_file()) as u64);
        let violation = match self.violates {
            None => false,
            Some(Violation::OpenWriters) => at.is_multiple_of(2),
            Some(Violation::TimeOfUse) => !at.is_multiple_of(2),
        };
        let name = format!("{}/{}-{number}", self.dir, self.name);
        let content = format!("{}-{number} {}\n", self.name, self.salt);
        let same = log.of_file(&name, (!violation).then_some(content.as_bytes()), violation);
        Measured { same, name, certain: self.certain, violation }
    }
}

/// A file that IMA was made to look at.
#[derive(Debug)]
pub(super) struct Measured {
    /// Places of its records in the whole log.
    pub(super) same: Vec<usize>,
    /// Its path.
    pub(super) name: String,
    /// Whether it must be recorded unless its digest is known.
    pub(super) certain: bool,
    pub(super) violation: bool,
}
