//! Invariant `exactly-once`: what the tap saw extended and what user space holds are the same sequence.
//!
//! The tap stands outside the guest, so no kernel can falsify it. Loss, double and swap all show as the first
//! place at which the two sequences part; everything after that is told in totals.

mod difference;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::evidence::{Chosen, Evidence, Extend, IMA_PCR, RecordId, Records};
use super::findings::Findings;
use super::ledger::{Source, Surprise};
use super::reconstruction::Reconstruction;
use super::subjects::names;
use super::{Case, Digest};
use crate::outcome::{Check, CheckResult};
use imalab_language::finding::{self, ExactlyOnce, Fact};

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let Digest { evidence, reconstructions, .. } = case.digest;
    let mut findings = Findings::new(Check::ExactlyOnce);
    // Why records are not in the PCR, before which they are.
    refused::tell(evidence, &mut findings);
    for surprise in &reconstructions.surprises {
        findings.finding(unexplained(evidence, surprise));
    }
    let Some(whole) = reconstructions.last() else {
        findings.obstacle(finding::Evidence::NoListRead {});
        return findings.result();
    };
    let Some(mark) = whole.mark.and_then(|mark| evidence.pcrs.get(&mark)) else {
        findings.obstacle(ExactlyOnce::NoPcrReading { step: evidence.step(whole.step) });
        return findings.result();
    };
    if !whole.quiescent {
        findings.obstacle(ExactlyOnce::NotQuiescent { step: evidence.step(whole.step) });
    }
    // A rule of the policy may name another PCR; whatever the records name is looked at, in one order.
    let mut pcrs: BTreeSet<u32> = whole.records.iter().map(|id| evidence.records.get(id).pcr).collect();
    pcrs.insert(IMA_PCR);
    // Were only those looked at that records name, a list that lost all records of a PCR would be right.
    pcrs.extend(evidence.plan.named_pcrs());
    let attempts = &evidence.tap.attempts;
    let of_pcrs =
        || (0..attempts.len()).filter(|at| attempts.pcr(*at).is_some_and(|pcr| pcrs.contains(&pcr)));
    let is_late = |at: &usize| attempts.seq(*at).is_none_or(|seq| seq >= mark.seq);
    let extends = attempts.at(of_pcrs().filter(|at| !is_late(at)));
    let late = attempts.at(of_pcrs().filter(is_late));
    if extends.is_empty() {
        findings.obstacle(ExactlyOnce::NoExtend { commands: evidence.tap.commands });
        return findings.result();
    }
    if let Some(first) = late.get(0) {
        findings.obstacle(ExactlyOnce::LateExtends { extends: late.len() as u64, event: first.seq });
    }
    fit_banks(evidence, &extends, &mut findings);
    let comparison = Comparison { evidence, whole, extends: &extends };
    if comparison.run(&mut findings) {
        // Only of a log that is right can it be said that a reader saw something else.
        for misfit in &reconstructions.misfits {
            findings.finding(ExactlyOnce::Misread {
                step: evidence.step(misfit.step),
                number: misfit.at as u64 + 1,
                expected_record: whole.records.get(misfit.at).map(|id| evidence.record_at(id, misfit.at)),
                found_record: evidence.record(misfit.read),
            });
        }
    }
    let twice: usize = reconstructions.saved_again.iter().map(|again| again.records).sum();
    if twice > 0 {
        findings.fact(Fact::SavedAgain { records: twice as u64 });
    }
    let lost: usize = whole
        .stretches
        .iter()
        .filter(|stretch| matches!(stretch.source, Source::Lost(_)))
        .map(|stretch| stretch.records.len())
        .sum();
    if let Some(limit) = evidence.limit {
        findings.fact(Fact::LostAsKnown { records: lost as u64, kexec: limit.lost.kexec });
    }
    let banks = evidence.banks();
    findings.rests_on(extends.len(), "extends");
    findings.rests_on(whole.records.len(), "records");
    findings.rests_on(banks.len(), "banks");
    findings.fact(Fact::Banks { banks });
    findings
        .leaves_out(attempts.len() - extends.len() - late.len(), "extends of PCRs that nothing of IMA names");
    findings.leaves_out(evidence.tap.kept.len(), "extends kept from the TPM as planned");
    findings.leaves_out(lost, "records lost as known");
    findings.result()
}

/// What the records of user space cannot explain.
fn unexplained(evidence: &Evidence<'_>, surprise: &Surprise) -> ExactlyOnce {
    match *surprise {
        Surprise::StagedOver { step } => ExactlyOnce::StagedOver { step: evidence.step(step) },
        Surprise::DeletedNothing { step } => ExactlyOnce::DeletedNothing { step: evidence.step(step) },
        Surprise::StagedFromNowhere { step, records } => {
            ExactlyOnce::StagedFromNowhere { step: evidence.step(step), records: records as u64 }
        }
        Surprise::StagedChanged { first, then, at } => ExactlyOnce::StagedChanged {
            step: evidence.step(then),
            earlier: evidence.step(first),
            number: at as u64 + 1,
        },
        Surprise::CarriedUnread { step } => ExactlyOnce::CarriedUnread { step: evidence.step(step) },
    }
}

/// Every extend has to give one digest to each of the machine's banks, and to no other.
fn fit_banks(evidence: &Evidence<'_>, extends: &Chosen<'_>, findings: &mut Findings) {
    let wrong = |extend: &Extend| !extend.foreign.is_empty() || extend.digests.iter().any(Option::is_none);
    let Some((at, extend)) = extends.iter().enumerate().find(|(_, extend)| wrong(extend)) else { return };
    let banks = evidence.records.active().iter().zip(&extend.digests);
    findings.finding(ExactlyOnce::Banks {
        extend: evidence.extend(at, &extend),
        missing: names(banks.filter(|(_, digest)| digest.is_none()).map(|(bank, _)| *bank)),
        foreign: extend.foreign.iter().map(|alg| format!("{alg:#06x}")).collect(),
        affected: extends.iter().filter(wrong).count() as u64,
        extends: extends.len() as u64,
    });
}

/// The two sequences.
struct Comparison<'c, 'a> {
    evidence: &'c Evidence<'a>,
    whole: &'c Reconstruction,
    extends: &'c Chosen<'c>,
}

impl Comparison<'_, '_> {
    /// Whether they are the same.
    fn run(&self, findings: &mut Findings) -> bool {
        let records = &self.whole.records;
        let parts = records
            .iter()
            .zip(self.extends.iter())
            .position(|(id, extend)| !is_extend_of(&self.evidence.records, id, &extend))
            .unwrap_or(records.len().min(self.extends.len()));
        let same = parts == records.len().max(self.extends.len());
        if !same {
            difference::at(self, parts).into_iter().for_each(|finding| findings.finding(finding));
        }
        for (at, step, records) in self.whole.gaps() {
            let (step, number) = (self.evidence.step(step), at as u64 + 1);
            findings.finding(ExactlyOnce::RemovedUnsaved { step, records, number });
        }
        same
    }
}

/// Whether the extend is that of the record, in every bank that it has a digest for.
pub(super) fn is_extend_of(records: &Records, id: RecordId, extend: &Extend) -> bool {
    extend.pcr == records.get(id).pcr
        && extend
            .digests
            .iter()
            .enumerate()
            .all(|(at, digest)| digest.as_ref().is_none_or(|digest| *digest == records.extended(id, at)))
}
