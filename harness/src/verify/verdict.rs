//! The verdict on a list, as text and as JSON.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::trail::Explanation;
use crate::ima::{Bank, Digest};

/// What became of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Outcome {
    /// The whole list leads to what the TPM said.
    Matches,
    /// The first `records` records do; those after them are not in the PCR, or not yet.
    MatchesPrefix {
        /// How many.
        records: u64,
    },
    /// No number of records does.
    Mismatch,
    /// There was nothing to compare with.
    Unchecked,
}

impl Outcome {
    pub(super) fn of(matched: Option<u64>, records: u64) -> Outcome {
        match matched {
            Some(matched) if matched == records => Outcome::Matches,
            Some(records) => Outcome::MatchesPrefix { records },
            None => Outcome::Mismatch,
        }
    }
}

/// The verdict on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Version of this form: 1.
    pub schema: u32,
    /// Whether the list holds: no record is inconsistent and nothing that was compared is a mismatch; when the
    /// whole list was asked for, a match of its first records is one. A list that was compared with nothing
    /// holds when it is consistent.
    pub holds: bool,
    /// Bank whose file was read.
    pub view: Bank,
    /// How many records there were.
    pub records: u64,
    /// How many of them are violations.
    pub violations: u64,
    /// How many more stood at the start of files that a kexec had carried: those before them end with the same.
    pub carried: u64,
    /// What became of each bank.
    pub banks: Vec<BankVerdict>,
    /// What became of the quote.
    pub quote: Option<QuoteVerdict>,
    /// How many records have a digest that is not that of their data.
    pub inconsistent: u64,
    /// The first of them.
    pub first_inconsistency: Option<Inconsistency>,
}

/// What became of one bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BankVerdict {
    /// The bank.
    pub bank: Bank,
    /// Where the replay met the values.
    pub outcome: Outcome,
    /// Each PCR that the list extends, after the last record.
    pub pcrs: Vec<PcrVerdict>,
    /// What a single record would have to be for a list that does not match to match; looked for in lists of up
    /// to 2000 records.
    pub explanation: Option<Explanation>,
}

/// One PCR after the last record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PcrVerdict {
    /// Its index.
    pub index: u32,
    /// What the list leads to.
    #[serde(serialize_with = "as_hex")]
    pub replayed: Digest,
    /// What the TPM had.
    #[serde(serialize_with = "as_hex_if_any")]
    pub expected: Option<Digest>,
}

/// What became of a quote whose signature and nonce are right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuoteVerdict {
    /// The PCRs of each bank that it covers.
    pub selection: Vec<(Bank, Vec<u32>)>,
    /// Where the replay met its digest.
    pub outcome: Outcome,
}

/// A record whose template digest is not that of its data: it was changed after the kernel made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inconsistency {
    /// Which record, from 1, over all files.
    pub record: u64,
    /// Where it begins in its file, bytes.
    pub offset: u64,
    /// Its template.
    pub template: String,
    /// The digest that the list shows.
    pub listed: String,
    /// The digest of its data.
    #[serde(serialize_with = "as_hex")]
    pub computed: Digest,
}

fn as_hex<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

fn as_hex_if_any<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    match digest {
        Some(digest) => serializer.collect_str(digest),
        None => serializer.serialize_none(),
    }
}

impl Verdict {
    pub(super) fn holds(&self, whole: bool) -> bool {
        let good = |outcome: &Outcome| match outcome {
            Outcome::Matches | Outcome::Unchecked => true,
            Outcome::MatchesPrefix { .. } => !whole,
            Outcome::Mismatch => false,
        };
        self.inconsistent == 0 && self.outcomes().all(|outcome| good(&outcome))
    }

    fn is_unexplained(&self) -> bool {
        self.outcomes().any(|outcome| outcome == Outcome::Mismatch)
            && self.banks.iter().all(|bank| bank.explanation.is_none())
    }

    fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        self.banks.iter().map(|bank| bank.outcome).chain(self.quote.iter().map(|quote| quote.outcome))
    }

    /// Writes the verdict as one JSON object and a line end.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes the verdict for a person.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (records, violations) = (self.records, self.violations);
        writeln!(out, "{records} records of the {} view, violations: {violations}", self.view)?;
        if self.carried > 0 {
            writeln!(out, "records that a file has again after a kexec, counted once: {}", self.carried)?;
        }
        for bank in &self.banks {
            self.write_bank(out, bank)?;
        }
        if let Some(quote) = &self.quote {
            let selection: Vec<String> = quote
                .selection
                .iter()
                .map(|(bank, pcrs)| {
                    let pcrs: Vec<String> = pcrs.iter().map(u32::to_string).collect();
                    format!("{bank}:{}", pcrs.join(","))
                })
                .collect();
            writeln!(out, "quote   {} over {}", self.describe(quote.outcome), selection.join("+"))?;
        }
        if let Some(first) = &self.first_inconsistency {
            writeln!(
                out,
                "record {} (`{}`, byte {}) has digest {}, but its data hash to {}",
                first.record, first.template, first.offset, first.listed, first.computed
            )?;
            if self.inconsistent > 1 {
                writeln!(out, "records like it in all: {}", self.inconsistent)?;
            }
        } else if self.is_unexplained() {
            writeln!(
                out,
                "every record agrees with its own digest: one was lost, added, moved or replaced whole, or the \
                 list and the values are of different boots"
            )?;
        }
        writeln!(out, "the list {}", if self.holds { "holds" } else { "does not hold" })
    }

    fn write_bank(&self, out: &mut dyn Write, verdict: &BankVerdict) -> io::Result<()> {
        writeln!(out, "{:7} {}", verdict.bank.name(), self.describe(verdict.outcome))?;
        let detail = matches!(verdict.outcome, Outcome::Mismatch | Outcome::Unchecked);
        for pcr in verdict.pcrs.iter().filter(|_| detail) {
            writeln!(out, "        PCR {} replayed {}", pcr.index, pcr.replayed)?;
            match (pcr.expected, verdict.outcome) {
                (Some(expected), _) => writeln!(out, "        PCR {} expected {expected}", pcr.index)?,
                (None, Outcome::Mismatch) => {
                    writeln!(out, "        PCR {} has no value to compare with", pcr.index)?;
                }
                (None, _) => {}
            }
        }
        match verdict.explanation {
            Some(Explanation::NotExtended { record }) => {
                writeln!(out, "        it would match if record {record} was in the list but not extended")
            }
            Some(Explanation::Swapped { first, second }) => {
                writeln!(out, "        it would match if records {first} and {second} changed places")
            }
            None => Ok(()),
        }
    }

    fn describe(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Matches => format!("matches after all {} records", self.records),
            Outcome::MatchesPrefix { records } => format!(
                "matches after {records} of {} records, the last {} are not in it",
                self.records,
                self.records - records
            ),
            Outcome::Mismatch => format!("does not match after any of the {} records", self.records),
            Outcome::Unchecked => "not compared".to_owned(),
        }
    }
}
