//! The postings of staging on linux-integrity, each held to its own: not to what was merged, nor to our own series.
//!
//! Message-ids end in `roberto.sassu@huaweicloud.com`. What a posting does by mistake (records lost at a kexec, a delete
//! taken after kexec's copy, a request refused behind a read) stands in none of these: it is a defect there too. What is
//! spelled out in a scenario is in the words of others.

use nix::errno::Errno;

use super::grammar::DECIMAL;
use super::verbs::{ask, find_then_ask, read_then_ask};
use super::{
    Access, Call, Dialect, Flushed, Form, Grammar, Identity, Late, Means, Number, Originals, Sign, Suspended,
    Target, Verbs, rfc_v2, two_command, upstream,
};
use crate::ima::lists::Request;

/// `kstrtol` in base 0; beyond `LONG_MAX` is EINVAL.
const NUMBER: Number = Number { any_base: true, beyond: Errno::EINVAL, most_is_all: false, ..rfc_v2::NUMBER };

/// User space is to be told that its staged records were carried, so that a delete is refused; with what is said nowhere, and
/// nothing is of the other requests.
const TOLD: Suspended = Suspended { stage: Late::Unsaid, delete: Late::Refused, trim: Late::Unsaid };

const VERBS: &[(Target, &str, Request)] = upstream::VERBS;

/// RFC v1 of December 2025: `A`, `N` and `D`.
pub(super) const V1: Dialect = Dialect {
    name: "staging-v1@posted",
    document: "RFC v1 of staging, 20251209101725.3680225-1-roberto.sassu@huaweicloud.com",
    identity: Identity { signs: &[Sign::Stages, Sign::NothingStaged(Errno::ENOENT)], ..RFC_V2.identity },
    verbs: Verbs { trim: two_command::DIALECT.verbs.trim, ..RFC_V2.verbs },
    grammar: Grammar {
        form_is_promised: false,
        number: Some(Number { negative: None, ..NUMBER }),
        ..RFC_V2.grammar
    },
    ..RFC_V2
};

/// RFC v2 of December 2025: as v1, and `-N`.
pub(super) const RFC_V2: Dialect = Dialect {
    name: "rfc-v2@posted",
    document: "RFC v2 of staging, 20251212171932.316676-1-roberto.sassu@huaweicloud.com",
    words: None,
    identity: Identity {
        // Our own series has a list there that is empty.
        signs: &[Sign::Stages, Sign::NothingStaged(Errno::ENOENT), Sign::Trims],
        ..rfc_v2::DIALECT.identity
    },
    grammar: Grammar {
        form_is_promised: true,
        length: 2..=23,
        newline_needed: true,
        form: Form::Word,
        in_order: false,
        verbs: VERBS,
        number: Some(NUMBER),
    },
    originals: Originals::OpenedInVain,
    nothing_staged: Some(Errno::ENOENT),
    flushed: Flushed::AtStage,
    suspended: TOLD,
    own_errors: true,
    ..rfc_v2::DIALECT
};

/// v3 of March 2026: a number deletes the first N that are staged, and the others go back.
pub(super) const V3: Dialect = Dialect {
    name: "v3@posted",
    document: "v3 of staging, 20260311171956.2317781-3-roberto.sassu@huaweicloud.com",
    identity: Identity { originals_writable: Some(false), signs: &[Sign::Stages], by_files: false },
    verbs: Verbs {
        stage: ask!(Staged, "A\n"),
        trim: read_then_ask!(Staged, "A\n", "{n}\n"),
        trim_found: find_then_ask!(Staged, ["A\n"], []),
        ..V5.verbs
    },
    grammar: Grammar {
        verbs: VERBS,
        number: Some(Number { on: Target::STAGED, positive: Means::DeleteFirst, ..DECIMAL }),
        ..V5.grammar
    },
    originals: Originals::OpenedInVain,
    suspended: TOLD,
    ..V5
};

/// v4 of March 2026: a number on a staged file stages all, cuts N and puts the others back.
pub(super) const V4: Dialect = Dialect {
    name: "v4@posted",
    document: "v4 of staging, 20260326173011.1191815-1-roberto.sassu@huaweicloud.com",
    // The number is about the current list; in v3 it is about the staged one, which is empty when it is asked.
    identity: Identity { signs: &[Sign::Stages, Sign::Trims], ..V3.identity },
    verbs: Verbs {
        trim: read_then_ask!(Staged, "{n}\n"),
        trim_found: find_then_ask!(Staged, [], []),
        ..V3.verbs
    },
    grammar: Grammar { number: Some(Number { on: Target::STAGED, ..DECIMAL }), ..V3.grammar },
    suspended: Suspended { stage: Late::Refused, delete: Late::With(Errno::ESTALE), trim: Late::Refused },
    ..V3
};

/// v5 of April 2026: `A` and numbers on the original files, `D` on the staged ones.
pub(super) const V5: Dialect = Dialect {
    name: "v5@posted",
    document: "v5 of staging, 20260429160319.4162918-1-roberto.sassu@huaweicloud.com",
    words: None,
    identity: Identity { by_files: false, ..upstream::DIALECT.identity },
    verbs: Verbs {
        stage: ask!(Current, "A\n"),
        trim_found: find_then_ask!(Current, [], []),
        ..upstream::DIALECT.verbs
    },
    grammar: Grammar {
        form_is_promised: false,
        length: 2..=21,
        newline_needed: true,
        form: Form::String,
        in_order: false,
        verbs: &[(Target::CURRENT, "A", Request::StageAll), (Target::STAGED, "D", Request::Delete)],
        number: Some(DECIMAL),
    },
    one_writer_many_files: false,
    // Not known.
    trims_while_staged: None,
    suspended: Suspended { stage: Late::Unsaid, delete: Late::Unsaid, trim: Late::Unsaid },
    own_errors: true,
    segment_headers: 1,
    held_briefly: false,
    deletes_away: &[],
    ..upstream::DIALECT
};
