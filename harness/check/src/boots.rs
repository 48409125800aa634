//! Which boot a record of the whole log belongs to: each kernel logs its boot aggregate before anything else of its own.

use super::evidence::{Evidence, KnownRecord, RecordId};
use super::run_length::RunLength;

/// Names of a kernel's first record (`security/integrity/ima/ima_init.c`; the second with `CONFIG_IMA_INIT_LATE_SYNC`).
const AGGREGATES: [&str; 2] = ["boot_aggregate", "boot_aggregate_late"];

/// Whether a record is a kernel's first. A file's record has its whole path, which these are not.
pub(super) fn is_aggregate(record: &KnownRecord<'_>) -> bool {
    AGGREGATES.contains(&record.name().as_str())
}

/// Places in `records` of the records with which the kernels begin. Of some records nothing may be known.
pub(super) fn aggregates(
    evidence: &Evidence<'_>,
    records: impl IntoIterator<Item = Option<RecordId>>,
) -> Vec<usize> {
    let first = |id: Option<RecordId>| id.is_some_and(|id| is_aggregate(&evidence.records.get(id)));
    records.into_iter().enumerate().filter(|(_, id)| first(*id)).map(|(at, _)| at).collect()
}

/// Place in `records` of the first record of `boot`, from 1: what is before it was carried or taken out. A boot whose
/// aggregate is not there has not begun.
pub(super) fn start(evidence: &Evidence<'_>, records: &RunLength<RecordId>, boot: u32) -> usize {
    if boot <= 1 {
        return 0;
    }
    let place = usize::try_from(boot - 1).unwrap_or(usize::MAX);
    let all = aggregates(evidence, records.iter().map(Some));
    all.get(place).copied().unwrap_or(records.len())
}
