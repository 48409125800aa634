//! The trim log patches of December 2025 to April 2026, in our own series `kernel-config/patches/trim-log`: `T:N` removes N records,
//! if T were removed before (`ima_trim_log_write` there). Nothing is staged.

use super::grammar::DECIMAL;
use super::{
    Access, Admin, Call, Dialect, Excludes, Form, Grammar, Identity, Late, Number, Originals, OwnFile, Place,
    STALE, Shows, Sign, Suspended, Target, Verbs, Words, read_only, verbs,
};

const FILE: OwnFile = OwnFile {
    name: "ima_trim_log",
    admin: Admin::Always,
    in_order: false,
    refuses: &[],
    excludes: Excludes::Lists,
    place: Place::Start,
    shows: Some(Shows::Trimmed),
    divides: false,
};

const OWN: Target = Target::Own(FILE.name);

pub(super) const DIALECT: Dialect = Dialect {
    name: "trim-log",
    document: "Documentation/security/IMA-trim-log.rst of the series trim-log (kernel-config/patches)",
    words: Some(Words { name: "trim-log", met_by: "CONFIG_IMA_LOG_TRIMMING=y and the series trim-log" }),
    identity: Identity { originals_writable: Some(false), signs: &[], by_files: true },
    own_files: &[FILE],
    trim_mark: Some("trim ima event logs"),
    verbs: Verbs {
        // T is read before the list: whoever trims in between is noticed.
        trim: Some(&[
            Call::Open(OWN, Access::Read),
            Call::Number,
            Call::Close,
            Call::Open(Target::CURRENT, Access::Read),
            Call::Read,
            Call::Close,
            Call::Open(OWN, Access::Write),
            Call::Write("{number}:{n}\n"),
            Call::Close,
        ]),
        trim_found: Some(&[
            Call::Open(OWN, Access::Read),
            Call::Number,
            Call::Close,
            Call::Open(Target::CURRENT, Access::Read),
            Call::Find,
            Call::Close,
            Call::Open(OWN, Access::Write),
            Call::Write("{number}:{found}\n"),
            Call::Close,
        ]),
        ..verbs::NOTHING
    },
    grammar: Grammar {
        form_is_promised: true,
        length: 2..=32,
        newline_needed: false,
        form: Form::CompareAndTrim,
        in_order: true,
        verbs: &[],
        number: Some(Number { on: OWN, any_base: true, ..DECIMAL }),
    },
    originals: Originals::OpenedInVain,
    readers_excluded: true,
    exact_trim: true,
    suspended: STALE,
    own_errors: true,
    held_briefly: true,
    ..read_only::DIALECT
};

/// The third version, of January 2026, as posted: a number trims so many, and what the file shows is how many that was the last time.
pub(super) const V3_POSTED: Dialect = Dialect {
    name: "trim-log-v3@posted",
    document: "v3 of the trim log patches, 20260106020713.3994-1-chenste@linux.microsoft.com",
    words: None,
    identity: Identity { signs: &[Sign::Trims], by_files: false, ..DIALECT.identity },
    own_files: &[OwnFile { shows: None, ..FILE }],
    trim_mark: None,
    held_briefly: false,
    verbs: Verbs {
        trim: Some(&[
            Call::Open(Target::CURRENT, Access::Read),
            Call::Read,
            Call::Close,
            Call::Open(OWN, Access::Write),
            Call::Write("{n}\n"),
            Call::Close,
        ]),
        trim_found: Some(&[
            Call::Open(Target::CURRENT, Access::Read),
            Call::Find,
            Call::Close,
            Call::Open(OWN, Access::Write),
            Call::Write("{found}\n"),
            Call::Close,
        ]),
        ..verbs::NOTHING
    },
    grammar: Grammar {
        form_is_promised: false,
        length: 2..=11,
        form: Form::Word,
        in_order: false,
        number: Some(Number { on: OWN, ..DECIMAL }),
        ..DIALECT.grammar
    },
    suspended: Suspended { stage: Late::Unsaid, delete: Late::Unsaid, trim: Late::Unsaid },
    ..DIALECT
};
