//! Kernels whose measurement list only grows.

use super::{Dialect, Flushed, NOTHING, Originals, STALE, StagedFiles};
use crate::Interface;

pub(super) const DIALECT: Dialect = Dialect {
    interface: Interface::ReadOnly,
    document: "none: nothing is promised of removing records",
    staged: StagedFiles::None,
    stage: None,
    delete: None,
    trim: None,
    grammar: NOTHING,
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
};
