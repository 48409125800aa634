//! Replays growing logs into PCR 10, each from where the one before has led.

use super::evidence::{Evidence, RecordId};
use super::run_length::RunLength;
use imalab_formats::ima::Digest;

/// PCR 10 in each of the machine's banks after some records.
///
/// Logs of one run are nearly always prefixes of one another; the common part is replayed once.
pub(super) struct Replayer<'r, 'a> {
    evidence: &'r Evidence<'a>,
    done: RunLength<RecordId>,
    values: Vec<Digest>,
}

impl<'r, 'a> Replayer<'r, 'a> {
    pub(super) fn new(evidence: &'r Evidence<'a>) -> Self {
        let mut replayer = Replayer { evidence, done: RunLength::default(), values: Vec::new() };
        replayer.restart();
        replayer
    }

    fn restart(&mut self) {
        self.done = RunLength::default();
        self.values = self.evidence.records.active().iter().map(|bank| Digest::zero(*bank)).collect();
    }

    pub(super) fn evidence(&self) -> &'r Evidence<'a> {
        self.evidence
    }

    /// Replays just these records.
    pub(super) fn go_to(&mut self, records: &RunLength<RecordId>) {
        if !records.starts_with(&self.done) {
            self.restart();
        }
        for id in records.slice(self.done.len()..records.len()).iter() {
            for (at, value) in self.values.iter_mut().enumerate() {
                value.extend(&self.evidence.records.extended(id, at));
            }
            self.done.push(id);
        }
    }

    /// The values, in the order of the machine's banks.
    pub(super) fn values(&self) -> &[Digest] {
        &self.values
    }

    /// How many first records have the value in the `at`-th bank, if any number has.
    pub(super) fn prefix(&self, records: &RunLength<RecordId>, at: usize, target: &[u8]) -> Option<u64> {
        let mut value = Digest::zero(self.evidence.records.active()[at]);
        let mut found = (value.as_bytes() == target).then_some(0);
        for (number, id) in (1..).zip(records.iter()) {
            value.extend(&self.evidence.records.extended(id, at));
            if value.as_bytes() == target {
                found = Some(number);
            }
        }
        found
    }
}
