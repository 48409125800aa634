//! The transaction idea of November 2023 and December 2025, in our own series `kernel-config/patches/transaction`: who
//! has a list open for reading and writing commits by writing a number (`ima_list_write` there). Nothing is staged.

use super::grammar::DECIMAL;
use super::verbs::FIND_AND_ASK;
use super::{
    Access, Call, Dialect, Form, Grammar, Identity, Originals, STALE, Target, Verbs, Words, read_only,
    rfc_v2, verbs,
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "transaction",
    document: "Documentation/security/IMA-list-transaction.rst of the series transaction (kernel-config/patches)",
    words: Some(Words {
        name: "transaction",
        met_by: "CONFIG_IMA_LIST_TRANSACTION=y and the series transaction",
    }),
    identity: Identity { originals_writable: Some(true), signs: &[], by_files: true },
    verbs: Verbs {
        trim: Some(&[
            Call::Open(Target::CURRENT, Access::ReadWrite),
            Call::Read,
            Call::Write("{n}\n"),
            Call::Close,
        ]),
        trim_found: FIND_AND_ASK,
        ..verbs::NOTHING
    },
    grammar: Grammar {
        form_is_promised: true,
        length: rfc_v2::LENGTH,
        newline_needed: false,
        form: Form::Word,
        in_order: false,
        verbs: &[],
        number: Some(DECIMAL),
    },
    originals: Originals::WithReading,
    exact_trim: true,
    suspended: STALE,
    ..read_only::DIALECT
};
