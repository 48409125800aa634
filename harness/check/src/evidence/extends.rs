//! Extends in order.

use std::collections::BTreeMap;

use crate::run_length::RunLength;
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
    /// Of each the number of its event and its PCR.
    heads: Vec<(u64, u32)>,
    /// Of each a digest of each bank: of a million, this is most of what memory holds.
    digests: Vec<u8>,
    /// Those that have not just one digest for each bank.
    odd: BTreeMap<usize, Extend>,
}

/// Odd ones that are kept: no kernel sends any, so that more of them are a guest's that wants to fill memory.
const MOST_ODD: usize = 10_000;

impl Extends {
    pub(super) fn new(banks: &[Bank]) -> Extends {
        Extends { banks: banks.to_vec(), heads: Vec::new(), digests: Vec::new(), odd: BTreeMap::new() }
    }

    /// Adds one.
    ///
    /// # Errors
    /// Why it is not kept as it is.
    pub(super) fn push(&mut self, extend: Extend) -> Result<(), String> {
        for (bank, digest) in self.banks.iter().zip(&extend.digests) {
            let digest = digest.unwrap_or_else(|| Digest::zero(*bank));
            self.digests.extend_from_slice(digest.as_bytes());
        }
        let at = self.heads.len();
        self.heads.push((extend.seq, extend.pcr));
        if !extend.foreign.is_empty() || extend.digests.iter().any(Option::is_none) {
            if self.odd.len() >= MOST_ODD {
                // Who looks at it sees zeros, and no check passes any more.
                return Err(format!(
                    "more than {MOST_ODD} extends of the guest have not just one digest for each bank; the rest was not kept"
                ));
            }
            self.odd.insert(at, extend);
        }
        Ok(())
    }

    pub(super) fn pop(&mut self) {
        if self.heads.pop().is_some() {
            self.odd.remove(&self.heads.len());
            self.digests.truncate(self.heads.len() * self.width());
        }
    }

    /// Bytes of one's digests.
    fn width(&self) -> usize {
        self.banks.iter().map(|bank| bank.digest_size()).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The PCR of the one at this place.
    pub(crate) fn pcr(&self, at: usize) -> Option<u32> {
        self.heads.get(at).map(|(_, pcr)| *pcr)
    }

    /// The number of its event.
    pub(crate) fn seq(&self, at: usize) -> Option<u64> {
        self.heads.get(at).map(|(seq, _)| *seq)
    }

    /// The one at this place.
    pub(crate) fn get(&self, at: usize) -> Option<Extend> {
        if let Some(odd) = self.odd.get(&at) {
            return Some(odd.clone());
        }
        let (seq, pcr) = *self.heads.get(at)?;
        let mut rest = &self.digests[at * self.width()..];
        let digests = self.banks.iter().map(|bank| {
            let (digest, after) = rest.split_at_checked(bank.digest_size())?;
            rest = after;
            Digest::from_bytes(*bank, digest)
        });
        Some(Extend { seq, pcr, digests: digests.collect(), foreign: Vec::new() })
    }

    /// How many are before this event.
    pub(crate) fn before(&self, seq: u64) -> usize {
        self.heads.partition_point(|(own, _)| *own < seq)
    }

    /// Those at these places.
    pub(crate) fn at(&self, places: impl Iterator<Item = usize>) -> Chosen<'_> {
        Chosen { of: self, places: places.collect() }
    }
}

/// Some of the extends, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Chosen<'e> {
    of: &'e Extends,
    places: RunLength<usize>,
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
        let mut extends = Extends::new(&BANKS);
        all.iter().for_each(|extend| extends.push(extend.clone()).unwrap());
        extends.push(extend(12, [None, None], &[])).unwrap();
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
