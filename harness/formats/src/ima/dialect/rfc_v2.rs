//! The staging RFC v2 of December 2025, in our own series `kernel-config/patches/rfc-v2`: `A`, `N`, `D` and `-N`, all
//! written to the files of the staged records (`ima_staged_write` there). The original files are read-only.

use nix::errno::Errno;

use super::{Asked, Dialect, Flushed, Grammar, Means, Number, On, Originals, STALE, StagedFiles, Trim};
use crate::Interface;
use crate::ima::lists::Request;

/// `IMA_REQUEST_LEN` less the final zero byte; the newline may be missing (`sysfs_streq`, `kstrtol`).
pub(super) const LENGTH: std::ops::RangeInclusive<usize> = 0..=23;

pub(super) const NUMBER: Number = Number {
    on: On::Staged,
    any_base: false,
    negative: Some(Means::Trim),
    positive: Means::StageFirst,
    most: i64::MAX as u64,
    beyond: Errno::ERANGE,
    most_is_all: true,
    is_string: false,
    not_with_flush: false,
};

pub(super) const DIALECT: Dialect = Dialect {
    interface: Interface::RfcV2,
    document: "Documentation/security/IMA-staging.rst of the series rfc-v2 (kernel-config/patches)",
    staged: StagedFiles::BankLast,
    stage: Some(Asked { on: On::Staged, text: "A\n" }),
    delete: Some(Asked { on: On::Staged, text: "D\n" }),
    trim: Some(Trim::Number { on: On::Staged, sign: "-", after_read: false }),
    grammar: Grammar {
        form_is_promised: true,
        length: LENGTH,
        newline_needed: false,
        verbs: &[(On::Staged, b'A', Request::StageAll), (On::Staged, b'D', Request::Delete)],
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
};
