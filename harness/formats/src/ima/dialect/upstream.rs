//! Mainline since Linux 7.2: `A`, `D` and a number. Versions 6 and 7 of the series are the same.

use nix::errno::Errno;

use super::{
    Asked, Dialect, Flushed, Grammar, Late, Means, Number, On, Originals, StagedFiles, Suspended, Trim,
};
use crate::Interface;
use crate::ima::lists::Request;

pub(super) const VERBS: &[(On, u8, Request)] =
    &[(On::Staged, b'A', Request::StageAll), (On::Staged, b'D', Request::Delete)];

/// `_ima_measurements_write`, `security/integrity/ima/ima_fs.c`: two to 21 bytes (`STAGED_REQ_LENGTH`: a number of 64 bits
/// has at most 20 digits), the last of them a newline; `kstrtoul` reads numbers.
const GRAMMAR: Grammar = Grammar {
    form_is_promised: true,
    length: 2..=21,
    newline_needed: true,
    verbs: VERBS,
    number: Some(Number {
        on: On::Original,
        any_base: false,
        negative: None,
        positive: Means::Trim,
        most: u64::MAX,
        beyond: Errno::ERANGE,
        most_is_all: false,
        is_string: true,
        not_with_flush: true,
    }),
};

pub(super) const DIALECT: Dialect = Dialect {
    interface: Interface::Upstream,
    document: "Documentation/security/IMA-export-delete.rst as merged for 7.2",
    staged: StagedFiles::BankFirst,
    stage: Some(Asked { on: On::Staged, text: "A\n" }),
    delete: Some(Asked { on: On::Staged, text: "D\n" }),
    trim: Some(Trim::Number { on: On::Original, sign: "", after_read: true }),
    grammar: GRAMMAR,
    originals: Originals::Written,
    one_writer_many_files: true,
    readers_excluded: true,
    nothing_staged: None,
    flushed: Flushed::AtDelete,
    trims_while_staged: Some(true),
    exact_trim: true,
    suspended: Suspended {
        stage: Late::With(Errno::EACCES),
        delete: Late::With(Errno::ESTALE),
        trim: Late::With(Errno::ESTALE),
    },
    own_errors: false,
    carries_staged: true,
    segment_headers: 2,
};
