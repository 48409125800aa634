//! The records in the order in which the guest extended them: the whole log as the tap has it.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::evidence::{Evidence, Extend, IMA_PCR, RecordId};
use super::run_length::RunLength;
use imalab_formats::ima::Digest;

/// Extends of PCRs that records name, before the event `mark`.
pub(super) fn extends<'e>(evidence: &'e Evidence<'_>, mark: u64) -> impl Iterator<Item = Extend> + use<'e> {
    let mut pcrs: BTreeSet<u32> = evidence.records.all().map(|(_, record)| record.pcr).collect();
    pcrs.insert(IMA_PCR);
    let attempts = &evidence.tap.attempts;
    (0..attempts.len())
        .filter_map(|at| attempts.get(at))
        .filter(move |extend| extend.seq < mark && pcrs.contains(&extend.pcr))
}

/// The same of all extends there are, while it is not known yet in which order violations are in the log: they are taken in
/// that in which they were first read.
pub(super) fn all_extended(evidence: &Evidence<'_>) -> RunLength<Option<RecordId>> {
    let violations = evidence.records.all().filter(|(_, record)| record.violation);
    before(evidence, u64::MAX, violations.map(|(id, _)| id).collect())
}

/// All violations have the digest of ones; only their order tells them apart.
pub(super) fn before(
    evidence: &Evidence<'_>,
    mark: u64,
    mut violations: VecDeque<RecordId>,
) -> RunLength<Option<RecordId>> {
    let records = &evidence.records;
    let key = |id: RecordId| (records.get(id).pcr, records.extended(id, 0));
    // Not to grow: each would be read again.
    let mut known: HashTable<RecordId> = HashTable::with_capacity(records.len());
    // Of two that are the same in all that was extended, the one that was seen last stands for both.
    for (id, _) in records.all().filter(|(_, record)| !record.violation) {
        let wanted = key(id);
        match known.entry(hash(&wanted), |other| key(*other) == wanted, |other| hash(&key(*other))) {
            Entry::Occupied(mut same) => *same.get_mut() = id,
            Entry::Vacant(none) => drop(none.insert(id)),
        }
    }
    extends(evidence, mark)
        .map(|extend| {
            let digest = (*extend.digests.first()?)?;
            if digest == Digest::ones(digest.bank()) {
                return violations.pop_front();
            }
            let wanted = (extend.pcr, digest);
            known.find(hash(&wanted), |id| key(*id) == wanted).copied()
        })
        .collect()
}

fn hash(key: &(u32, Digest)) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
