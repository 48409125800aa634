//! Records that a kernel makes of the log itself: they say what the log is, and what the PCRs are.

use std::collections::BTreeMap;

use crate::changes::{Change, ListChange};
use crate::evidence::Evidence;
use crate::log::WholeLog;
use crate::sheet::Sheet;
use imalab_formats::ima::mark::{Aggregate, LogDigest, Mark};
use imalab_formats::ima::{Bank, Digest};
use imalab_language::finding::{Model, Value};

/// Holds each such record to the records before it.
pub(super) fn check(evidence: &Evidence<'_>, log: &WholeLog<'_>, changes: &[ListChange], sheet: &mut Sheet) {
    let mut marks = Marks { evidence, log, sheet, aggregates: 0, digest: None, trims: Vec::new(), seen: 0 };
    for place in 0..log.len() {
        let Some(id) = log.id(place) else { continue };
        match Mark::of(evidence.records.get(id).borrowed()) {
            None => continue,
            Some(Ok(Mark::Aggregate(aggregate))) => marks.aggregate(place, &aggregate),
            Some(Ok(Mark::Digest(digest))) => marks.digest(place, digest),
            Some(Ok(Mark::Trimmed(trimmed))) => marks.trims.push((place, trimmed.number)),
            Some(Err(error)) => {
                let (byte, expected) = (error.at as u64, Value::word(error.expected));
                marks.sheet.finding(Model::MarkText { record: log.record(evidence, place), byte, expected });
            }
        }
        marks.seen += 1;
    }
    marks.trims(changes);
    let seen = marks.seen;
    if seen > 0 {
        sheet.compared(seen, "records of the log itself");
    }
}

struct Marks<'m, 'e> {
    evidence: &'m Evidence<'e>,
    log: &'m WholeLog<'m>,
    sheet: &'m mut Sheet,
    aggregates: u64,
    /// The last digest, and its place.
    digest: Option<(usize, LogDigest)>,
    /// Records of trims, with what they say.
    trims: Vec<(usize, u64)>,
    seen: usize,
}

impl Marks<'_, '_> {
    fn says(&mut self, place: usize, of: &str, expected: Value, found: Value) {
        if expected != found {
            let record = self.log.record(self.evidence, place);
            self.sheet.finding(Model::Mark { record, of: of.to_owned(), expected, found });
        }
    }

    /// The values are those that the records before it lead to, and the number counts it.
    fn aggregate(&mut self, place: usize, aggregate: &Aggregate) {
        self.aggregates += 1;
        self.says(place, "number", Value::count(self.aggregates), Value::count(aggregate.count));
        if !self.evidence.tap.kept.is_empty() {
            // Not every record was extended.
            return;
        }
        let banks: Vec<Bank> = self.evidence.records.active().to_vec();
        for (at, bank) in banks.into_iter().enumerate() {
            let mut values: BTreeMap<u32, Digest> = BTreeMap::new();
            for before in 0..place {
                let Some(id) = self.log.id(before) else { return };
                let pcr = self.evidence.records.get(id).pcr;
                let value = values.entry(pcr).or_insert_with(|| Digest::zero(bank));
                value.extend(&self.evidence.records.extended(id, at));
            }
            for (pcr, value) in values {
                let found = aggregate.value(bank.name(), pcr).map(hex::encode).unwrap_or_default();
                let of = format!("{bank}:PCR{pcr}");
                self.says(place, &of, Value::word(value.to_string()), Value::word(found));
            }
        }
    }

    /// It is of all records since the last one, which it covers too.
    fn digest(&mut self, place: usize, digest: LogDigest) {
        let (covered, total) = (digest.covered, digest.total);
        match &self.digest {
            Some((last, before)) => {
                let (since, sum) = ((place - last) as u64, before.total + covered);
                self.says(place, "covered", Value::count(since), Value::count(covered));
                self.says(place, "total", Value::count(sum), Value::count(total));
            }
            None => {
                self.says(place, "covered", Value::count(total), Value::count(covered));
                // What a kernel before removed and told nobody is not counted.
                if self.evidence.boots <= 1 {
                    self.says(place, "total", Value::count(place), Value::count(total));
                }
            }
        }
        if let Some((algorithm, hash)) = &digest.digest
            && let Ok(bank) = algorithm.parse::<Bank>()
            && let Some(from) = usize::try_from(covered).ok().and_then(|covered| place.checked_sub(covered))
        {
            let shown: Option<Vec<Vec<u8>>> =
                (from..place).map(|before| self.log.shown(before, false, Bank::Sha1)).collect();
            if let Some(shown) = shown {
                let parts: Vec<&[u8]> = shown.iter().map(Vec::as_slice).collect();
                let expected = Digest::of(bank, &parts).to_string();
                self.says(place, "digest", Value::word(expected), Value::word(hex::encode(hash)));
            }
        }
        self.digest = Some((place, digest));
    }

    /// Each tells how many records its kernel had trimmed by then, where each trim has one.
    fn trims(&mut self, changes: &[ListChange]) {
        let mut trimmed = 0;
        let mut expected = Vec::new();
        for change in changes {
            match change.what {
                Change::Trimmed { records } => {
                    trimmed += records;
                    expected.push(trimmed);
                }
                Change::Carried { .. } => trimmed = 0,
                _ => {}
            }
        }
        let trims = std::mem::take(&mut self.trims);
        if trims.len() != expected.len() {
            return;
        }
        for ((place, found), expected) in trims.into_iter().zip(expected) {
            self.says(place, "number", Value::count(expected), Value::count(found));
        }
    }
}
