//! Invariant `quote`: every quote verifies with the nonce that the harness chose, and what it quotes is a prefix
//! of the whole log: the records whose extends the TPM had carried out by then.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{AtMark, Evidence, IMA_PCR};
use super::findings::Findings;
use super::reconstruction::Reconstructions;
use super::replayer::Replayer;
use super::subjects::names;
use super::{Case, Digest};
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::Bank;
use imalab_formats::tpm::quote;
use imalab_language::finding::{Fact, Quote};
use imalab_language::plan::MarkAction;
use imalab_trace::QuoteTaken;

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let Digest { evidence, reconstructions, .. } = case.digest;
    let mut findings = Findings::new(Check::Quote);
    if let Some(why) = evidence.tap.not_alone() {
        findings.obstacle(why);
        return findings.result();
    }
    for mark in evidence.plan.marks.iter().filter(|mark| mark.does == MarkAction::Quote) {
        if !evidence.quotes.contains_key(&mark.number) {
            findings.obstacle(Quote::NotTaken { mark: mark.number });
        }
    }
    if evidence.quotes.is_empty() && evidence.plan.marks.iter().all(|mark| mark.does != MarkAction::Quote) {
        findings.not_applicable(Quote::NoQuoteStep {});
        return findings.result();
    }
    let mut quotes: Vec<&AtMark<&QuoteTaken>> = evidence.quotes.values().collect();
    quotes.sort_unstable_by_key(|quote| quote.seq);

    let mut resets = BTreeMap::new();
    let mut nonces = BTreeSet::new();
    for quote in &quotes {
        let taken = quote.seen;
        if !nonces.insert(&taken.nonce) {
            findings.finding(Quote::NonceReused { mark: taken.mark });
        }
        match quote::verify(taken, &taken.nonce) {
            Ok(verified) => {
                resets.entry(verified.reset_count).or_insert(taken.mark);
            }
            Err(error) => {
                findings.finding(Quote::Invalid { mark: taken.mark, error: error.to_string() });
            }
        }
        banks(evidence, taken, &mut findings);
    }
    if resets.len() > 1 {
        findings.finding(Quote::TpmReset { marks: resets.values().copied().collect() });
    }
    let records = log(evidence, reconstructions, &quotes, &mut findings);
    findings.rests_on(quotes.len(), "quotes");
    findings.rests_on(records, "records");
    findings.rests_on(evidence.records.active().len(), "banks");
    if let Some(whole) = reconstructions.last() {
        findings.leaves_out(
            whole.records.len().saturating_sub(records),
            "records of other PCRs, or that came after the last quote",
        );
    }
    if !quotes.is_empty() {
        findings.fact(Fact::Banks { banks: evidence.banks() });
    }
    findings.result()
}

/// A quote covers just the machine's banks, and says what was read under the same mark.
fn banks(evidence: &Evidence<'_>, taken: &QuoteTaken, findings: &mut Findings) {
    let quoted: BTreeSet<Bank> = taken.values.iter().map(|value| value.bank).collect();
    if quoted != evidence.records.active().iter().copied().collect() {
        let (mark, found) = (taken.mark, names(quoted.iter().copied()));
        findings.finding(Quote::Banks { mark, expected: evidence.banks(), found });
    }
    let Some(reading) = evidence.pcrs.get(&taken.mark) else { return };
    for value in &taken.values {
        let read = reading.seen.values.iter().find(|read| read.bank == value.bank);
        if let Some(read) = read.filter(|read| read.digest != value.digest) {
            findings.finding(Quote::NotAsRead {
                mark: taken.mark,
                bank: value.bank.name().to_owned(),
                expected_digest: hex::encode(&read.digest),
                found_digest: hex::encode(&value.digest),
            });
        }
    }
}

/// What was quoted against the whole log at the end, as far as it was extended by then. How many records that were at most.
fn log(
    evidence: &Evidence<'_>,
    reconstructions: &Reconstructions,
    quotes: &[&AtMark<&QuoteTaken>],
    findings: &mut Findings,
) -> usize {
    let Some(whole) = reconstructions.last().filter(|whole| !whole.has_gap()) else {
        findings.obstacle(Quote::NoWholeLog {});
        return 0;
    };
    let records = reconstructions.extended(evidence, whole, IMA_PCR);
    let mut replayer = Replayer::new(evidence);
    let extends = evidence.tap.extends_of(IMA_PCR);
    let mut most = 0;
    for quote in quotes {
        let extended = extends.before(quote.seq);
        let mark = quote.seen.mark;
        if extended > records.len() {
            let (extends, records) = (extended as u64, records.len() as u64);
            findings.finding(Quote::AheadOfTheLog { mark, extends, records });
            continue;
        }
        most = most.max(extended);
        replayer.go_to(&records.slice(0..extended));
        for (at, bank) in evidence.records.active().iter().enumerate() {
            let value = quote.seen.values.iter().find(|value| value.bank == *bank);
            let Some(value) = value.filter(|value| value.digest != replayer.values()[at].as_bytes()) else {
                continue;
            };
            findings.finding(Quote::NotOfTheLog {
                mark,
                bank: bank.name().to_owned(),
                records: extended as u64,
                expected_digest: replayer.values()[at].to_string(),
                found_digest: hex::encode(&value.digest),
                prefix: replayer.prefix(&records, at, &value.digest),
            });
        }
    }
    most
}
