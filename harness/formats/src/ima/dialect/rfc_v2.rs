//! The staging RFC v2 of December 2025, in our own series `kernel-config/patches/rfc-v2`: `A`, `N`, `D` and `-N`, all
//! written to the files of the staged records (`ima_staged_write` there). The original files are read-only.

use super::files::{BANK_LAST, COUNT};
use super::grammar::DECIMAL;
use super::verbs::{self, READ_STAGED, ask, find_then_ask, read_then_ask};
use super::{
    Access, Call, Dialect, Flushed, Form, Grammar, Identity, Means, Number, Originals, STALE, Sign, Target,
    Verbs, Words,
};
use crate::ima::lists::Request;

/// `IMA_REQUEST_LEN` less the final zero byte; the newline may be missing (`sysfs_streq`, `kstrtol`).
pub(super) const LENGTH: std::ops::RangeInclusive<usize> = 0..=23;

pub(super) const NUMBER: Number = Number {
    on: Target::STAGED,
    negative: Some(Means::Trim),
    positive: Means::StageFirst,
    most: i64::MAX as u64,
    most_is_all: true,
    ..DECIMAL
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "rfc-v2",
    document: "Documentation/security/IMA-staging.rst of the series rfc-v2 (kernel-config/patches)",
    words: Some(Words { name: "rfc-v2", met_by: "CONFIG_IMA_STAGING=y and the series rfc-v2" }),
    identity: Identity { originals_writable: None, signs: &[Sign::Stages], by_files: false },
    staged: Some(BANK_LAST),
    own_files: &[],
    count: COUNT,
    mark: None,
    trim_mark: None,
    verbs: Verbs {
        stage: ask!(Staged, "A\n"),
        save: READ_STAGED,
        delete: ask!(Staged, "D\n"),
        trim: read_then_ask!(Staged, "-{n}\n"),
        // A number that was found has no sign, so it stages; and is deleted while nobody else can come in between.
        trim_found: find_then_ask!(Staged, [], ["D\n"]),
        ..verbs::NOTHING
    },
    grammar: Grammar {
        form_is_promised: true,
        length: LENGTH,
        newline_needed: false,
        form: Form::Word,
        in_order: false,
        verbs: &[(Target::STAGED, "A", Request::StageAll), (Target::STAGED, "D", Request::Delete)],
        number: Some(NUMBER),
    },
    originals: Originals::Refused,
    one_writer_many_files: false,
    readers_excluded: true,
    nothing_staged: None,
    flushed: Flushed::AtDelete,
    trims_while_staged: Some(false),
    exact_trim: true,
    suspended: STALE,
    own_errors: false,
    carries_staged: true,
    segment_headers: 1,
    held_briefly: false,
    deletes_away: &[],
};
