//! Which records a log goes on with, told by the TPM.

use imalab_ima::{Bank, Digest, LogReader};

use crate::place::Position;
use crate::shard::NotRecords;

/// What the kernel holds and what its TPM says, looked at together.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Staged records, then current ones, in the canonical form.
    pub list: Vec<u8>,
    /// A PCR that the kernel extends, in any bank; `None` where there is none to be read.
    pub pcr: Option<(u32, Digest)>,
    /// By how many records the list may lead the PCR. A record is appended before the PCR is extended, both under one lock: by one,
    /// if the PCR was the same before and after the list was read.
    pub in_flight: u64,
}

/// Where the records that the kernel holds may belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<T> {
    /// What it is to the caller.
    pub name: T,
    /// Where the list would begin.
    pub from: Position,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement<T> {
    /// The TPM has the value that this candidate replays to, and no other does.
    Decided(T),
    /// Several do, according to whether a record is on its way to the TPM; this one if none is. Another look will tell.
    Close(T),
    /// It has that of none of them, or there is none.
    Silent,
}

impl Evidence {
    /// Which of the candidates the TPM stands for.
    ///
    /// # Errors
    ///
    /// When the list is not whole records.
    pub fn judge<T>(&self, candidates: Vec<Candidate<T>>) -> Result<Judgement<T>, NotRecords> {
        let mut fit = Vec::new();
        for candidate in candidates {
            if let Some(lead) = self.lead(&candidate.from)?.filter(|lead| *lead <= self.in_flight) {
                fit.push((lead, candidate.name));
            }
        }
        let alone = fit.len() == 1;
        let nearest = fit.into_iter().min_by_key(|(lead, _)| *lead);
        Ok(match nearest {
            Some((_, name)) if alone => Judgement::Decided(name),
            Some((_, name)) => Judgement::Close(name),
            None => Judgement::Silent,
        })
    }

    /// Whether the TPM stands for a list that begins at `from`.
    ///
    /// # Errors
    ///
    /// When the list is not whole records.
    pub fn fits(&self, from: &Position) -> Result<bool, NotRecords> {
        Ok(self.lead(from)?.is_some_and(|lead| lead <= self.in_flight))
    }

    /// By how many records the list, if it begins at `from`, leads the PCR; `None`: the PCR has no value that it goes through.
    ///
    /// # Errors
    ///
    /// When the list is not whole records.
    pub fn lead(&self, from: &Position) -> Result<Option<u64>, NotRecords> {
        let mut reader = LogReader::new(self.list.as_slice(), Bank::Sha1);
        let pcr = self.pcr;
        let mut value = pcr.map(|(pcr, at)| from.value(at.bank(), pcr));
        let at_goal = |value: &Option<Digest>| pcr.is_some_and(|(_, goal)| *value == Some(goal));
        let mut found = at_goal(&value).then_some(0);
        while let Some(record) = reader.next_record().map_err(NotRecords)? {
            if let (Some(value), Some((pcr, at))) = (&mut value, pcr)
                && record.pcr == pcr
            {
                value.extend(&record.extend_digest(at.bank()));
            }
            if at_goal(&value) {
                found = Some(0);
            } else if let Some(lead) = &mut found {
                *lead += 1;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_formats::ima::{ByteOrder, Generator, Mix, Record, write_record};

    fn list(records: &[Record]) -> Vec<u8> {
        let mut list = Vec::new();
        for record in records {
            write_record(&mut list, record, ByteOrder::Little).unwrap();
        }
        list
    }

    fn position(records: &[Record]) -> Position {
        let mut position = Position::start();
        position.pass_all(&list(records)).unwrap();
        position
    }

    fn records() -> Vec<Record> {
        Generator::new(1, Mix::Common).take(30).collect()
    }

    /// The list, and the PCR as the first of `records` have extended it.
    fn evidence(bank: Bank, list_is: &[Record], extended: &[Record]) -> Evidence {
        Evidence { list: list(list_is), pcr: Some((10, position(extended).value(bank, 10))), in_flight: 1 }
    }

    fn candidates(records: &[Record]) -> Vec<Candidate<&'static str>> {
        vec![
            Candidate { name: "fresh", from: Position::start() },
            Candidate { name: "not deleted", from: position(&records[..10]) },
            Candidate { name: "deleted", from: position(&records[..20]) },
        ]
    }

    #[test]
    fn the_tpm_tells_them_apart_in_each_bank() {
        let all = records();
        for bank in Bank::ALL {
            for (from, name) in [(0, "fresh"), (10, "not deleted"), (20, "deleted")] {
                let told = evidence(bank, &all[from..], &all).judge(candidates(&all)).unwrap();
                assert_eq!(told, Judgement::Decided(name));
            }
        }
    }

    #[test]
    fn a_record_on_its_way_to_the_tpm_does_not_matter() {
        let all = records();
        let told = evidence(Bank::Sha256, &all[20..], &all[..29]).judge(candidates(&all)).unwrap();
        assert_eq!(told, Judgement::Decided("deleted"));
    }

    #[test]
    fn equal_records_are_told_apart_by_how_far_the_list_leads() {
        // The same ten records twice: the second ten are in the list alone, or the first are as well.
        let all = records();
        let twice = [&all[..10], &all[10..20], &all[10..20]].concat();
        let once = evidence(Bank::Sha256, &twice[10..20], &twice[..20]).judge(candidates(&all)).unwrap();
        assert_eq!(once, Judgement::Decided("not deleted"));
        let again = evidence(Bank::Sha256, &twice[20..], &twice).judge(candidates(&all)).unwrap();
        assert_eq!(again, Judgement::Decided("deleted"));
    }

    #[test]
    fn one_record_that_may_be_on_its_way_is_looked_at_again() {
        // The last shard has one record, and the list has an equal one: it, or another that the TPM has not got yet.
        let all = records();
        let candidates = || {
            vec![
                Candidate { name: "deleted", from: position(&all[..11]) },
                Candidate { name: "not deleted", from: position(&all[..10]) },
            ]
        };
        let close = evidence(Bank::Sha256, &all[10..11], &all[..11]).judge(candidates()).unwrap();
        assert_eq!(close, Judgement::Close("not deleted"));
        let twice = [&all[..11], &all[10..11]].concat();
        let later = evidence(Bank::Sha256, &all[10..11], &twice).judge(candidates()).unwrap();
        assert_eq!(later, Judgement::Decided("deleted"));
    }

    #[test]
    fn a_list_that_was_read_while_the_pcr_moved_may_lead_by_more() {
        let all = records();
        let moving = Evidence { in_flight: u64::MAX, ..evidence(Bank::Sha1, &all[20..], &all[..25]) };
        assert_eq!(moving.judge(candidates(&all)).unwrap(), Judgement::Decided("deleted"));
        let still = Evidence { in_flight: 1, ..moving };
        assert_eq!(still.judge(candidates(&all)).unwrap(), Judgement::Silent);
    }

    #[test]
    fn without_its_value_nothing_is_told() {
        let all = records();
        let lost = evidence(Bank::Sha256, &all[25..], &all);
        assert_eq!(lost.judge(candidates(&all)).unwrap(), Judgement::Silent);
        let none = Evidence { pcr: None, ..lost };
        assert_eq!(none.judge(candidates(&all)).unwrap(), Judgement::Silent);
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        let evidence = Evidence { list: vec![1, 2, 3], ..Evidence::default() };
        assert!(evidence.lead(&Position::start()).is_err());
    }
}
