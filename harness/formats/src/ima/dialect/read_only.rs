//! Kernels whose measurement list only grows.

use super::files::COUNT;
use super::{Dialect, Flushed, Identity, Originals, STALE, Words, grammar, verbs};

pub(super) const DIALECT: Dialect = Dialect {
    name: "read-only",
    document: "none: nothing is promised of removing records",
    words: Some(Words {
        name: "no-staging",
        met_by: "CONFIG_IMA_STAGING not set, or a kernel from before Linux 7.2 with none of our series",
    }),
    identity: Identity { originals_writable: None, signs: &[], by_files: true },
    staged: None,
    own_files: &[],
    count: COUNT,
    mark: None,
    trim_mark: None,
    verbs: verbs::NOTHING,
    grammar: grammar::NOTHING,
    originals: Originals::Unspoken,
    one_writer_many_files: false,
    readers_excluded: false,
    nothing_staged: None,
    flushed: Flushed::AtDelete,
    trims_while_staged: Some(false),
    exact_trim: false,
    suspended: STALE,
    own_errors: false,
    carries_staged: false,
    segment_headers: 1,
    held_briefly: false,
    deletes_away: &[],
};
