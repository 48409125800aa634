//! Invariant `quote`: every quote verifies with the nonce that the harness chose, and what it quotes is a prefix
//! of the whole log: the records whose extends the TPM had carried out by then.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{AtMark, Evidence, IMA_PCR};
use super::replayer::Replayer;
use super::sheet::{Sheet, count};
use super::whole::Wholes;
use crate::outcome::CheckResult;
use imalab_formats::ima::Bank;
use imalab_formats::tpm::quote;
use imalab_language::plan::MarkDeed;
use imalab_trace::QuoteTaken;

pub(super) fn check(evidence: &Evidence<'_>, wholes: &Wholes) -> CheckResult {
    let mut sheet = Sheet::new("quote");
    if let Some(why) = evidence.tap.not_alone() {
        sheet.obstacle(why);
        return sheet.result();
    }
    for mark in evidence.plan.marks.iter().filter(|mark| mark.does == MarkDeed::Quote) {
        if !evidence.quotes.contains_key(&mark.number) {
            sheet.obstacle(format!("mark {}: no quote was taken", mark.number));
        }
    }
    if evidence.quotes.is_empty() && evidence.plan.marks.iter().all(|mark| mark.does != MarkDeed::Quote) {
        sheet.not_applicable("no quote step");
        return sheet.result();
    }
    let mut quotes: Vec<&AtMark<&QuoteTaken>> = evidence.quotes.values().collect();
    quotes.sort_unstable_by_key(|quote| quote.seq);

    let mut resets = BTreeMap::new();
    let mut nonces = BTreeSet::new();
    for quote in &quotes {
        let taken = quote.seen;
        if !nonces.insert(&taken.nonce) {
            sheet.finding(format!("mark {}: its nonce was used before", taken.mark));
        }
        match quote::verify(taken, &taken.nonce) {
            Ok(verified) => {
                resets.entry(verified.reset_count).or_insert(taken.mark);
            }
            Err(error) => sheet.finding(format!("mark {}: {error}", taken.mark)),
        }
        banks(evidence, taken, &mut sheet);
    }
    if resets.len() > 1 {
        sheet.finding(format!("the TPM was reset between the quotes at marks {:?}", resets.values()));
    }
    let records = log(evidence, wholes, &quotes, &mut sheet);
    sheet.rests_on(quotes.len(), "quotes");
    sheet.rests_on(records, "records");
    sheet.rests_on(evidence.records.active().len(), "banks");
    if let Some(whole) = wholes.last() {
        sheet.leaves_out(
            whole.records.len().saturating_sub(records),
            "records of other PCRs, or that came after the last quote",
        );
    }
    if !quotes.is_empty() {
        let names: Vec<&str> = evidence.records.active().iter().map(|bank| bank.name()).collect();
        sheet.fact(format!("{}, banks {}", count(quotes.len(), "quote"), names.join(" ")));
    }
    sheet.result()
}

/// A quote covers just the machine's banks, and says what was read under the same mark.
fn banks(evidence: &Evidence<'_>, taken: &QuoteTaken, sheet: &mut Sheet) {
    let quoted: BTreeSet<Bank> = taken.values.iter().map(|value| value.bank).collect();
    if quoted != evidence.records.active().iter().copied().collect() {
        let names: Vec<&str> = quoted.iter().map(|bank| bank.name()).collect();
        sheet.finding(format!("mark {}: it quotes banks {}", taken.mark, names.join(" ")));
    }
    let Some(reading) = evidence.pcrs.get(&taken.mark) else { return };
    for value in &taken.values {
        let read = reading.seen.values.iter().find(|read| read.bank == value.bank);
        if let Some(read) = read.filter(|read| read.digest != value.digest) {
            sheet.finding(format!(
                "mark {}: {}: it quotes {}, PCR {IMA_PCR} was read as {}",
                taken.mark,
                value.bank,
                hex::encode(&value.digest),
                hex::encode(&read.digest)
            ));
        }
    }
}

/// What was quoted against the whole log at the end, as far as it was extended by then. How many records that were at most.
fn log(
    evidence: &Evidence<'_>,
    wholes: &Wholes,
    quotes: &[&AtMark<&QuoteTaken>],
    sheet: &mut Sheet,
) -> usize {
    let Some(whole) = wholes.last().filter(|whole| !whole.has_gap()) else {
        sheet.obstacle("no checkpoint shows a whole log that the quotes could be compared with");
        return 0;
    };
    let records = wholes.extended(evidence, whole, IMA_PCR);
    let mut replayer = Replayer::new(evidence);
    let extends = evidence.tap.extends_of(IMA_PCR);
    let mut most = 0;
    for quote in quotes {
        let extended = extends.before(quote.seq);
        let mark = quote.seen.mark;
        if extended > records.len() {
            sheet.finding(format!(
                "mark {mark}: {} came before the quote, the whole log holds {}",
                count(extended, "extend"),
                count(records.len(), "record")
            ));
            continue;
        }
        most = most.max(extended);
        replayer.go_to(&records.slice(0..extended));
        for (at, bank) in evidence.records.active().iter().enumerate() {
            let value = quote.seen.values.iter().find(|value| value.bank == *bank);
            let Some(value) = value.filter(|value| value.digest != replayer.values()[at].as_bytes()) else {
                continue;
            };
            sheet.finding(format!(
                "mark {mark}: {bank}: it quotes {}, the first {} of the log give {}; {}",
                hex::encode(&value.digest),
                count(extended, "record"),
                replayer.values()[at],
                replayer.prefix_hint(&records, at, &value.digest)
            ));
        }
    }
    most
}
