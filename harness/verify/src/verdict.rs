//! The verdict on a list.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::marks::Marks;
pub use super::outcome::Outcome;
use super::trail::Explanation;
use imalab_formats::ima::{Bank, Digest};

/// What a list is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// The PCR of every record was compared, or need not be, and what was compared is as the records say.
    Holds,
    /// What was compared is as the records say, and not all of it was.
    PartlyCompared,
    /// Nothing was compared.
    NotCompared,
    /// Something that was compared is not as the records say, or a record is not what its digest says.
    DoesNotHold,
}

/// The verdict on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Version of this form: 3.
    pub schema: u32,
    /// Whether the conclusion is that the list holds.
    pub holds: bool,
    /// What the list is worth.
    pub conclusion: Conclusion,
    /// Bank whose file was read.
    pub view: Bank,
    /// How many records there were.
    pub records: u64,
    /// How many of them are violations.
    pub violations: u64,
    /// How many more stood at the start of files that a kexec had carried: those before them end with the same.
    pub carried: u64,
    /// Whether the first record of any PCR is a `boot_aggregate`.
    pub from_boot: bool,
    /// What became of each bank.
    pub banks: Vec<BankVerdict>,
    /// What became of the quote.
    pub quote: Option<QuoteVerdict>,
    /// PCRs with records that nothing was compared with.
    pub uncovered: Vec<Uncovered>,
    /// Records after the last one that every comparison that matches is about; `None` where there are none.
    pub tail: Option<Tail>,
    /// Names of templates that imalab does not know, and how many records have each: no digest covers a name.
    pub unknown_templates: Vec<UnknownTemplate>,
    /// Records of further such names.
    pub more_unknown_templates: u64,
    /// How many records have a digest that is not that of their data.
    pub inconsistent: u64,
    /// The first of them.
    pub first_inconsistency: Option<Inconsistency>,
    /// Records that a kernel made of the log itself, where there are any.
    #[serde(skip_serializing_if = "Marks::is_empty")]
    pub marks: Marks,
}

/// What became of one bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BankVerdict {
    /// The bank.
    pub bank: Bank,
    /// Where the replay met the values of those PCRs that were compared.
    pub outcome: Outcome,
    /// Whether the bank was extended with the SHA-1 digests, padded with zeros, instead of its own: by kernels before
    /// 5.8, and for a bank whose hash the kernel does not have (`ima_calc_field_array_hash`, `ima_crypto.c`).
    pub padded_sha1: bool,
    /// Each PCR that the list extends, after the last record.
    pub pcrs: Vec<PcrVerdict>,
    /// What would explain that the list does not match, as far as it was looked for.
    pub explanation: Option<Explanation>,
}

/// One PCR after the last record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PcrVerdict {
    /// Its index.
    pub index: u32,
    /// How many records extend it.
    pub records: u64,
    /// The first of them, from 1.
    pub first: u64,
    /// Whether its value was compared.
    pub comparison: Comparison,
    /// What the list leads to.
    #[serde(serialize_with = "as_hex")]
    pub replayed: Digest,
    /// What the TPM had.
    #[serde(serialize_with = "as_hex_if_any")]
    pub expected: Option<Digest>,
}

/// Whether a PCR's value was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// It was.
    Compared,
    /// No value was given.
    NoValue,
    /// What it was before the first record is not known, and from its reset value the list does not lead to the one given.
    StartUnknown,
}

/// What became of a quote whose signature and nonce are right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuoteVerdict {
    /// The PCRs of each bank that it covers.
    pub selection: Vec<(Bank, Vec<u32>)>,
    /// Whether the key was shown to sign nothing but what a TPM made itself; a bare public key shows nothing.
    pub restricted_key: bool,
    /// Whether it carries no nonce: then it may be an old one.
    pub empty_nonce: bool,
    /// Where the replay met its digest.
    pub outcome: Outcome,
    /// Whether it did so with SHA-1 digests, padded with zeros, in banks that are not SHA-1.
    pub padded_sha1: bool,
    /// PCRs that it covers and of which the value, or what it was before the first record, is not known.
    pub unknown: Vec<(Bank, u32)>,
    /// What would explain that the list does not match, as far as it was looked for.
    pub explanation: Option<Explanation>,
}

/// A PCR with records that nothing was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// Its index.
    pub pcr: u32,
    /// How many records extend it.
    pub records: u64,
    /// Whether the user said that they need not be compared.
    pub allowed: bool,
}

/// Records at the list's end that are not in what they were compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// The last record before them, from 1.
    pub after: u64,
    /// How many there are.
    pub records: u64,
    /// Whether the user said that they need not be compared.
    pub allowed: bool,
}

/// What the user asks of a list, and what not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand<'a> {
    /// A match of its first records alone does not do.
    pub whole: bool,
    /// Records at its end need not be compared.
    pub uncovered_tail: bool,
    /// Nor need those of these PCRs.
    pub uncovered_pcr: &'a [u32],
}

/// A template that imalab does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownTemplate {
    /// Its name.
    pub name: String,
    /// The first record that has it, from 1.
    pub first: u64,
    /// How many do.
    pub records: u64,
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
    /// Draws the conclusion.
    pub(super) fn conclude(&mut self, demand: Demand<'_>) {
        let prefixes = self.outcomes().filter_map(|outcome| match outcome {
            Outcome::MatchesPrefix { records } => Some(records),
            _ => None,
        });
        self.tail = prefixes.min().map(|after| Tail {
            after,
            records: self.records.saturating_sub(after),
            allowed: demand.uncovered_tail,
        });
        let bad = |outcome: Outcome| match outcome {
            Outcome::Mismatch => true,
            Outcome::MatchesPrefix { .. } | Outcome::NotBegun => demand.whole,
            Outcome::Matches | Outcome::Unchecked => false,
        };
        self.conclusion = if self.inconsistent > 0 || !self.marks.hold() || self.outcomes().any(bad) {
            Conclusion::DoesNotHold
        } else if !self.outcomes().any(Outcome::is_match) {
            Conclusion::NotCompared
        } else if self.outcomes().any(|outcome| outcome == Outcome::NotBegun)
            || self.uncovered.iter().any(|uncovered| !uncovered.allowed)
            || self.tail.is_some_and(|tail| !tail.allowed)
            || self.quote.iter().any(|quote| !quote.outcome.is_match())
            || self.idle_banks().next().is_some()
        {
            Conclusion::PartlyCompared
        } else {
            Conclusion::Holds
        };
        self.holds = self.conclusion == Conclusion::Holds;
    }

    /// Banks of which values were given and nothing was compared, though records extend PCRs that have to be; those that a
    /// quote covers were compared with it.
    pub(super) fn idle_banks(&self) -> impl Iterator<Item = &BankVerdict> {
        let quotes =
            |bank| self.quote.iter().flat_map(|quote| &quote.selection).any(|(other, _)| *other == bank);
        let needless = |pcr| self.uncovered.iter().any(|uncovered| uncovered.pcr == pcr && uncovered.allowed);
        self.banks.iter().filter(move |bank| {
            bank.outcome == Outcome::Unchecked
                && !quotes(bank.bank)
                && bank.pcrs.iter().any(|pcr| !needless(pcr.index))
        })
    }

    /// PCRs of which a value was compared, in whichever bank, by file or quote.
    pub(super) fn compared(&self) -> impl Iterator<Item = u32> {
        let in_banks = self.banks.iter().flat_map(|bank| &bank.pcrs);
        let in_banks = in_banks.filter(|pcr| pcr.comparison == Comparison::Compared).map(|pcr| pcr.index);
        let quotes = self.quote.iter().filter(|quote| quote.outcome != Outcome::Unchecked);
        in_banks.chain(quotes.flat_map(|quote| &quote.selection).flat_map(|(_, pcrs)| pcrs).copied())
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = Outcome> {
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
}
