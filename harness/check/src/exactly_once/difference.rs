//! Says what happened where the extends and the records part.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Comparison, is_extend_of};
use crate::evidence::{Extend, RecordId};
use crate::ledger::Source;
use crate::sheet::count;
use imalab_formats::ima::{Bank, Digest};
use imalab_formats::tpm::response;

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

    fn totals(&self) -> String {
        let (mut lost, mut doubled, mut never) = (0, 0, 0);
        for (extended, recorded) in self.counts.values().copied() {
            lost += extended.saturating_sub(recorded);
            match extended {
                0 => never += recorded,
                _ => doubled += recorded.saturating_sub(extended),
            }
        }
        format!(
            "in all: {lost} extended and not recorded, {doubled} doubled, {never} recorded and never extended"
        )
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
pub(super) fn tell(comparison: &Comparison<'_, '_>, at: usize) -> Vec<String> {
    let tally = Tally::of(comparison);
    let record = comparison.whole.records.get(at);
    let extend = comparison.extends.get(at);
    let mut findings = Vec::new();
    let extend = extend.as_ref();
    if let (Some(id), Some(extend)) = (record, extend)
        && let Some(finding) = comparison.half_right(at, id, extend)
    {
        findings.push(finding);
    } else {
        let lost = extend.filter(|extend| {
            let (extended, recorded) = tally.get(extend_key(extend));
            extended > recorded
        });
        let extra = record.filter(|id| {
            let (extended, recorded) = tally.get(comparison.record_key(*id));
            recorded > extended
        });
        findings.extend(lost.map(|extend| comparison.missing(at, extend)));
        findings.extend(extra.map(|id| comparison.surplus(at, id, tally.get(comparison.record_key(id)).0)));
        if let (true, Some(id), Some(extend)) = (findings.is_empty(), record, extend) {
            findings.push(comparison.out_of_order(at, id, extend));
        }
    }
    // Not findings of their own: a known defect is told by what every finding says.
    let totals = format!(
        " [{}, {}; {}]",
        count(comparison.extends.len(), "extend"),
        count(comparison.whole.records.len(), "record"),
        tally.totals()
    );
    if let Some(first) = findings.first_mut() {
        first.push_str(&totals);
    }
    findings
}

impl Comparison<'_, '_> {
    fn record_key(&self, id: RecordId) -> Key {
        let records = &self.evidence.records;
        key(records.get(id).pcr, (0..records.active().len()).map(|bank| records.extended(id, bank)))
    }

    /// A record in context: number, name, template, digest, and in which list it was found.
    fn record(&self, at: usize) -> String {
        let Some(id) = self.whole.records.get(at) else { return "the end of the log".to_owned() };
        let place = self.whole.place(at).map_or_else(String::new, |(stretch, inside)| {
            let (list, step) = match stretch.source {
                Source::Saved(step) => ("saved", step),
                Source::Staged(step) => ("staged", step),
                Source::Trimmed(step) => ("trimmed", step),
                Source::Current(step) => ("current", step),
                Source::Lost(step) => ("lost at a kexec", step),
                Source::Gap { by, .. } => ("unread", by),
            };
            format!(", {list}: number {} in what {} read", inside + 1, self.evidence.name(step))
        });
        format!("record {} {}{place}", at + 1, self.evidence.records.describe(id))
    }

    /// An extend in context: number, event, digest, and the name of the record if any list ever showed it.
    fn extend(&self, at: usize, extend: &Extend) -> String {
        let digest = extend.digests.iter().flatten().next();
        let known = match digest {
            Some(digest) if *digest == Digest::ones(digest.bank()) => ", a violation".to_owned(),
            Some(digest) => {
                let bank = self.evidence.records.active().iter().position(|bank| *bank == digest.bank());
                bank.and_then(|bank| self.evidence.records.with_digest(bank, digest)).map_or_else(
                    || ", in no list that was ever read".to_owned(),
                    |id| format!(", {}", self.evidence.records.get(id).name()),
                )
            }
            None => String::new(),
        };
        let digest =
            digest.map_or_else(|| "no digest".to_owned(), |digest| format!("{}:{digest}", digest.bank()));
        format!("extend #{} (event {}, PCR {}, {digest}{known})", at + 1, extend.seq, extend.pcr)
    }

    /// Right in one bank and wrong in another, or right but for the PCR.
    fn half_right(&self, at: usize, id: RecordId, extend: &Extend) -> Option<String> {
        let records = &self.evidence.records;
        let (right, wrong): (Vec<usize>, Vec<usize>) = (0..extend.digests.len())
            .filter(|bank| extend.digests[*bank].is_some())
            .partition(|bank| extend.digests[*bank] == Some(records.extended(id, *bank)));
        if right.is_empty() {
            return None;
        }
        let what = match wrong.first() {
            None => {
                format!("extended PCR {} with its digests, expected PCR {}", extend.pcr, records.get(id).pcr)
            }
            Some(bank) => {
                let (expected, found) = (records.extended(id, *bank), extend.digests[*bank]?);
                let hint = if is_padded_sha1(&found, &expected_sha1(self, id)) {
                    ": that is its SHA-1 digest padded with zeros, so the kernel lacks the bank's hash"
                } else {
                    ""
                };
                let bank = records.active()[*bank];
                format!("extended {bank} with another digest: expected {expected}, found {found}{hint}")
            }
        };
        Some(format!("{}: {what} (extend #{}, event {})", self.record(at), at + 1, extend.seq))
    }

    fn missing(&self, at: usize, extend: &Extend) -> String {
        let mut rest = self.extends.iter().skip(at);
        let lost = match self.whole.records.get(at) {
            Some(next) => rest.position(|extend| is_extend_of(&self.evidence.records, next, &extend)),
            None => Some(rest.count()),
        };
        let range = match lost {
            Some(lost @ 2..) => format!("records {} to {} are missing: the first is", at + 1, at + lost),
            _ => format!("record {} is missing:", at + 1),
        };
        let before = match at.checked_sub(1) {
            Some(before) => format!("after {}, ", self.record(before)),
            None => String::new(),
        };
        let next = self.record(at);
        format!("{range} {}, found in no chunk; {before}before {next}", self.extend(at, extend))
    }

    fn surplus(&self, at: usize, id: RecordId, extended: u32) -> String {
        let record = self.record(at);
        let records = &self.evidence.records;
        if extended > 0 {
            let whole = &self.whole.records;
            let twin = whole.iter().enumerate().position(|(other, twin)| other != at && twin == id);
            let as_number = self.extends.iter().position(|extend| is_extend_of(records, id, &extend));
            return format!(
                "{record} is doubled: it was extended {extended} times, first as #{}, and is also {}",
                as_number.map_or(0, |number| number + 1),
                twin.map_or_else(|| "elsewhere".to_owned(), |twin| self.record(twin))
            );
        }
        let same = |extend: &Extend| {
            (0..extend.digests.len())
                .all(|bank| extend.digests[bank].is_none_or(|digest| digest == records.extended(id, bank)))
        };
        let tap = &self.evidence.tap;
        let why = if let Some(failed) = tap.failed.iter().find(|failed| same(&failed.extend)) {
            format!("its extend failed with {} (event {})", response::name(failed.code), failed.extend.seq)
        } else if let Some(other) = tap
            .reached()
            .filter_map(|at| tap.attempts.get(at))
            .find(|extend| extend.pcr != records.get(id).pcr && same(extend))
        {
            format!("it was extended into PCR {} instead (event {})", other.pcr, other.seq)
        } else {
            "no extend that the tap saw is its own".to_owned()
        };
        format!("{record} was never extended: {why}")
    }

    fn out_of_order(&self, at: usize, id: RecordId, extend: &Extend) -> String {
        let records = &self.evidence.records;
        let own = self
            .extends
            .iter()
            .skip(at)
            .position(|extend| is_extend_of(records, id, &extend))
            .map(|n| n + at);
        let other = self
            .whole
            .records
            .iter()
            .skip(at)
            .position(|id| is_extend_of(records, id, extend))
            .map(|n| n + at);
        let own_text = own.map_or_else(|| "another".to_owned(), |own| format!("#{}", own + 1));
        let other_text = other.map_or_else(|| "a record before".to_owned(), |other| self.record(other));
        let verb =
            if own == other { "is swapped with" } else { "is out of order: in its place was extended" };
        format!(
            "{} {verb} {other_text}: it was extended as {own_text}, the other as #{}",
            self.record(at),
            at + 1
        )
    }
}

/// The kernel gives a bank whose hash it lacks the SHA-1 digest and zeros (`ima_calc_field_array_hash`,
/// `security/integrity/ima/ima_crypto.c`).
fn is_padded_sha1(found: &Digest, sha1: &Digest) -> bool {
    let (start, rest) = found.as_bytes().split_at(Bank::Sha1.digest_size());
    start == sha1.as_bytes() && !rest.is_empty() && rest.iter().all(|byte| *byte == 0)
}

fn expected_sha1(comparison: &Comparison<'_, '_>, id: RecordId) -> Digest {
    comparison.evidence.records.shown(id, Bank::Sha1)
}
