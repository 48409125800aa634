//! The verdict for a person.

use std::io::{self, Write};

use super::marks::{Marks, WrongMark};
use super::trail::Explanation;
use super::verdict::{BankVerdict, Comparison, Conclusion, Outcome, QuoteVerdict, Tail, Verdict};

impl Verdict {
    /// Writes the verdict for a person.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (records, violations) = (self.records, self.violations);
        let shown = count(records);
        writeln!(out, "{shown} of the {} view, violations: {violations}", self.view)?;
        if self.carried > 0 {
            writeln!(out, "records that a file has again after a kexec, counted once: {}", self.carried)?;
        }
        for bank in &self.banks {
            self.write_bank(out, bank)?;
        }
        if let Some(quote) = &self.quote {
            self.write_quote(out, quote)?;
        }
        self.write_templates(out)?;
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
            self.write_causes(out)?;
        }
        self.write_marks(out)?;
        self.write_uncovered(out)?;
        self.write_conclusion(out)
    }

    fn write_marks(&self, out: &mut dyn Write) -> io::Result<()> {
        let Marks { records, compared, wrong, more } = &self.marks;
        if *records == 0 {
            return Ok(());
        }
        writeln!(out, "records of the log itself: {records}, compared with what is before them: {compared}")?;
        for WrongMark { record, offset, of, expected, found } in wrong {
            writeln!(
                out,
                "record {record} (byte {offset}): {of}: expected {expected}, found {found}{}",
                why(of, expected, found)
            )?;
        }
        if *more > 0 {
            writeln!(out, "more that is wrong with them: {more}")?;
        }
        Ok(())
    }

    fn write_bank(&self, out: &mut dyn Write, verdict: &BankVerdict) -> io::Result<()> {
        let compared: Vec<u32> = of(verdict, Comparison::Compared).map(|pcr| pcr.index).collect();
        let all = compared.len() == verdict.pcrs.len() || verdict.outcome == Outcome::Unchecked;
        let which = if all { String::new() } else { format!(" in PCR {}", list(&compared)) };
        let padded =
            if verdict.padded_sha1 { " with SHA-1 digests, padded with zeros (SHA-1 padded)" } else { "" };
        writeln!(out, "{:7} {}{which}{padded}", verdict.bank.name(), self.describe(verdict.outcome))?;
        for pcr in &verdict.pcrs {
            let index = pcr.index;
            let shown = matches!(
                (pcr.comparison, verdict.outcome),
                (Comparison::Compared, Outcome::Mismatch)
                    | (Comparison::StartUnknown, _)
                    | (Comparison::NoValue, Outcome::Unchecked)
                    | (_, Outcome::NotBegun)
            );
            if shown {
                writeln!(out, "        PCR {index} replayed {}", pcr.replayed)?;
                if let Some(expected) = pcr.expected {
                    writeln!(out, "        PCR {index} expected {expected}")?;
                }
            }
            match pcr.comparison {
                Comparison::NoValue if self.quote.is_none() => {
                    writeln!(out, "        PCR {index} has no value to compare with")?;
                }
                Comparison::StartUnknown => writeln!(
                    out,
                    "        PCR {index} was not compared: what it was before record {} is not known{} (see --start)",
                    pcr.first,
                    self.why_unknown()
                )?,
                _ => {}
            }
        }
        write_explanation(out, verdict.explanation)
    }

    /// Why it is not known what a PCR started from.
    fn why_unknown(&self) -> &'static str {
        if self.from_boot {
            ", others extend PCRs too"
        } else {
            ", and the list does not begin with boot_aggregate"
        }
    }

    fn write_quote(&self, out: &mut dyn Write, quote: &QuoteVerdict) -> io::Result<()> {
        let selection: Vec<String> =
            quote.selection.iter().map(|(bank, pcrs)| format!("{bank}:{}", list(pcrs))).collect();
        let padded =
            if quote.padded_sha1 { " with SHA-1 digests, padded with zeros (SHA-1 padded)" } else { "" };
        let outcome = self.describe(quote.outcome);
        writeln!(out, "quote   {outcome}{padded} over {}", selection.join("+"))?;
        if quote.outcome == Outcome::Unchecked && quote.unknown.is_empty() {
            writeln!(out, "        it covers no PCR that a record extends")?;
        }
        for (bank, pcr) in quote.unknown.iter().take(UNKNOWN_SHOWN) {
            let extended = self.banks.iter().any(|found| found.pcrs.iter().any(|found| found.index == *pcr));
            let (what, option) = if extended {
                ("what it was before its first record", "--start")
            } else {
                ("its value", "--pcrs")
            };
            writeln!(out, "        it covers {bank} PCR {pcr}, and {what} is not known (see {option})")?;
        }
        if let Some(more) = quote.unknown.len().checked_sub(UNKNOWN_SHOWN).filter(|more| *more > 0) {
            writeln!(out, "        and {more} more")?;
        }
        if quote.empty_nonce {
            writeln!(out, "        it carries no nonce: it may be an old one")?;
        }
        if !quote.restricted_key {
            writeln!(
                out,
                "        the key is a bare public key: that it signs nothing but what a TPM made was not shown"
            )?;
        }
        write_explanation(out, quote.explanation)
    }

    fn write_templates(&self, out: &mut dyn Write) -> io::Result<()> {
        for unknown in &self.unknown_templates {
            writeln!(
                out,
                "unknown template `{}` in {}, the first is {}: no digest covers a template's name",
                unknown.name,
                count(unknown.records),
                unknown.first
            )?;
        }
        if self.more_unknown_templates > 0 {
            writeln!(out, "records of further unknown templates: {}", self.more_unknown_templates)?;
        }
        Ok(())
    }

    fn is_unexplained(&self) -> bool {
        self.outcomes().any(|outcome| outcome == Outcome::Mismatch)
            && self.banks.iter().all(|bank| bank.explanation.is_none())
            && self.quote.iter().all(|quote| quote.explanation.is_none())
    }

    /// What makes a list and a TPM part when each record is sound, likeliest first.
    fn write_causes(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "every record agrees with its own digest; what can be, the likeliest first:")?;
        let what = if self.quote.is_some() { "the quote was taken" } else { "the PCRs were read" };
        writeln!(
            out,
            "  - {what} after the list was read, and a record came in between: read the list last"
        )?;
        writeln!(out, "  - the list and the values are of different boots, or of different machines")?;
        writeln!(out, "  - a kexec carried no list over: give what the PCRs were before it (--start)")?;
        writeln!(out, "  - something else than IMA extended the PCR")?;
        writeln!(out, "  - a record was lost, added, moved or replaced entirely")
    }

    fn write_uncovered(&self, out: &mut dyn Write) -> io::Result<()> {
        for uncovered in &self.uncovered {
            let (pcr, records) = (uncovered.pcr, count(uncovered.records));
            let more = if uncovered.allowed {
                ", which is allowed".to_owned()
            } else if self.conclusion == Conclusion::PartlyCompared {
                format!(", nothing is said of them (--uncovered-pcr {pcr} allows it)")
            } else {
                String::new()
            };
            writeln!(out, "compared with nothing: {records} of PCR {pcr}{more}")?;
        }
        if let Some(tail) = self.tail {
            let more = if tail.allowed {
                ", which is allowed"
            } else if self.conclusion == Conclusion::PartlyCompared {
                ", nothing is said of them (--uncovered-tail allows it)"
            } else {
                ""
            };
            writeln!(
                out,
                "compared with nothing: {} after record {}{more}",
                count(tail.records),
                tail.after
            )?;
        }
        for bank in self.idle_banks().filter(|_| self.conclusion == Conclusion::PartlyCompared) {
            writeln!(out, "nothing was compared in bank {}, although values were given", bank.bank)?;
        }
        Ok(())
    }

    fn write_conclusion(&self, out: &mut dyn Write) -> io::Result<()> {
        match (self.conclusion, self.tail) {
            (Conclusion::Holds, None) => writeln!(out, "the list holds"),
            (Conclusion::Holds, Some(Tail { after, .. })) => {
                writeln!(out, "the list holds up to record {after}")
            }
            (Conclusion::DoesNotHold, _) => writeln!(out, "the list does not hold"),
            (Conclusion::PartlyCompared, _) => {
                writeln!(out, "the list was compared in part, and that part holds")
            }
            (Conclusion::NotCompared, _) => {
                writeln!(out, "nothing was compared: whether the list holds is not known")
            }
        }
    }

    fn describe(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Matches if self.records == 1 => "matches after the only record".to_owned(),
            Outcome::Matches => format!("matches after all {} records", self.records),
            Outcome::MatchesPrefix { records } => {
                let (all, after) = (self.records, self.records.saturating_sub(records));
                let are = if after == 1 { "one is" } else { &*format!("{after} are") };
                format!("matches after {records} of {all} records, the last {are} not in it")
            }
            Outcome::NotBegun => "is as before the first record: none of them is in it".to_owned(),
            Outcome::Mismatch if self.records == 1 => "does not match after the only record".to_owned(),
            Outcome::Mismatch => format!("does not match after any of the {} records", self.records),
            Outcome::Unchecked => "not compared".to_owned(),
        }
    }
}

/// What a number of an aggregate that does not follow the one before says of the shards.
fn why(of: &str, expected: &str, found: &str) -> &'static str {
    let numbers = expected.parse::<u64>().ok().zip(found.parse::<u64>().ok());
    match (of, numbers) {
        ("number", Some((expected, found))) if found > expected => ": a shard is missing before it",
        ("number", Some(_)) => ": a shard is given twice, or in another order",
        _ => "",
    }
}

/// Quoted PCRs of unknown value that are told one by one.
const UNKNOWN_SHOWN: usize = 4;

fn of(bank: &BankVerdict, comparison: Comparison) -> impl Iterator<Item = &super::PcrVerdict> {
    bank.pcrs.iter().filter(move |pcr| pcr.comparison == comparison)
}

fn count(records: u64) -> String {
    format!("{records} record{}", if records == 1 { "" } else { "s" })
}

fn list(pcrs: &[u32]) -> String {
    pcrs.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn write_explanation(out: &mut dyn Write, explanation: Option<Explanation>) -> io::Result<()> {
    match explanation {
        Some(Explanation::NotExtended { record }) => {
            writeln!(out, "        it would match if record {record} was in the list but not extended")
        }
        Some(Explanation::Swapped { first, second }) => {
            writeln!(out, "        it would match if records {first} and {second} changed places")
        }
        Some(Explanation::SinceReset { first, last }) => writeln!(
            out,
            "        the value is that of records {first} on, to {last}, from the value after a reset: the TPM was reset \
             before record {first} (as by a hibernation), or the records before it were not extended, or in another boot"
        ),
        None => Ok(()),
    }
}
