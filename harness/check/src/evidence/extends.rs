//! Extends in order.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::column::{Column, Trouble, number};
use crate::runs::Runs;
use imalab_formats::ima::{Bank, Digest};

/// An extend that the guest sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extend {
    /// Sequence number of its event.
    pub(crate) seq: u64,
    /// PCR.
    pub(crate) pcr: u32,
    /// Its digest in each of the machine's banks, in their order.
    pub(crate) digests: Box<[Option<Digest>]>,
    /// `TPM_ALG_ID`s of further digests, for banks that the machine should not have.
    pub(crate) foreign: Vec<u16>,
}

/// Extends in the order of their events.
#[derive(Debug)]
pub(crate) struct Extends {
    banks: Vec<Bank>,
    /// Of each the number of its event, its PCR and a digest of each bank.
    rows: Column,
    length: usize,
    /// Those that have not just one digest for each bank.
    odd: BTreeMap<usize, Extend>,
    trouble: Trouble,
}

/// Odd ones that are kept in memory: no kernel sends any, so that more of them are a guest's that wants to fill it.
const MOST_ODD: usize = 10_000;

/// Bytes of an event's number, and with the PCR.
const SEQ: usize = 8;
const HEAD: usize = SEQ + 4;

impl Extends {
    pub(super) fn new(banks: &[Bank], trouble: &Trouble) -> Extends {
        Extends {
            banks: banks.to_vec(),
            rows: Column::new(trouble),
            length: 0,
            odd: BTreeMap::new(),
            trouble: Rc::clone(trouble),
        }
    }

    pub(super) fn push(&mut self, extend: Extend) {
        let mut row = extend.seq.to_le_bytes().to_vec();
        row.extend_from_slice(&extend.pcr.to_le_bytes());
        for (bank, digest) in self.banks.iter().zip(&extend.digests) {
            let digest = digest.unwrap_or_else(|| Digest::zero(*bank));
            row.extend_from_slice(digest.as_bytes());
        }
        self.rows.push(&row);
        if !extend.foreign.is_empty() || extend.digests.iter().any(Option::is_none) {
            if self.odd.len() < MOST_ODD {
                self.odd.insert(self.length, extend);
            } else {
                // Said once; who looks at the ones left out sees zeros, and no check passes any more.
                let _ = self.trouble.set(format!(
                    "more than {MOST_ODD} extends of the guest have not just one digest for each bank; the rest was not kept"
                ));
            }
        }
        self.length += 1;
    }

    pub(super) fn pop(&mut self) {
        if let Some(last) = self.length.checked_sub(1) {
            self.odd.remove(&last);
            self.rows.truncate(self.start(last));
            self.length = last;
        }
    }

    /// Bytes of one row.
    fn width(&self) -> usize {
        HEAD + self.banks.iter().map(|bank| bank.digest_size()).sum::<usize>()
    }

    fn start(&self, at: usize) -> u64 {
        at as u64 * self.width() as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The PCR of the one at this place.
    pub(crate) fn pcr(&self, at: usize) -> Option<u32> {
        self.head(at).map(|(_, pcr)| pcr)
    }

    /// The number of its event.
    pub(crate) fn seq(&self, at: usize) -> Option<u64> {
        self.head(at).map(|(seq, _)| seq)
    }

    fn head(&self, at: usize) -> Option<(u64, u32)> {
        self.rows.look(self.start(at), HEAD, head)
    }

    /// The one at this place.
    pub(crate) fn get(&self, at: usize) -> Option<Extend> {
        if let Some(odd) = self.odd.get(&at) {
            return Some(odd.clone());
        }
        self.rows.look(self.start(at), self.width(), |row| {
            let ((seq, pcr), mut rest) = (head(row), &row[HEAD..]);
            let digests = self.banks.iter().map(|bank| {
                let (digest, after) = rest.split_at_checked(bank.digest_size())?;
                rest = after;
                Digest::from_bytes(*bank, digest)
            });
            Extend { seq, pcr, digests: digests.collect(), foreign: Vec::new() }
        })
    }

    /// Those at these places.
    pub(crate) fn at(&self, places: impl Iterator<Item = usize>) -> Chosen<'_> {
        Chosen { of: self, places: places.collect() }
    }
}

/// Number of the event and PCR at the begin of a row.
fn head(row: &[u8]) -> (u64, u32) {
    let (seq, rest) = row.split_at(SEQ);
    (number(seq), u32::try_from(number(&rest[..HEAD - SEQ])).unwrap_or(u32::MAX))
}

/// Some of the extends, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Chosen<'e> {
    of: &'e Extends,
    places: Runs<usize>,
}

impl Chosen<'_> {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn get(&self, at: usize) -> Option<Extend> {
        self.of.get(self.places.get(at)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Extend> {
        self.places.iter().filter_map(|at| self.of.get(at))
    }

    /// How many are before this event.
    pub(crate) fn before(&self, seq: u64) -> usize {
        self.places.partition_point(|at| self.of.seq(at).is_some_and(|own| own < seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];

    fn extend(seq: u64, digests: [Option<Digest>; 2], foreign: &[u16]) -> Extend {
        Extend { seq, pcr: 10, digests: digests.into(), foreign: foreign.to_vec() }
    }

    #[test]
    fn each_comes_back_as_it_was_whatever_it_lacks() {
        let both = |text: &[u8]| BANKS.map(|bank| Some(Digest::of(bank, &[text])));
        let all = [
            extend(3, both(b"one"), &[]),
            extend(5, [None, Some(Digest::ones(Bank::Sha256))], &[]),
            extend(8, both(b"two"), &[0x0c]),
            extend(9, both(b"three"), &[]),
        ];
        let mut extends = Extends::new(&BANKS, &Trouble::default());
        all.iter().for_each(|extend| extends.push(extend.clone()));
        extends.push(extend(12, [None, None], &[]));
        extends.pop();
        assert_eq!(extends.len(), 4);
        let chosen = extends.at(0..4);
        assert!(chosen.iter().eq(all.iter().cloned()));
        assert_eq!((chosen.get(2), chosen.get(4)), (Some(all[2].clone()), None));
        let some = extends.at([1, 3].into_iter());
        assert_eq!((some.before(5), some.before(6), some.before(99)), (0, 1, 2));
        assert_eq!(some.get(1), Some(all[3].clone()));
    }
}
