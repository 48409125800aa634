//! Invariant `replay`: the whole log, replayed, gives PCR 10 in every active bank.
//!
//! A record is appended before its PCR is extended, both under one mutex (`ima_add_template_entry`,
//! `security/integrity/ima/ima_queue.c`). So the log may lead the PCR by the one record in flight and never lags;
//! when nothing else runs they are equal.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::evidence::{AtMark, Chosen, Evidence, IMA_PCR};
use super::exactly_once::is_extend_of;
use super::replayer::Replayer;
use super::sheet::{Sheet, count};
use super::violations::{self, Counters};
use super::whole::{Whole, Wholes};
use crate::outcome::CheckResult;
use imalab_formats::ima::{Bank, Digest};
use imalab_language::plan::{MarkDeed, Observed};
use imalab_trace::PcrReading;

/// Records that may be appended and not yet extended: one, since both happen under one mutex.
const IN_FLIGHT: usize = 1;

pub(super) fn check(evidence: &Evidence<'_>, wholes: &Wholes, counters: &Counters) -> CheckResult {
    let mut sheet = Sheet::new("replay");
    if let Some(why) = evidence.tap.not_alone() {
        sheet.obstacle(why);
        return sheet.result();
    }
    let banks = evidence.records.active();
    let extends = evidence.tap.extends_of(IMA_PCR);

    tap(evidence, &extends, &mut sheet);

    let mut replayer = Replayer::new(evidence);
    let (mut points, mut samples, mut violations, mut records, mut others) = (0, 0, None, 0, 0);
    for whole in &wholes.all {
        let name = evidence.name(whole.step);
        let Some(mark) = whole.mark else {
            sheet.obstacle(format!("{name}: it has no mark at which PCR {IMA_PCR} could be read"));
            continue;
        };
        let Some(reading) = evidence.pcrs.get(&mark) else { continue };
        if whole.has_gap() {
            sheet.obstacle(format!(
                "{name}: records of the log were taken out unread, so it cannot be replayed"
            ));
            continue;
        }
        if whole.quiescent {
            points += 1;
            let of_pcr = wholes.extended(evidence, whole, IMA_PCR).len();
            records = records.max(of_pcr);
            others = others.max(whole.records.len() - of_pcr);
            equal(&mut replayer, wholes, whole, reading, &extends, &mut sheet);
            violations = counter(evidence, counters, whole, &mut sheet).or(violations);
        } else {
            samples += 1;
            sampled(evidence, wholes, whole, reading, &extends, &mut sheet);
        }
    }
    if points == 0 {
        sheet.obstacle("no quiescent checkpoint: nowhere do log and PCR owe each other equality");
    }
    let names: Vec<&str> = banks.iter().map(|bank| bank.name()).collect();
    sheet.fact(count(points, "quiescent point"));
    if samples > 0 {
        sheet.fact(format!("{samples} sampled"));
    }
    sheet.fact(format!("banks {}", names.join(" ")));
    sheet.fact(count(records, "record"));
    sheet.rests_on(points, "quiescent points");
    sheet.rests_on(records, "records");
    sheet.rests_on(names.len(), "banks");
    sheet.compared(samples, "sampled points");
    sheet.compared(violations.unwrap_or(0), "violations");
    sheet.leaves_out(others, "records of other PCRs, or that were kept from the TPM");
    match violations {
        Some(violations) => {
            sheet.fact(count(violations, "violation"));
            counters.tell().into_iter().for_each(|told| sheet.fact(told));
        }
        None => sheet.obstacle("no quiescent checkpoint read the counter of violations"),
    }
    sheet.result()
}

/// At every mark PCR 10 has to be what the extends before it make of it, in just the machine's banks. Otherwise
/// it was changed behind the tap, and no other check stands on firm ground.
fn tap(evidence: &Evidence<'_>, extends: &Chosen<'_>, sheet: &mut Sheet) {
    let banks = evidence.records.active();
    let mut values: Vec<Digest> = banks.iter().map(|bank| Digest::zero(*bank)).collect();
    let mut done = 0;
    let reads =
        evidence.plan.marks.iter().filter(|mark| matches!(mark.does, MarkDeed::Read | MarkDeed::Quote));
    for mark in reads.filter(|mark| !evidence.pcrs.contains_key(&mark.number)) {
        sheet.obstacle(format!("mark {}: PCR {IMA_PCR} was not read", mark.number));
    }
    let mut readings: Vec<&AtMark<&PcrReading>> = evidence.pcrs.values().collect();
    readings.sort_unstable_by_key(|reading| reading.seq);
    for reading in readings {
        let mark = reading.seen.mark;
        let read: BTreeSet<Bank> = reading.seen.values.iter().map(|value| value.bank).collect();
        if read != banks.iter().copied().collect() || reading.seen.values.len() != banks.len() {
            let names: Vec<&str> = reading.seen.values.iter().map(|value| value.bank.name()).collect();
            sheet.finding(format!("mark {mark}: PCR {IMA_PCR} was read in banks {}", names.join(" ")));
        }
        while let Some(extend) = extends.get(done).filter(|extend| extend.seq < reading.seq) {
            for (value, digest) in values.iter_mut().zip(&extend.digests) {
                if let Some(digest) = digest {
                    value.extend(digest);
                }
            }
            done += 1;
        }
        for (value, bank) in values.iter().zip(banks) {
            let found = value_of(reading.seen, *bank);
            if found.is_some_and(|found| found != value.as_bytes()) {
                sheet.finding(format!(
                    "mark {mark}: {bank}: the {done} extends that the tap saw give {value}, PCR {IMA_PCR} is {}",
                    hex::encode(found.unwrap_or_default())
                ));
            }
        }
    }
}

fn value_of(reading: &PcrReading, bank: Bank) -> Option<&[u8]> {
    reading.values.iter().find(|value| value.bank == bank).map(|value| value.digest.as_slice())
}

/// The whole log of a quiescent checkpoint, replayed, is PCR 10 at its mark.
fn equal(
    replayer: &mut Replayer<'_, '_>,
    wholes: &Wholes,
    whole: &Whole,
    reading: &AtMark<&PcrReading>,
    extends: &Chosen<'_>,
    sheet: &mut Sheet,
) {
    let evidence = replayer.evidence();
    let records = wholes.extended(evidence, whole, IMA_PCR);
    replayer.go_to(&records);
    let extended = extends.before(reading.seq);
    for (at, bank) in evidence.records.active().iter().enumerate() {
        let Some(found) = value_of(reading.seen, *bank) else { continue };
        if replayer.values()[at].as_bytes() == found {
            continue;
        }
        sheet.finding_at(
            evidence.began(whole.step),
            format!(
                "{}, mark {}: {bank}: the log of {}, replayed, gives {}, PCR {IMA_PCR} is {} after {}; {}",
                evidence.name(whole.step),
                reading.seen.mark,
                count(records.len(), "record"),
                replayer.values()[at],
                hex::encode(found),
                count(extended, "extend"),
                replayer.prefix_hint(&records, at, found),
            ),
        );
    }
}

/// While others may measure, the log that was read before the mark is a prefix of what was extended by then, or
/// leads it by what was in flight.
fn sampled(
    evidence: &Evidence<'_>,
    wholes: &Wholes,
    whole: &Whole,
    reading: &AtMark<&PcrReading>,
    extends: &Chosen<'_>,
    sheet: &mut Sheet,
) {
    let records = wholes.extended(evidence, whole, IMA_PCR);
    let extended = extends.before(reading.seq);
    let same = records
        .iter()
        .zip(extends.iter().take(extended))
        .take_while(|(id, extend)| is_extend_of(&evidence.records, *id, extend))
        .count();
    let place = format!("{}, mark {}", evidence.name(whole.step), reading.seen.mark);
    if same < records.len().min(extended) {
        sheet.finding_at(evidence.began(whole.step), format!(
            "{place}: record {} {} is not what was extended as #{} (event {}), though other tasks ran only after it",
            same + 1,
            records.get(same).map_or_else(String::new, |id| evidence.records.describe(id)),
            same + 1,
            extends.get(same).map_or(0, |extend| extend.seq)
        ));
    } else if records.len() > extended + IN_FLIGHT {
        sheet.finding_at(evidence.began(whole.step), format!(
            "{place}: the log holds {}, only {} came before the mark: at most {IN_FLIGHT} can be in flight",
            count(records.len(), "record"),
            count(extended, "extend")
        ));
    }
}

/// Violations in the log against the kernel's counter of them, which a boot starts at 0 or at those that were carried
/// ([`Counters`]). How many there are.
fn counter(evidence: &Evidence<'_>, counters: &Counters, whole: &Whole, sheet: &mut Sheet) -> Option<usize> {
    let boot = violations::boot_of(evidence, whole);
    let begun = counters.begins(u32::try_from(boot).unwrap_or(u32::MAX));
    let found = violations::own(evidence, whole) + begun;
    let mut compared = None;
    for counter in
        evidence.counters_of(whole.step).iter().filter(|counter| counter.of == Observed::Violations)
    {
        compared = Some(found);
        if counter.value != found as u64 {
            sheet.finding(format!(
                "{}: the kernel counts {} violations, the log holds {found}{}",
                evidence.name(whole.step),
                counter.value,
                match (boot > 1, begun) {
                    (false, _) => String::new(),
                    (true, 0) => " of this kernel's own".to_owned(),
                    (true, begun) => format!(", {begun} of them from before the kexec"),
                }
            ));
        }
    }
    compared
}
