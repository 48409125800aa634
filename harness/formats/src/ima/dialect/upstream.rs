//! Mainline since Linux 7.2: `A`, `D` and a number. Versions 6 and 7 of the series are the same.

use nix::errno::Errno;

use super::files::{BANK_FIRST, COUNT};
use super::grammar::DECIMAL;
use super::verbs::{self, FIND_AND_ASK, READ_STAGED, ask, read_then_ask};
use super::{
    Access, Call, Dialect, Flushed, Form, Grammar, Identity, Late, Number, Originals, Sign, Suspended,
    Target, Verbs, Words,
};
use crate::ima::lists::Request;

pub(super) const VERBS: &[(Target, &str, Request)] =
    &[(Target::STAGED, "A", Request::StageAll), (Target::STAGED, "D", Request::Delete)];

/// `_ima_measurements_write`, `security/integrity/ima/ima_fs.c`: two to 21 bytes (`STAGED_REQ_LENGTH`: a number of 64 bits
/// has at most 20 digits), the last of them a newline; `kstrtoul` reads numbers.
const GRAMMAR: Grammar = Grammar {
    form_is_promised: true,
    length: 2..=21,
    newline_needed: true,
    form: Form::String,
    in_order: false,
    verbs: VERBS,
    number: Some(Number { not_with_flush: true, ..DECIMAL }),
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "upstream",
    document: "Documentation/security/IMA-export-delete.rst as merged for 7.2",
    words: Some(Words { name: "upstream", met_by: "CONFIG_IMA_STAGING=y, Linux 7.2 or newer" }),
    identity: Identity { originals_writable: Some(true), signs: &[Sign::Stages], by_files: true },
    staged: Some(BANK_FIRST),
    own_files: &[],
    count: COUNT,
    mark: None,
    trim_mark: None,
    verbs: Verbs {
        stage: ask!(Staged, "A\n"),
        save: READ_STAGED,
        delete: ask!(Staged, "D\n"),
        trim: read_then_ask!(Current, "{n}\n"),
        trim_found: FIND_AND_ASK,
        ..verbs::NOTHING
    },
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
    held_briefly: true,
    deletes_away: &["ima_queue_staged_delete_all"],
};
