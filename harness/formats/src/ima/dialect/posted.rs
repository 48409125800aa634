//! The postings of staging on linux-integrity, each held to its own: not to what was merged, nor to our own series.
//!
//! Message-ids end in `roberto.sassu@huaweicloud.com`. What a posting does by mistake (records lost at a kexec, a delete
//! taken after kexec's copy, a request refused behind a read) stands in none of these: it is a defect there too.

use nix::errno::Errno;

use super::{
    Asked, Dialect, Flushed, Grammar, Late, Means, Number, On, Originals, Suspended, Trim, rfc_v2, upstream,
};
use crate::Interface;
use crate::ima::lists::Request;

/// `kstrtol` in base 0; beyond `LONG_MAX` is EINVAL.
const NUMBER: Number = Number { any_base: true, beyond: Errno::EINVAL, most_is_all: false, ..rfc_v2::NUMBER };

/// User space is to be told that its staged records were carried, so that a delete is refused; with what is said nowhere, and
/// nothing is of the other requests.
const TOLD: Suspended = Suspended { stage: Late::Unsaid, delete: Late::Refused, trim: Late::Unsaid };

const VERBS: &[(On, u8, Request)] = upstream::VERBS;

/// RFC v1 of December 2025: `A`, `N` and `D`.
pub(super) const V1: Dialect = Dialect {
    interface: Interface::StagingV1Posted,
    document: "RFC v1 of staging, 20251209101725.3680225-1-roberto.sassu@huaweicloud.com",
    trim: Some(Trim::StageThenDelete),
    grammar: Grammar {
        form_is_promised: false,
        number: Some(Number { negative: None, ..NUMBER }),
        ..RFC_V2.grammar
    },
    ..RFC_V2
};

/// RFC v2 of December 2025: as v1, and `-N`.
pub(super) const RFC_V2: Dialect = Dialect {
    interface: Interface::RfcV2Posted,
    document: "RFC v2 of staging, 20251212171932.316676-1-roberto.sassu@huaweicloud.com",
    grammar: Grammar {
        form_is_promised: true,
        length: 2..=23,
        newline_needed: true,
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
    interface: Interface::V3Posted,
    document: "v3 of staging, 20260311171956.2317781-3-roberto.sassu@huaweicloud.com",
    stage: Some(Asked { on: On::Staged, text: "A\n" }),
    trim: Some(Trim::StageThenNumber),
    grammar: Grammar {
        verbs: VERBS,
        number: Some(Number { on: On::Staged, positive: Means::DeleteFirst, ..DECIMAL }),
        ..V5.grammar
    },
    originals: Originals::OpenedInVain,
    suspended: TOLD,
    ..V5
};

/// v4 of March 2026: a number on a staged file stages all, cuts N and puts the others back.
pub(super) const V4: Dialect = Dialect {
    interface: Interface::V4Posted,
    document: "v4 of staging, 20260326173011.1191815-1-roberto.sassu@huaweicloud.com",
    trim: Some(Trim::Number { on: On::Staged, sign: "", after_read: false }),
    grammar: Grammar { number: Some(Number { on: On::Staged, ..DECIMAL }), ..V3.grammar },
    suspended: Suspended { stage: Late::Refused, delete: Late::With(Errno::ESTALE), trim: Late::Refused },
    ..V3
};

/// v5 of April 2026: `A` and numbers on the original files, `D` on the staged ones.
pub(super) const V5: Dialect = Dialect {
    interface: Interface::V5Posted,
    document: "v5 of staging, 20260429160319.4162918-1-roberto.sassu@huaweicloud.com",
    stage: Some(Asked { on: On::Original, text: "A\n" }),
    trim: Some(Trim::Number { on: On::Original, sign: "", after_read: false }),
    grammar: Grammar {
        form_is_promised: false,
        length: 2..=21,
        newline_needed: true,
        verbs: &[(On::Original, b'A', Request::StageAll), (On::Staged, b'D', Request::Delete)],
        number: Some(DECIMAL),
    },
    one_writer_many_files: false,
    // Not known.
    trims_while_staged: None,
    suspended: Suspended { stage: Late::Unsaid, delete: Late::Unsaid, trim: Late::Unsaid },
    own_errors: true,
    segment_headers: 1,
    ..upstream::DIALECT
};

/// A number as mainline reads it, where a kernel was not asked, and that `ima_flush_htable` does not forbid as far as is known.
const DECIMAL: Number = Number {
    on: On::Original,
    any_base: false,
    negative: None,
    positive: Means::Trim,
    most: u64::MAX,
    beyond: Errno::ERANGE,
    most_is_all: false,
    is_string: true,
    not_with_flush: false,
};
