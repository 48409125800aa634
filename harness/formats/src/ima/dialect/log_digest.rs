//! The independent critical data record and the trimming that was to go with it, of November 2023 to January 2024, in our own series
//! `kernel-config/patches/log-digest` and `log-trim`: the kernel records digests of the list, and trims it by a number or up to one
//! of those records. Nothing is staged.

use nix::errno::Errno;

use super::grammar::DECIMAL;
use super::{
    Access, Admin, Call, Dialect, Excludes, Form, Grammar, Identity, Number, OwnFile, Place, STALE, Shows,
    Target, Verbs, Words, read_only, verbs,
};
use crate::ima::file;
use crate::ima::lists::{Mark, Request};

const READING_ALONE: file::Access = file::Access { read: true, write: false };

/// Opened for writing alone or for both: there is nothing to be read.
const TRIM: OwnFile = OwnFile {
    name: "trim",
    admin: Admin::Always,
    in_order: true,
    refuses: &[(READING_ALONE, Errno::EACCES)],
    excludes: Excludes::Others,
    place: Place::Any,
    shows: None,
    divides: false,
};

const DIGEST: OwnFile = OwnFile { name: "log_digest", in_order: false, excludes: Excludes::Nobody, ..TRIM };

const INTERVAL: OwnFile = OwnFile {
    name: "log_digest_interval",
    admin: Admin::Writing,
    refuses: &[],
    place: Place::Free,
    ..DIGEST
};

const fn counter(name: &'static str, shows: Shows) -> OwnFile {
    OwnFile { name, admin: Admin::Never, shows: Some(shows), ..INTERVAL }
}

const OWN: Target = Target::Own(TRIM.name);

pub(super) const DIALECT: Dialect = Dialect {
    name: "log-digest",
    document: "Documentation/security/IMA-log-digest.rst and IMA-log-count.rst of the series log-digest and log-trim \
               (kernel-config/patches)",
    words: Some(Words {
        name: "log-digest",
        met_by: "CONFIG_IMA_LOG_DIGEST=y, CONFIG_IMA_LOG_TRIM=y and the series log-digest and log-trim",
    }),
    identity: Identity { originals_writable: Some(false), signs: &[], by_files: true },
    own_files: &[
        TRIM,
        DIGEST,
        INTERVAL,
        counter("runtime_measurements_count", Shows::Total),
        counter("runtime_measurements_in_memory_size", Shows::Bytes),
        counter("runtime_measurements_trims", Shows::Trims),
        counter("runtime_measurements_trimmed", Shows::Trimmed),
    ],
    count: "runtime_measurements_in_memory",
    mark: Some("log_digest"),
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
        trim_to: Some(&[
            Call::Open(Target::CURRENT, Access::Read),
            Call::Read,
            Call::Close,
            Call::Open(OWN, Access::Write),
            Call::Write("{mark}\n"),
            Call::Close,
        ]),
        mark: Some(&[Call::Open(Target::Own(DIGEST.name), Access::Write), Call::Write("1\n"), Call::Close]),
        ..verbs::NOTHING
    },
    grammar: Grammar {
        form_is_promised: true,
        length: 1..=31,
        newline_needed: false,
        form: Form::Command,
        in_order: false,
        verbs: &[
            (OWN, "first", Request::TrimTo(Mark::First)),
            (OWN, "last", Request::TrimTo(Mark::Last)),
            (Target::Own(DIGEST.name), "1", Request::MarkLog),
        ],
        number: Some(Number { on: OWN, ..DECIMAL }),
    },
    exact_trim: true,
    suspended: STALE,
    own_errors: true,
    ..read_only::DIALECT
};
