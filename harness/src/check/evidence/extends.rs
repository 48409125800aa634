//! Extends in order, in twelve bytes each and their digests.

use std::collections::BTreeMap;

use crate::ima::{Bank, Digest};

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Extends {
    banks: Vec<Bank>,
    seqs: Vec<u64>,
    pcrs: Vec<u32>,
    /// A digest of each bank for each extend.
    digests: Vec<u8>,
    /// Those that have not just one digest for each bank.
    odd: BTreeMap<usize, Extend>,
}

impl Extends {
    pub(super) fn new(banks: &[Bank]) -> Extends {
        Extends { banks: banks.to_vec(), ..Extends::default() }
    }

    pub(super) fn push(&mut self, extend: Extend) {
        for (bank, digest) in self.banks.iter().zip(&extend.digests) {
            let digest = digest.unwrap_or_else(|| Digest::zero(*bank));
            self.digests.extend_from_slice(digest.as_bytes());
        }
        self.pcrs.push(extend.pcr);
        self.seqs.push(extend.seq);
        if !extend.foreign.is_empty() || extend.digests.iter().any(Option::is_none) {
            self.odd.insert(self.len() - 1, extend);
        }
    }

    pub(super) fn pop(&mut self) {
        if self.seqs.pop().is_some() {
            self.pcrs.pop();
            self.odd.remove(&self.seqs.len());
            self.digests.truncate(self.seqs.len() * self.width());
        }
    }

    /// Bytes of one extend's digests.
    fn width(&self) -> usize {
        self.banks.iter().map(|bank| bank.digest_size()).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.seqs.len()
    }

    /// The PCR of each.
    pub(crate) fn pcrs(&self) -> &[u32] {
        &self.pcrs
    }

    /// The number of the event of each.
    pub(crate) fn seqs(&self) -> &[u64] {
        &self.seqs
    }

    /// The one at this place.
    pub(crate) fn get(&self, at: usize) -> Option<Extend> {
        if let Some(odd) = self.odd.get(&at) {
            return Some(odd.clone());
        }
        let (seq, pcr) = (*self.seqs.get(at)?, *self.pcrs.get(at)?);
        let mut rest = self.digests.get(at * self.width()..)?;
        let digests = self.banks.iter().map(|bank| {
            let (digest, after) = rest.split_at_checked(bank.digest_size())?;
            rest = after;
            Digest::from_bytes(*bank, digest)
        });
        Some(Extend { seq, pcr, digests: digests.collect(), foreign: Vec::new() })
    }

    /// Those at these places.
    pub(crate) fn at(&self, places: impl Iterator<Item = usize>) -> Chosen<'_> {
        // Four thousand million of them cannot be held in memory.
        Chosen { of: self, places: places.filter_map(|at| u32::try_from(at).ok()).collect() }
    }
}

/// Some of the extends, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Chosen<'e> {
    of: &'e Extends,
    places: Vec<u32>,
}

impl Chosen<'_> {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn get(&self, at: usize) -> Option<Extend> {
        self.of.get(*self.places.get(at)? as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Extend> {
        self.places.iter().filter_map(|at| self.of.get(*at as usize))
    }

    /// How many are before this event.
    pub(crate) fn before(&self, seq: u64) -> usize {
        self.places.partition_point(|at| self.of.seqs[*at as usize] < seq)
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
