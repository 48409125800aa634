//! Puts together what judges of the same records saw: which PCRs were compared, and what came of it.

use imalab_formats::ima::{Bank, PCR_LIMIT};

use super::judge::{Judge, JudgedBank};
use super::marks::Marks;
use super::setup::Setup;
use super::verdict::{
    BankVerdict, Comparison, Conclusion, Demand, Outcome, PcrVerdict, QuoteVerdict, Uncovered, Verdict,
};

/// What came of it when `judges`, of [`Judge::share_out`], have all taken every record; `None` when there was no record,
/// and so nothing to judge.
pub fn joint_verdict(judges: &[Judge], setup: &Setup, demand: Demand<'_>) -> Option<Verdict> {
    let first = judges.first().filter(|judge| judge.records > 0)?;
    let joint = Joint { judges, first, setup };
    let banks: Vec<BankVerdict> = joint.banks().map(|judged| joint.bank(judged)).collect();
    let quote = joint.quote();
    let mut verdict = Verdict {
        schema: 3,
        holds: false,
        conclusion: Conclusion::DoesNotHold,
        view: setup.view,
        records: first.records,
        violations: first.violations,
        carried: 0,
        from_boot: first.pcrs.iter().any(|extended| extended.boot),
        banks,
        quote,
        uncovered: Vec::new(),
        tail: None,
        unknown_templates: judges.iter().flat_map(|judge| judge.unknown_templates.clone()).collect(),
        more_unknown_templates: judges.iter().map(|judge| judge.more_unknown_templates).sum(),
        inconsistent: judges.iter().map(|judge| judge.inconsistent).sum(),
        marks: Marks::default(),
        first_inconsistency: judges.iter().find_map(|judge| judge.first_inconsistency.clone()),
    };
    let compared: Vec<u32> = verdict.compared().collect();
    let uncovered = joint.extended().filter(|pcr| !compared.contains(pcr)).map(|pcr| Uncovered {
        pcr,
        records: joint.records_of(pcr),
        allowed: demand.uncovered_pcr.contains(&pcr),
    });
    verdict.uncovered = uncovered.collect();
    verdict.conclude(demand);
    Some(verdict)
}

struct Joint<'a> {
    judges: &'a [Judge],
    first: &'a Judge,
    setup: &'a Setup,
}

impl Joint<'_> {
    fn banks(&self) -> impl Iterator<Item = &JudgedBank> {
        self.judges.iter().flat_map(|judge| &judge.banks)
    }

    /// PCRs that a record extends.
    fn extended(&self) -> impl Iterator<Item = u32> {
        (0..PCR_LIMIT).filter(|pcr| self.records_of(*pcr) > 0)
    }

    fn records_of(&self, pcr: u32) -> u64 {
        self.first.pcrs.get(pcr as usize).map_or(0, |extended| extended.records)
    }

    /// Whether it is known what the PCR was before the first record: it was said, or IMA alone extends the PCR and did so
    /// since the reset, or the list leads from the reset value to what the TPM had, in whichever bank.
    fn start_known(&self, bank: Bank, pcr: u32) -> bool {
        let reset = |bank| self.setup.start(bank, pcr).is_none();
        let met = |judged: &JudgedBank| {
            let met = judged.target.as_ref().and_then(|target| target.met(pcr, self.first.records));
            reset(judged.replay.bank()) && met.is_some()
        };
        let quoted = |judge: &Judge| {
            let first = self.first.pcrs.get(pcr as usize).map_or(0, |extended| extended.first);
            judge.quote.as_ref().is_some_and(|quote| {
                let (records, covered) = (self.first.records, self.last_covered());
                quote.quoted.selected().any(|(bank, quoted)| quoted == pcr && reset(bank))
                    && quote.matched(records, covered).is_some_and(|matched| matched >= first)
            })
        };
        !reset(bank)
            || self.first.pcrs.get(pcr as usize).is_some_and(|extended| extended.boot)
            || self.banks().any(met)
            || self.judges.iter().any(quoted)
    }

    fn bank(&self, judged: &JudgedBank) -> BankVerdict {
        let (bank, records) = (judged.replay.bank(), self.first.records);
        let comparison = |pcr| match judged.target.as_ref().map(|target| target.value(pcr)) {
            None | Some(None) => Comparison::NoValue,
            Some(Some(_)) if self.start_known(bank, pcr) => Comparison::Compared,
            Some(Some(_)) => Comparison::StartUnknown,
        };
        let pcrs: Vec<PcrVerdict> = self
            .extended()
            .filter_map(|index| {
                Some(PcrVerdict {
                    index,
                    records: self.records_of(index),
                    first: self.first.pcrs.get(index as usize)?.first,
                    comparison: comparison(index),
                    replayed: judged.replay.value(index)?,
                    expected: judged.target.as_ref().and_then(|target| target.value(index)),
                })
            })
            .collect();
        let compared = || pcrs.iter().filter(|pcr| pcr.comparison == Comparison::Compared);
        let outcome = match &judged.target {
            Some(target) if compared().next().is_some() => {
                Outcome::of(target.all_met(compared().map(|pcr| pcr.index), records), records)
            }
            _ => Outcome::Unchecked,
        };
        BankVerdict {
            bank,
            outcome,
            padded_sha1: self.setup.padded_sha1 && bank != Bank::Sha1,
            pcrs,
            explanation: None,
        }
    }

    /// The last record that extends a PCR that the quote covers.
    fn last_covered(&self) -> u64 {
        let Some(quote) = &self.first.quote else { return 0 };
        let covered = (0..).zip(&self.first.pcrs).filter(|(pcr, _)| quote.quoted.covers(*pcr));
        covered.map(|(_, extended)| extended.last).max().unwrap_or(0)
    }

    fn quote(&self) -> Option<QuoteVerdict> {
        let quote = self.first.quote.as_ref()?;
        let mut outcome = quote.outcome(self.first.records, self.last_covered());
        let mut unknown = Vec::new();
        // A quote that covers no PCR of the list says nothing about it, whatever its digest.
        if !self.extended().any(|pcr| quote.quoted.covers(pcr)) {
            outcome = Outcome::Unchecked;
        } else if outcome == Outcome::Mismatch {
            let is_unknown = |(bank, pcr): &(Bank, u32)| match self.records_of(*pcr) {
                0 => self.setup.target(*bank, *pcr).or(self.setup.start(*bank, *pcr)).is_none(),
                _ => !self.start_known(*bank, *pcr),
            };
            unknown = quote.quoted.selected().filter(is_unknown).collect();
            if !unknown.is_empty() {
                outcome = Outcome::Unchecked;
            }
        }
        Some(QuoteVerdict {
            selection: quote.quoted.selection.clone(),
            restricted_key: quote.quoted.restricted,
            empty_nonce: quote.quoted.empty_nonce,
            outcome,
            padded_sha1: self.setup.padded_sha1,
            unknown,
            explanation: None,
        })
    }
}
