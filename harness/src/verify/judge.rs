//! Replays records in every bank that matters and looks where they meet what a TPM said.

use crate::ima::{Bank, Digest, PcrValues, RecordRef, Replay};

use super::quoted::{QuoteTarget, Quoted};
use super::target::Target;
use super::verdict::{BankVerdict, Inconsistency, Outcome, PcrVerdict, Verdict};

/// Judges a list record by record, in constant memory.
pub struct Judge {
    view: Bank,
    /// Whether each record's digest is compared with its data; of several judges one does.
    compares: bool,
    banks: Vec<JudgedBank>,
    quote: Option<QuoteTarget>,
    records: u64,
    violations: u64,
    inconsistent: u64,
    first_inconsistency: Option<Inconsistency>,
}

struct JudgedBank {
    replay: Replay,
    target: Option<Target>,
}

impl Judge {
    /// Judges records of the file of bank `view` against the PCR values in `targets`, one bank each, and
    /// against what a quote attests to.
    ///
    /// With neither, the list is only replayed in the bank of its view.
    pub fn new(view: Bank, targets: Vec<PcrValues>, quoted: Option<Quoted>) -> Judge {
        let mut banks: Vec<JudgedBank> = targets
            .into_iter()
            .map(|values| JudgedBank {
                replay: Replay::new(values.bank()),
                target: Some(Target::new(&values)),
            })
            .collect();
        let quoted_banks = quoted.iter().flat_map(|quoted| quoted.selection.iter().map(|(bank, _)| *bank));
        let alone = (banks.is_empty() && quoted.is_none()).then_some(view);
        for bank in quoted_banks.chain(alone) {
            if !banks.iter().any(|judged| judged.replay.bank() == bank) {
                banks.push(JudgedBank { replay: Replay::new(bank), target: None });
            }
        }
        Judge {
            view,
            compares: true,
            banks,
            quote: quoted.map(QuoteTarget::new),
            records: 0,
            violations: 0,
            inconsistent: 0,
            first_inconsistency: None,
        }
    }

    /// Judges that together do what [`Judge::new`] does: one for each bank, which need nothing of each other; a
    /// quote is about all banks at a time, and takes one judge for all.
    pub fn share_out(view: Bank, targets: Vec<PcrValues>, quoted: Option<Quoted>) -> Vec<Judge> {
        if quoted.is_some() || targets.is_empty() {
            return vec![Judge::new(view, targets, quoted)];
        }
        let compared = targets.iter().any(|values| values.bank() == view);
        let mut judges: Vec<Judge> =
            targets.into_iter().map(|values| Judge::new(view, vec![values], None)).collect();
        for judge in &mut judges {
            judge.compares = judge.banks.iter().any(|judged| judged.replay.bank() == view);
        }
        if !compared {
            let mut judge = Judge::new(view, Vec::new(), None);
            judge.banks.clear();
            judges.push(judge);
        }
        judges
    }

    /// Takes the next record, which begins at byte `offset` of its file.
    pub fn record(&mut self, record: RecordRef<'_>, offset: u64) {
        self.records += 1;
        let violation = record.is_violation();
        self.violations += u64::from(violation);
        let mut in_view = None;
        for judged in &mut self.banks {
            let bank = judged.replay.bank();
            let digest = if violation { Digest::ones(bank) } else { record.template_digest(bank) };
            if bank == self.view {
                in_view = Some(digest);
            }
            judged.extend(self.records, record.pcr, &digest);
        }
        if self.compares && !violation {
            let computed = in_view.unwrap_or_else(|| record.template_digest(self.view));
            if computed.as_bytes() != record.digest {
                self.note_inconsistency(record, offset, computed);
            }
        }
        if let Some(quote) = self.quote.as_mut().filter(|quote| quote.quoted.covers(record.pcr)) {
            let banks = &self.banks;
            quote.after(self.records, |bank, pcr| value(banks, bank, pcr));
        }
    }

    fn note_inconsistency(&mut self, record: RecordRef<'_>, offset: u64, computed: Digest) {
        self.inconsistent += 1;
        if self.first_inconsistency.is_none() {
            self.first_inconsistency = Some(Inconsistency {
                record: self.records,
                offset,
                template: record.template.to_owned(),
                listed: hex::encode(record.digest),
                computed,
            });
        }
    }

    /// What came of it; `None` when there was no record, and so nothing to judge. With `whole`, a match of the
    /// list's first records alone does not do.
    pub fn verdict(&self, whole: bool) -> Option<Verdict> {
        Judge::joint_verdict(std::slice::from_ref(self), whole)
    }

    /// What came of it when `judges`, of [`Judge::share_out`], have all taken every record.
    pub fn joint_verdict(judges: &[Judge], whole: bool) -> Option<Verdict> {
        let first = judges.first().filter(|judge| judge.records > 0)?;
        let banks = judges.iter().flat_map(|judge| &judge.banks);
        let quote = first.quote.as_ref().map(|quote| {
            let extended = |pcr| first.banks.iter().any(|bank| bank.replay.was_extended(pcr));
            quote.verdict(first.records, extended)
        });
        let mut verdict = Verdict {
            schema: 1,
            holds: false,
            view: first.view,
            records: first.records,
            violations: first.violations,
            carried: 0,
            banks: banks.map(|judged| judged.verdict(first.records)).collect(),
            quote,
            inconsistent: judges.iter().map(|judge| judge.inconsistent).sum(),
            first_inconsistency: judges.iter().find_map(|judge| judge.first_inconsistency.clone()),
        };
        verdict.holds = verdict.holds(whole);
        Some(verdict)
    }
}

impl JudgedBank {
    fn extend(&mut self, number: u64, pcr: u32, digest: &Digest) {
        match &mut self.target {
            None => self.replay.extend(pcr, digest),
            Some(target) => {
                let before = self.replay.value(pcr);
                self.replay.extend(pcr, digest);
                if let (Some(before), Some(now)) = (before, self.replay.value(pcr)) {
                    target.extended(number, pcr, digest, &before, &now);
                }
            }
        }
    }

    fn verdict(&self, records: u64) -> BankVerdict {
        match &self.target {
            Some(target) => target.verdict(&self.replay, records),
            None => BankVerdict {
                bank: self.replay.bank(),
                outcome: Outcome::Unchecked,
                explanation: None,
                pcrs: self
                    .replay
                    .extended()
                    .map(|(index, replayed)| PcrVerdict { index, replayed, expected: None })
                    .collect(),
            },
        }
    }
}

/// The value of a quoted PCR: replayed, or as a file has it when no record so far extended it, or as a reset
/// leaves it.
fn value(banks: &[JudgedBank], bank: Bank, pcr: u32) -> Digest {
    let Some(judged) = banks.iter().find(|judged| judged.replay.bank() == bank) else {
        return Digest::zero(bank);
    };
    let known = judged.target.as_ref().and_then(|target| target.value(pcr));
    match known {
        Some(value) if !judged.replay.was_extended(pcr) => value,
        _ => judged.replay.value(pcr).unwrap_or(Digest::zero(bank)),
    }
}
