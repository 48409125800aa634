//! What happened where the extends and the records part.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Comparison, is_extend_of};
use crate::evidence::{Extend, RecordId};
use imalab_formats::ima::{Bank, Digest};
use imalab_language::finding::{ExactlyOnce, Record, Totals};

/// A hash of what makes an extend and a record the same, PCR and the digest in each bank: whole, a million of them are
/// too much, and two that only seem the same would at worst be counted together.
pub(super) type Key = u64;

/// How often each key was extended, and how often recorded.
#[derive(Default)]
struct Tally {
    counts: HashMap<Key, (u32, u32)>,
}

impl Tally {
    fn of(comparison: &Comparison<'_, '_>) -> Tally {
        let mut tally = Tally::default();
        for extend in comparison.extends.iter() {
            tally.counts.entry(extend_key(&extend)).or_default().0 += 1;
        }
        for id in comparison.whole.records.iter() {
            tally.counts.entry(comparison.record_key(id)).or_default().1 += 1;
        }
        tally
    }

    fn get(&self, key: Key) -> (u32, u32) {
        self.counts.get(&key).copied().unwrap_or_default()
    }

    fn totals(&self, comparison: &Comparison<'_, '_>) -> Totals {
        let (mut lost, mut doubled, mut never_extended) = (0, 0, 0);
        for (extended, recorded) in self.counts.values().copied() {
            lost += u64::from(extended.saturating_sub(recorded));
            match extended {
                0 => never_extended += u64::from(recorded),
                _ => doubled += u64::from(recorded.saturating_sub(extended)),
            }
        }
        let (extends, records) = (comparison.extends.len() as u64, comparison.whole.records.len() as u64);
        Totals { extends, records, lost, doubled, never_extended }
    }
}

fn key(pcr: u32, digests: impl Iterator<Item = Digest>) -> Key {
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(pcr);
    digests.for_each(|digest| digest.hash(&mut hasher));
    hasher.finish()
}

pub(super) fn extend_key(extend: &Extend) -> Key {
    key(extend.pcr, extend.digests.iter().flatten().copied())
}

/// The findings for the first place, from 0, at which the sequences part.
pub(super) fn at(comparison: &Comparison<'_, '_>, at: usize) -> Vec<ExactlyOnce> {
    let tally = Tally::of(comparison);
    let record = comparison.whole.records.get(at);
    let extend = comparison.extends.get(at);
    let extend = extend.as_ref();
    // In the first finding of all.
    let mut totals = Some(tally.totals(comparison));
    if let (Some(id), Some(extend)) = (record, extend)
        && let Some(finding) = comparison.half_right(at, id, extend, totals.clone())
    {
        return vec![finding];
    }
    let mut findings = Vec::new();
    let lost = extend.filter(|extend| {
        let (extended, recorded) = tally.get(extend_key(extend));
        extended > recorded
    });
    let extra = record.filter(|id| {
        let (extended, recorded) = tally.get(comparison.record_key(*id));
        recorded > extended
    });
    findings.extend(lost.map(|extend| comparison.missing(at, extend, totals.take())));
    findings.extend(extra.map(|id| {
        let (extended, _) = tally.get(comparison.record_key(id));
        comparison.surplus(at, id, extended, totals.take())
    }));
    if let (true, Some(id), Some(extend)) = (findings.is_empty(), record, extend) {
        findings.push(comparison.out_of_order(at, id, extend, totals.take()));
    }
    findings
}

impl Comparison<'_, '_> {
    fn record_key(&self, id: RecordId) -> Key {
        let records = &self.evidence.records;
        key(records.get(id).pcr, (0..records.active().len()).map(|bank| records.extended(id, bank)))
    }

    /// A record in context: number, name, template, digest, and in which list it was found.
    fn record(&self, at: usize) -> Option<Record> {
        self.evidence.record_of(self.whole, at)
    }

    /// The record that is there.
    fn record_that_is(&self, at: usize, id: RecordId) -> Record {
        self.record(at).unwrap_or_else(|| self.evidence.record_at(id, at))
    }

    /// Right in one bank and wrong in another, or right but for the PCR.
    fn half_right(
        &self,
        at: usize,
        id: RecordId,
        extend: &Extend,
        totals: Option<Totals>,
    ) -> Option<ExactlyOnce> {
        let records = &self.evidence.records;
        let (right, wrong): (Vec<usize>, Vec<usize>) = (0..extend.digests.len())
            .filter(|bank| extend.digests[*bank].is_some())
            .partition(|bank| extend.digests[*bank] == Some(records.extended(id, *bank)));
        if right.is_empty() {
            return None;
        }
        let (record, of) = (self.record_that_is(at, id), self.evidence.extend(at, extend));
        let Some(bank) = wrong.first() else {
            let expected = records.get(id).pcr;
            return Some(ExactlyOnce::WrongPcr { record, extend: of, expected, totals });
        };
        let (expected, found) = (records.extended(id, *bank), extend.digests[*bank]?);
        Some(ExactlyOnce::WrongDigest {
            record,
            extend: of,
            bank: records.active()[*bank].name().to_owned(),
            expected_digest: expected.to_string(),
            found_digest: found.to_string(),
            padded_sha1: is_padded_sha1(&found, &records.shown(id, Bank::Sha1)),
            totals,
        })
    }

    fn missing(&self, at: usize, extend: &Extend, totals: Option<Totals>) -> ExactlyOnce {
        let mut rest = self.extends.iter().skip(at);
        let lost = match self.whole.records.get(at) {
            Some(next) => rest.position(|extend| is_extend_of(&self.evidence.records, next, &extend)),
            None => Some(rest.count()),
        };
        ExactlyOnce::RecordLost {
            extend: self.evidence.extend(at, extend),
            records: lost.map_or(1, |lost| lost.max(1) as u64),
            after: at.checked_sub(1).and_then(|before| self.record(before)),
            before: self.record(at),
            totals,
        }
    }

    fn surplus(&self, at: usize, id: RecordId, extended: u32, totals: Option<Totals>) -> ExactlyOnce {
        let record = self.record_that_is(at, id);
        let records = &self.evidence.records;
        if extended > 0 {
            let whole = &self.whole.records;
            let twin = whole.iter().enumerate().position(|(other, twin)| other != at && twin == id);
            let number = self.extends.iter().position(|extend| is_extend_of(records, id, &extend));
            return ExactlyOnce::RecordDoubled {
                record,
                twin: twin.and_then(|twin| self.record(twin)),
                extended: extended.into(),
                extend_number: number.map(|number| number as u64 + 1),
                totals,
            };
        }
        let same = |extend: &Extend| {
            (0..extend.digests.len())
                .all(|bank| extend.digests[bank].is_none_or(|digest| digest == records.extended(id, bank)))
        };
        let tap = &self.evidence.tap;
        if let Some(failed) = tap.failed.iter().find(|failed| same(&failed.extend)) {
            let event = failed.extend.seq;
            return ExactlyOnce::ExtendFailed { record, response: failed.code, event, totals };
        }
        let mut reached = tap.reached().filter_map(|at| tap.attempts.get(at));
        match reached.find(|extend| extend.pcr != records.get(id).pcr && same(extend)) {
            Some(Extend { pcr, seq: event, .. }) => {
                ExactlyOnce::ExtendedElsewhere { record, pcr, event, totals }
            }
            None => ExactlyOnce::NeverExtended { record, totals },
        }
    }

    fn out_of_order(&self, at: usize, id: RecordId, extend: &Extend, totals: Option<Totals>) -> ExactlyOnce {
        let records = &self.evidence.records;
        let own = self.extends.iter().skip(at).position(|extend| is_extend_of(records, id, &extend));
        let others = &self.whole.records;
        let other = others.iter().skip(at).position(|id| is_extend_of(records, id, extend));
        let record = self.record_that_is(at, id);
        let of_other = other.and_then(|other| self.record(other + at));
        let extend_number = own.map(|own| (own + at) as u64 + 1);
        let other_extend_number = at as u64 + 1;
        if own == other {
            let other = of_other;
            ExactlyOnce::RecordsSwapped { record, other, extend_number, other_extend_number, totals }
        } else {
            let other = of_other;
            ExactlyOnce::OutOfOrder { record, other, extend_number, other_extend_number, totals }
        }
    }
}

/// The kernel gives a bank whose hash it lacks the SHA-1 digest and zeros (`ima_calc_field_array_hash`,
/// `security/integrity/ima/ima_crypto.c`).
fn is_padded_sha1(found: &Digest, sha1: &Digest) -> bool {
    let (start, rest) = found.as_bytes().split_at(Bank::Sha1.digest_size());
    start == sha1.as_bytes() && !rest.is_empty() && rest.iter().all(|byte| *byte == 0)
}
