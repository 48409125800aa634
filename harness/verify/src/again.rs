//! Looks a second time at a list that does not match: for what would explain it.

use std::collections::VecDeque;

use super::joint::joint_verdict;
use super::judge::Judge;
use super::setup::Setup;
use super::trail::{Explanation, Trail};
use super::verdict::{BankVerdict, Comparison, Demand, Outcome, PcrVerdict, QuoteVerdict, Verdict};
use imalab_formats::ima::{Bank, Digest, RecordRef, Replay};

/// Records that are looked at for a quote; each is an extend and a digest over all that is quoted.
const QUOTE_TRAIL: usize = 500;

/// Takes all records once more.
pub(super) struct Again {
    setup: Setup,
    /// Banks extended with padded SHA-1 digests, where there are other banks than SHA-1.
    padded: Option<Judge>,
    trails: Vec<(Bank, Trail)>,
    quoted: QuoteTrail,
    records: u64,
}

/// The last records, with what each quoted bank was extended with.
#[derive(Default)]
struct QuoteTrail {
    banks: Vec<Bank>,
    /// The first record that extends a quoted PCR, from 1; it may not be among the steps any more.
    first: u64,
    steps: VecDeque<(u64, u32, Vec<Digest>)>,
}

impl Again {
    /// What to look for in a list of this verdict; `None` when there is nothing.
    pub(super) fn for_verdict(verdict: &Verdict, setup: &Setup) -> Option<Again> {
        let banks: Vec<Bank> =
            verdict.banks.iter().filter(|bank| wants(bank)).map(|bank| bank.bank).collect();
        let quote = verdict.quote.as_ref().filter(|quote| wants_quote(quote));
        // A record that was changed is the explanation.
        if verdict.inconsistent > 0 || banks.is_empty() && quote.is_none() {
            return None;
        }
        let quoted: Vec<Bank> =
            quote.iter().flat_map(|quote| quote.selection.iter().map(|(bank, _)| *bank)).collect();
        let other_than_sha1 = banks.iter().chain(&quoted).any(|bank| *bank != Bank::Sha1);
        let padded = other_than_sha1.then(|| Judge::new(Setup { padded_sha1: true, ..setup.clone() }));
        Some(Again {
            setup: setup.clone(),
            padded,
            trails: banks.into_iter().map(|bank| (bank, Trail::default())).collect(),
            quoted: QuoteTrail { banks: quoted, ..QuoteTrail::default() },
            records: 0,
        })
    }

    pub(super) fn record(&mut self, record: RecordRef<'_>, offset: u64) {
        self.records += 1;
        if let Some(judge) = &mut self.padded {
            judge.record(record, offset);
        }
        for (bank, trail) in &mut self.trails {
            trail.push(self.records, record.pcr, extended_with(record, *bank));
        }
        let covers = self.setup.quoted.as_ref().is_some_and(|quoted| quoted.covers(record.pcr));
        if covers && !self.quoted.banks.is_empty() {
            if self.quoted.first == 0 {
                self.quoted.first = self.records;
            }
            let digests = self.quoted.banks.iter().map(|bank| extended_with(record, *bank)).collect();
            self.quoted.steps.push_back((self.records, record.pcr, digests));
            if self.quoted.steps.len() > QUOTE_TRAIL {
                self.quoted.steps.pop_front();
            }
        }
    }

    /// Puts into `verdict` what was found.
    pub(super) fn explain(&self, verdict: &mut Verdict, demand: Demand<'_>) {
        if let Some(padded) = &self.padded
            && let Some(found) = joint_verdict(std::slice::from_ref(padded), &padded.setup, demand)
        {
            take_padded(verdict, found);
        }
        for bank in verdict.banks.iter_mut().filter(|bank| wants(bank)) {
            self.explain_bank(bank);
        }
        if let Some(quote) = verdict.quote.as_mut().filter(|quote| wants_quote(quote)) {
            quote.explanation = self.quote_since_reset();
        }
        let compared: Vec<u32> = verdict.compared().collect();
        verdict.uncovered.retain(|uncovered| !compared.contains(&uncovered.pcr));
        verdict.conclude(demand);
    }

    fn explain_bank(&self, bank: &mut BankVerdict) {
        let Some((_, trail)) = self.trails.iter().find(|(of, _)| *of == bank.bank) else { return };
        let is_off = |pcr: &&mut PcrVerdict| pcr.expected.is_some_and(|value| value != pcr.replayed);
        // When several PCRs are off, it is more than one record.
        let mut off = bank.pcrs.iter_mut().filter(is_off);
        let (Some(pcr), None) = (off.next(), off.next()) else { return };
        let Some(expected) = pcr.expected else { return };
        bank.explanation = trail.explain(&self.setup.replay(bank.bank), pcr.index, &expected);
        // A value that is explained without all records is not that of all, whatever it started from.
        if bank.explanation.is_some() {
            pcr.comparison = Comparison::Compared;
            bank.outcome = Outcome::Mismatch;
        }
    }

    fn quote_since_reset(&self) -> Option<Explanation> {
        let quoted = self.setup.quoted.as_ref()?;
        let banks = &self.quoted.banks;
        // From the first record of the list on it would be no reset.
        let least = self.quoted.steps.front().map_or(0, |step| usize::from(step.0 == self.quoted.first));
        (least..self.quoted.steps.len()).find_map(|from| {
            let mut replays: Vec<Replay> = banks.iter().map(|bank| Replay::new(*bank)).collect();
            let last = self.quoted.steps.iter().skip(from).find(|(_, pcr, digests)| {
                for (replay, digest) in replays.iter_mut().zip(digests) {
                    replay.extend(*pcr, digest);
                }
                let digest = quoted.digest_of(|bank, pcr| {
                    let replay = replays.iter().find(|replay| replay.bank() == bank);
                    let replayed = replay.filter(|replay| replay.was_extended(pcr));
                    let given =
                        || self.setup.target(bank, pcr).or(replay.and_then(|replay| replay.value(pcr)));
                    replayed.and_then(|replay| replay.value(pcr)).or_else(given).unwrap_or(Digest::zero(bank))
                });
                digest.as_bytes() == quoted.digest
            })?;
            Some(Explanation::SinceReset { first: self.quoted.steps[from].0, last: last.0 })
        })
    }
}

/// Takes the comparisons that match with padded digests and do not without.
fn take_padded(verdict: &mut Verdict, found: Verdict) {
    for bank in verdict.banks.iter_mut().filter(|bank| wants(bank)) {
        let padded = found.banks.iter().find(|other| other.bank == bank.bank && other.padded_sha1);
        if let Some(padded) = padded.filter(|padded| padded.outcome.is_match()) {
            *bank = padded.clone();
        }
    }
    if let (Some(quote), Some(padded)) = (&mut verdict.quote, found.quote)
        && wants_quote(quote)
        && padded.outcome.is_match()
    {
        *quote = padded;
    }
}

fn extended_with(record: RecordRef<'_>, bank: Bank) -> Digest {
    if record.is_violation() { Digest::ones(bank) } else { record.template_digest(bank) }
}

/// Whether a bank's values ask for an explanation.
fn wants(bank: &BankVerdict) -> bool {
    !bank.padded_sha1
        && (bank.outcome == Outcome::Mismatch
            || bank.pcrs.iter().any(|pcr| pcr.comparison == Comparison::StartUnknown))
}

fn wants_quote(quote: &QuoteVerdict) -> bool {
    !quote.padded_sha1
        && (quote.outcome == Outcome::Mismatch
            || quote.outcome == Outcome::Unchecked && !quote.unknown.is_empty())
}
