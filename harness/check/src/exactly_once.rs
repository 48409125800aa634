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
use super::ledger::{Source, Surprise};
use super::sheet::{Sheet, count};
use super::whole::{Whole, Wholes};
use crate::outcome::CheckResult;

pub(super) fn check(evidence: &Evidence<'_>, wholes: &Wholes) -> CheckResult {
    let mut sheet = Sheet::new("exactly-once");
    // Why records are not in the PCR, before which they are.
    refused::tell(evidence, &mut sheet);
    for surprise in &wholes.surprises {
        sheet.finding(tell(evidence, surprise));
    }
    let Some(whole) = wholes.last() else {
        sheet.obstacle("no checkpoint read the list");
        return sheet.result();
    };
    let Some(mark) = whole.mark.and_then(|mark| evidence.pcrs.get(&mark)) else {
        sheet.obstacle(format!(
            "{}: no PCR reading at its mark says which extends came before",
            evidence.name(whole.step)
        ));
        return sheet.result();
    };
    if !whole.quiescent {
        sheet.obstacle(format!(
            "{}: the last checkpoint is not quiescent, another task could still measure",
            evidence.name(whole.step)
        ));
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
        sheet.obstacle(format!(
            "the tap saw no extend of PCR {IMA_PCR} among {} TPM commands of the guest",
            evidence.tap.commands
        ));
        return sheet.result();
    }
    if let Some(first) = late.get(0) {
        sheet.obstacle(format!(
            "{} after the last checkpoint, the first in event {}: no list shows whether they were recorded",
            count(late.len(), "extend"),
            first.seq
        ));
    }
    banks(evidence, &extends, &mut sheet);
    let comparison = Comparison { evidence, whole, extends: &extends };
    if comparison.run(&mut sheet) {
        // Only of a log that is right can it be said that a reader saw something else.
        for misfit in &wholes.misfits {
            let meant = whole.records.get(misfit.at);
            sheet.finding(format!(
                "{}: it read {} as record {}, which is {}",
                evidence.name(misfit.step),
                evidence.records.describe(misfit.read),
                misfit.at + 1,
                meant.map_or_else(|| "none of the log".to_owned(), |id| evidence.records.describe(id))
            ));
        }
    }
    let twice: usize = wholes.saved_again.iter().map(|again| again.records).sum();
    if twice > 0 {
        sheet.fact(format!("{} saved before a kexec came again and count once", count(twice, "record")));
    }
    let lost: usize = whole
        .stretches
        .iter()
        .filter(|stretch| matches!(stretch.source, Source::Lost(_)))
        .map(|stretch| stretch.records.len())
        .sum();
    if let Some(limit) = evidence.limit {
        sheet.fact(format!("{} lost at kexec {}, as known", count(lost, "record"), limit.lost.kexec));
    }
    if !evidence.tap.kept.is_empty() {
        sheet.fact(format!("{} kept from the TPM as planned", count(evidence.tap.kept.len(), "extend")));
    }
    let names: Vec<&str> = evidence.records.active().iter().map(|bank| bank.name()).collect();
    sheet.fact(format!(
        "{} = {}, banks {}",
        count(extends.len(), "extend"),
        count(whole.records.len(), "record"),
        names.join(" ")
    ));
    sheet.rests_on(extends.len(), "extends");
    sheet.rests_on(whole.records.len(), "records");
    sheet.rests_on(names.len(), "banks");
    sheet
        .leaves_out(attempts.len() - extends.len() - late.len(), "extends of PCRs that nothing of IMA names");
    sheet.leaves_out(evidence.tap.kept.len(), "extends kept from the TPM as planned");
    sheet.leaves_out(lost, "records lost as known");
    sheet.result()
}

fn tell(evidence: &Evidence<'_>, surprise: &Surprise) -> String {
    match *surprise {
        Surprise::StagedOver { step } => {
            format!("{}: staging succeeded although records were staged", evidence.name(step))
        }
        Surprise::DeletedNothing { step } => {
            format!("{}: deleting succeeded although nothing was staged", evidence.name(step))
        }
        Surprise::StagedFromNowhere { step, records } => format!(
            "{}: the staged list holds {} although nothing is staged",
            evidence.name(step),
            count(records, "record")
        ),
        Surprise::StagedChanged { first, then, at } => format!(
            "{}: the staged list differs from what {} read of it, from record {} on",
            evidence.name(then),
            evidence.name(first),
            at + 1
        ),
        Surprise::CarriedUnread { step } => format!(
            "{}: records were trimmed while the list that it staged was carried over a kexec, and nobody had read that \
             list: where they belong is not known",
            evidence.name(step)
        ),
    }
}

/// Every extend has to give one digest to each of the machine's banks, and to no other.
fn banks(evidence: &Evidence<'_>, extends: &Chosen<'_>, sheet: &mut Sheet) {
    let wrong = |extend: &Extend| !extend.foreign.is_empty() || extend.digests.iter().any(Option::is_none);
    let Some((at, extend)) = extends.iter().enumerate().find(|(_, extend)| wrong(extend)) else { return };
    let all = extends.iter().filter(wrong).count();
    let missing: Vec<&str> = evidence
        .records
        .active()
        .iter()
        .zip(&extend.digests)
        .filter(|(_, digest)| digest.is_none())
        .map(|(bank, _)| bank.name())
        .collect();
    let foreign: Vec<String> = extend.foreign.iter().map(|alg| format!("{alg:#06x}")).collect();
    sheet.finding(format!(
        "extend #{} (event {}) does not fit the machine's banks: missing [{}], too many [{}]; so do {all} of {}",
        at + 1,
        extend.seq,
        missing.join(" "),
        foreign.join(" "),
        extends.len()
    ));
}

/// The two sequences.
struct Comparison<'c, 'a> {
    evidence: &'c Evidence<'a>,
    whole: &'c Whole,
    extends: &'c Chosen<'c>,
}

impl Comparison<'_, '_> {
    /// Whether they are the same.
    fn run(&self, sheet: &mut Sheet) -> bool {
        let records = &self.whole.records;
        let parts = records
            .iter()
            .zip(self.extends.iter())
            .position(|(id, extend)| !is_extend_of(&self.evidence.records, id, &extend))
            .unwrap_or(records.len().min(self.extends.len()));
        let same = parts == records.len().max(self.extends.len());
        if !same {
            difference::tell(self, parts).into_iter().for_each(|finding| sheet.finding(finding));
        }
        for (at, step, lost) in self.whole.gaps() {
            let lost = lost.map_or_else(|| "records".to_owned(), |lost| count(lost as usize, "record"));
            sheet.finding(format!(
                "{}: took out {lost} that nobody had saved, before record {}",
                self.evidence.name(step),
                at + 1
            ));
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
