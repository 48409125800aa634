//! Invariant `replay`: the whole log, replayed, gives PCR 10 in every active bank.
//!
//! A record is appended before its PCR is extended, both under one mutex (`ima_add_template_entry`,
//! `security/integrity/ima/ima_queue.c`). So the log may lead the PCR by the one record in flight and never lags;
//! when nothing else runs they are equal.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::Case;
use super::evidence::{AtMark, Chosen, Evidence, IMA_PCR};
use super::exactly_once::is_extend_of;
use super::findings::Findings;
use super::reconstruction::{Reconstruction, Reconstructions};
use super::replayer::Replayer;
use super::subjects::names;
use super::violations::{self, Counters};
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::{Bank, Digest};
use imalab_language::finding::{Fact, Replay};
use imalab_language::plan::{MarkAction, Observed};
use imalab_trace::PcrReading;

/// Records that may be appended and not yet extended: one, since both happen under one mutex.
const IN_FLIGHT: usize = 1;

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let super::Digest { evidence, reconstructions, counters, .. } = case.digest;
    let mut findings = Findings::new(Check::Replay);
    if let Some(why) = evidence.tap.not_alone() {
        findings.obstacle(why);
        return findings.result();
    }
    let banks = evidence.records.active();
    let extends = evidence.tap.extends_of(IMA_PCR);

    tap(evidence, &extends, &mut findings);

    let mut replayer = Replayer::new(evidence);
    let (mut points, mut samples, mut violations, mut records, mut others) = (0, 0, None, 0, 0);
    for whole in &reconstructions.all {
        let Some(mark) = whole.mark else {
            findings.obstacle(Replay::NoMark { step: evidence.step(whole.step) });
            continue;
        };
        let Some(reading) = evidence.pcrs.get(&mark) else { continue };
        if whole.has_gap() {
            findings.obstacle(Replay::Gap { step: evidence.step(whole.step) });
            continue;
        }
        if whole.quiescent {
            points += 1;
            let of_pcr = reconstructions.extended(evidence, whole, IMA_PCR).len();
            records = records.max(of_pcr);
            others = others.max(whole.records.len() - of_pcr);
            equal(&mut replayer, reconstructions, whole, reading, &extends, &mut findings);
            violations = counter(evidence, counters, whole, &mut findings).or(violations);
        } else {
            samples += 1;
            sampled(evidence, reconstructions, whole, reading, &extends, &mut findings);
        }
    }
    if points == 0 {
        findings.obstacle(Replay::NoQuiescentCheckpoint {});
    }
    findings.rests_on(points, "quiescent points");
    findings.rests_on(records, "records");
    findings.rests_on(banks.len(), "banks");
    findings.fact(Fact::Banks { banks: evidence.banks() });
    findings.compared(samples, "sampled points");
    findings.compared(violations.unwrap_or(0), "violations");
    findings.leaves_out(others, "records of other PCRs, or that were kept from the TPM");
    match violations {
        Some(_) => {
            if let Some(counter) = counters.at_kexec() {
                findings.fact(Fact::ViolationsAtKexec { counter });
            }
        }
        None => findings.obstacle(Replay::ViolationsNotRead {}),
    }
    findings.result()
}

/// At every mark PCR 10 has to be what the extends before it make of it, in just the machine's banks. Otherwise
/// it was changed behind the tap, and no other check stands on firm ground.
fn tap(evidence: &Evidence<'_>, extends: &Chosen<'_>, findings: &mut Findings) {
    let banks = evidence.records.active();
    let mut values: Vec<Digest> = banks.iter().map(|bank| Digest::zero(*bank)).collect();
    let mut done = 0;
    let reads =
        evidence.plan.marks.iter().filter(|mark| matches!(mark.does, MarkAction::Read | MarkAction::Quote));
    for mark in reads.filter(|mark| !evidence.pcrs.contains_key(&mark.number)) {
        findings.obstacle(Replay::PcrNotRead { mark: mark.number });
    }
    let mut readings: Vec<&AtMark<&PcrReading>> = evidence.pcrs.values().collect();
    readings.sort_unstable_by_key(|reading| reading.seq);
    for reading in readings {
        let mark = reading.seen.mark;
        let read: BTreeSet<Bank> = reading.seen.values.iter().map(|value| value.bank).collect();
        if read != banks.iter().copied().collect() || reading.seen.values.len() != banks.len() {
            let found = names(reading.seen.values.iter().map(|value| value.bank));
            findings.finding(Replay::Banks { mark, expected: evidence.banks(), found });
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
                findings.finding(Replay::ChangedBehindTheTap {
                    mark,
                    bank: bank.name().to_owned(),
                    extends: done as u64,
                    expected_digest: value.to_string(),
                    found_digest: hex::encode(found.unwrap_or_default()),
                });
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
    reconstructions: &Reconstructions,
    whole: &Reconstruction,
    reading: &AtMark<&PcrReading>,
    extends: &Chosen<'_>,
    findings: &mut Findings,
) {
    let evidence = replayer.evidence();
    let records = reconstructions.extended(evidence, whole, IMA_PCR);
    replayer.go_to(&records);
    let extended = extends.before(reading.seq);
    for (at, bank) in evidence.records.active().iter().enumerate() {
        let Some(found) = value_of(reading.seen, *bank) else { continue };
        if replayer.values()[at].as_bytes() == found {
            continue;
        }
        let finding = Replay::PcrDiffers {
            step: evidence.step(whole.step),
            mark: reading.seen.mark,
            bank: bank.name().to_owned(),
            records: records.len() as u64,
            extends: extended as u64,
            expected_digest: replayer.values()[at].to_string(),
            found_digest: hex::encode(found),
            prefix: replayer.prefix(&records, at, found),
        };
        findings.finding_at(evidence.began(whole.step), finding);
    }
}

/// While others may measure, the log that was read before the mark is a prefix of what was extended by then, or
/// leads it by what was in flight.
fn sampled(
    evidence: &Evidence<'_>,
    reconstructions: &Reconstructions,
    whole: &Reconstruction,
    reading: &AtMark<&PcrReading>,
    extends: &Chosen<'_>,
    findings: &mut Findings,
) {
    let records = reconstructions.extended(evidence, whole, IMA_PCR);
    let extended = extends.before(reading.seq);
    let same = records
        .iter()
        .zip(extends.iter().take(extended))
        .take_while(|(id, extend)| is_extend_of(&evidence.records, *id, extend))
        .count();
    let (step, mark) = (evidence.step(whole.step), reading.seen.mark);
    let began = evidence.began(whole.step);
    if same < records.len().min(extended) {
        let record = records.get(same).map(|id| evidence.record_at(id, same));
        let event = extends.get(same).map_or(0, |extend| extend.seq);
        findings
            .finding_at(began, Replay::SampledDiffers { step, mark, record, number: same as u64 + 1, event });
    } else if records.len() > extended + IN_FLIGHT {
        let (records, extends, most) = (records.len() as u64, extended as u64, IN_FLIGHT as u64);
        findings.finding_at(began, Replay::TooFarAhead { step, mark, records, extends, most });
    }
}

/// Violations in the log against the kernel's counter of them, which a boot starts at 0 or at those that were carried
/// ([`Counters`]). How many there are.
fn counter(
    evidence: &Evidence<'_>,
    counters: &Counters,
    whole: &Reconstruction,
    findings: &mut Findings,
) -> Option<usize> {
    let boot = violations::boot_of(evidence, whole);
    let begun = counters.begins(u32::try_from(boot).unwrap_or(u32::MAX));
    let found = violations::own(evidence, whole) + begun;
    let mut compared = None;
    for counter in
        evidence.counters_of(whole.step).iter().filter(|counter| counter.of == Observed::Violations)
    {
        compared = Some(found);
        if counter.value != found as u64 {
            let step = evidence.step(whole.step);
            findings.finding(Replay::Violations {
                boot: u16::try_from(boot.saturating_sub(1)).unwrap_or(u16::MAX),
                step,
                expected: found as u64,
                found: counter.value,
                from_before: begun as u64,
            });
        }
    }
    compared
}
