//! Extends that the TPM refused.

use std::collections::{BTreeMap, HashMap};

use super::difference::{Key, extend_key};
use crate::evidence::{Evidence, Extend};
use crate::findings::Findings;
use imalab_language::finding::ExactlyOnce;

/// Says of each PCR which response codes its extends got, unless the guest sent them again and they were carried out. What the
/// tap kept from the TPM is the plan's doing.
pub(super) fn tell(evidence: &Evidence<'_>, findings: &mut Findings) {
    let tap = &evidence.tap;
    if tap.failed.is_empty() {
        return;
    }
    let key = |extend: &Extend| (extend.pcr, extend_key(extend));
    let mut carried_out: HashMap<(u32, Key), u64> =
        tap.failed.iter().map(|failed| (key(&failed.extend), 0)).collect();
    for extend in (0..tap.attempts.len()).filter_map(|at| tap.attempts.get(at)) {
        if let Some(last) = carried_out.get_mut(&key(&extend)) {
            *last = extend.seq;
        }
    }
    let lost =
        tap.failed.iter().filter(|failed| carried_out.get(&key(&failed.extend)) < Some(&failed.extend.seq));
    // By PCR and code: how many, and the event of the first.
    let mut kinds: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
    for failed in lost {
        kinds.entry((failed.extend.pcr, failed.code)).or_insert((0, failed.extend.seq)).0 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, (_, first))| *first);
    for ((pcr, code), (all, first)) in kinds {
        findings.finding(ExactlyOnce::ExtendsRefused { pcr, extends: all, response: code, event: first });
    }
}
