//! The records in the order in which the guest extended them: the whole log as the tap has it.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::evidence::{Evidence, IMA_PCR, RecordId};
use super::whole::Whole;
use crate::ima::Digest;

/// For each extend up to the mark of `whole` the record that it is of; `None` where no list ever showed that record.
pub(super) fn extended(evidence: &Evidence<'_>, whole: &Whole) -> Vec<Option<RecordId>> {
    let mark = whole.mark.and_then(|mark| evidence.pcrs.get(&mark)).map_or(u64::MAX, |mark| mark.seq);
    let mut pcrs: BTreeSet<u32> = whole.records.iter().map(|id| evidence.records.get(*id).pcr).collect();
    pcrs.insert(IMA_PCR);
    let known: HashMap<(u32, Digest), RecordId> = evidence
        .records
        .all()
        .filter(|(_, record)| !record.violation)
        .map(|(id, record)| ((record.pcr, evidence.records.extended(id, 0)), id))
        .collect();
    // All violations have the digest of ones; only their order tells them apart.
    let mut violations: VecDeque<RecordId> =
        whole.records.iter().copied().filter(|id| evidence.records.get(*id).violation).collect();
    let attempts = evidence.tap.attempts();
    let attempts = attempts.iter().map(|(extend, _)| extend);
    attempts
        .filter(|extend| extend.seq < mark && pcrs.contains(&extend.pcr))
        .map(|extend| {
            let digest = (*extend.digests.first()?)?;
            if digest == Digest::ones(digest.bank()) {
                return violations.pop_front();
            }
            known.get(&(extend.pcr, digest)).copied()
        })
        .collect()
}
