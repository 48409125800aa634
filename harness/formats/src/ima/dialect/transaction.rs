//! The transaction idea of November 2023 and December 2025, in our own series `kernel-config/patches/transaction`: who
//! has a list open for reading and writing commits by writing a number (`ima_list_write` there). Nothing is staged.

use nix::errno::Errno;

use super::{Dialect, Grammar, Means, Number, On, Originals, STALE, StagedFiles, Trim, read_only, rfc_v2};
use crate::Interface;

pub(super) const DIALECT: Dialect = Dialect {
    interface: Interface::Transaction,
    document: "Documentation/security/IMA-list-transaction.rst of the series transaction (kernel-config/patches)",
    staged: StagedFiles::None,
    trim: Some(Trim::Commit),
    grammar: Grammar {
        form_is_promised: true,
        length: rfc_v2::LENGTH,
        newline_needed: false,
        verbs: &[],
        number: Some(Number {
            on: On::Original,
            any_base: false,
            negative: None,
            positive: Means::Trim,
            most: u64::MAX,
            beyond: Errno::ERANGE,
            most_is_all: false,
            is_string: false,
            not_with_flush: false,
        }),
    },
    originals: Originals::WithReading,
    exact_trim: true,
    suspended: STALE,
    ..read_only::DIALECT
};
