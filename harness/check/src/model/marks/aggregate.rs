//! `snapshot_aggregate`: the PCRs as the TPM has them, and how many aggregates there were.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Aggregate, Marks, Said};
use crate::evidence::Evidence;
use imalab_formats::ima::mark::MOST_PCRS;
use imalab_formats::ima::{Bank, Digest};
use imalab_language::finding::Value;

/// PCRs of the dynamic root of trust, which begin with ones and not with zeros (PC Client Platform TPM Profile, 4.6.2).
const DYNAMIC: std::ops::RangeInclusive<usize> = 17..=22;

pub(super) fn check(marks: &mut Marks<'_, '_>, aggregates: &[Said<Aggregate>]) {
    if aggregates.is_empty() {
        return;
    }
    let mut pcrs = Pcrs::of(marks, aggregates);
    for (number, Said { place, says }) in (1..).zip(aggregates) {
        // Of those that nobody read some may have been aggregates.
        let unread = marks.unknown(*place);
        let least = i64::from(number);
        let most = least.saturating_add(i64::try_from(unread).unwrap_or(i64::MAX));
        let expected = if unread == 0 { Value::Number(least) } else { Value::Range { least, most } };
        marks.says(*place, "number", expected, Value::count(says.count));
        let banks = marks.evidence.records.active().to_vec();
        marks.says(*place, "banks", names(banks.iter().map(|bank| bank.name())), named(says));
        let all = pcrs.up_to(marks.evidence, *place);
        if all {
            pcrs.compare(marks, *place, says);
        }
        marks.compared(all);
    }
}

/// Names of banks, in the order of the alphabet: that of the TPM is not known.
fn names<'n>(names: impl Iterator<Item = &'n str>) -> Value {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    Value::word(names.join(","))
}

fn named(says: &Aggregate) -> Value {
    names(says.banks.iter().filter_map(|bank| bank.first()).map(|item| item.algorithm.as_str()))
}

/// The values of the PCRs, by what the tap saw extended.
struct Pcrs {
    banks: Vec<Bank>,
    /// By bank and PCR.
    values: Vec<[Digest; MOST_PCRS]>,
    /// Values that PCRs had since the last record but the aggregate was extended, but for the last ones: only user space extends
    /// them then, and a PCR is read before another, so that each of these may be in the aggregate.
    also: BTreeMap<usize, Vec<Vec<Digest>>>,
    /// The next extend to be taken.
    next: usize,
    /// Places of the aggregates' own extends among all, by the place in the log.
    extends: HashMap<usize, usize>,
    /// Extends in the first bank that are a record's.
    records: HashSet<(u32, Digest)>,
}

impl Pcrs {
    fn of(marks: &Marks<'_, '_>, aggregates: &[Said<Aggregate>]) -> Pcrs {
        let (evidence, log) = (marks.evidence, marks.log);
        let banks = evidence.records.active().to_vec();
        let begins = |bank: Bank| {
            std::array::from_fn(|pcr| match DYNAMIC.contains(&pcr) {
                true => Digest::ones(bank),
                false => Digest::zero(bank),
            })
        };
        let extend = |place: usize| {
            let id = log.id(place)?;
            Some((evidence.records.get(id).pcr, evidence.records.extended(id, 0)))
        };
        let own: HashMap<(u32, Digest), usize> =
            aggregates.iter().filter_map(|said| Some((extend(said.place)?, said.place))).collect();
        let mut extends = HashMap::new();
        for at in 0..evidence.tap.attempts.len() {
            let place = first(evidence, at).and_then(|extend| own.get(&extend));
            extends.extend(place.map(|place| (*place, at)));
        }
        for failed in &evidence.tap.failed {
            let digest = failed.extend.digests.first().copied().flatten();
            let place = digest.and_then(|digest| own.get(&(failed.extend.pcr, digest)));
            let at = place.map(|_| evidence.tap.attempts.before(failed.extend.seq));
            // Sent again it counts where it was taken.
            if let Some((place, at)) = place.copied().zip(at) {
                extends.entry(place).or_insert(at);
            }
        }
        let values = banks.iter().copied().map(begins).collect();
        let records = (0..log.len()).filter_map(extend).collect();
        Pcrs { banks, values, also: BTreeMap::new(), next: 0, extends, records }
    }

    /// Takes what was extended before an aggregate; whether that is known.
    fn up_to(&mut self, evidence: &Evidence<'_>, place: usize) -> bool {
        let alone = evidence.tap.not_alone().is_none();
        let Some(end) = self.extends.get(&place).copied().filter(|_| alone) else { return false };
        for at in self.next..end {
            if first(evidence, at).is_none_or(|extend| self.records.contains(&extend)) {
                self.also.clear();
                self.extend(evidence, at);
                continue;
            }
            let pcr = evidence.tap.attempts.pcr(at).and_then(|pcr| usize::try_from(pcr).ok());
            if let Some(pcr) = pcr.filter(|pcr| *pcr < MOST_PCRS) {
                let before = self.values.iter().map(|values| values[pcr]).collect();
                self.also.entry(pcr).or_default().push(before);
            }
            self.extend(evidence, at);
        }
        self.next = self.next.max(end);
        true
    }

    fn extend(&mut self, evidence: &Evidence<'_>, at: usize) {
        // What the tap kept did not reach the TPM.
        let Some(extend) = evidence.tap.attempts.get(at).filter(|_| !evidence.tap.kept.contains(&at)) else {
            return;
        };
        let pcr = usize::try_from(extend.pcr).unwrap_or(usize::MAX);
        for (values, digest) in self.values.iter_mut().zip(&extend.digests) {
            if let (Some(value), Some(digest)) = (values.get_mut(pcr), digest) {
                value.extend(digest);
            }
        }
    }

    fn compare(&self, marks: &mut Marks<'_, '_>, place: usize, says: &Aggregate) {
        for (bank, values) in self.banks.iter().zip(&self.values) {
            let at = self.banks.iter().position(|other| other == bank).unwrap_or_default();
            for (pcr, value) in (0_u32..).zip(values) {
                if marks.evidence.tap.changed.contains(&pcr) {
                    continue;
                }
                let found = says.value(bank.name(), pcr).unwrap_or_default();
                let had = self.also.get(&(pcr as usize)).into_iter().flatten();
                if had.filter_map(|values| values.get(at)).any(|value| value.as_bytes() == found) {
                    continue;
                }
                let of = format!("{bank}:PCR{pcr}");
                marks.says(place, &of, Value::word(value.to_string()), Value::word(hex::encode(found)));
            }
        }
    }
}

/// The PCR of an extend and its digest in the first bank.
fn first(evidence: &Evidence<'_>, at: usize) -> Option<(u32, Digest)> {
    let extend = evidence.tap.attempts.get(at)?;
    Some((extend.pcr, extend.digests.first().copied().flatten()?))
}
