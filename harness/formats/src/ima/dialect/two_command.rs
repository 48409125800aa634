//! The two-command idea of December 2025, in our own series `kernel-config/patches/two-command`: a number stages so many
//! records or all that there are, and `D` deletes them (`ima_staged_write` there).

use nix::errno::Errno;

use super::{Asked, Dialect, Grammar, Means, Number, On, Trim, rfc_v2};
use crate::Interface;
use crate::ima::lists::Request;

pub(super) const DIALECT: Dialect = Dialect {
    interface: Interface::TwoCommand,
    document: "Documentation/security/IMA-staging.rst of the series two-command (kernel-config/patches)",
    // More records than there can be (`LONG_MAX`): all of them.
    stage: Some(Asked { on: On::Staged, text: "9223372036854775807\n" }),
    trim: Some(Trim::StageThenDelete),
    grammar: Grammar {
        form_is_promised: true,
        length: rfc_v2::LENGTH,
        newline_needed: false,
        verbs: &[(On::Staged, b'D', Request::Delete)],
        number: Some(Number {
            on: On::Staged,
            any_base: false,
            negative: None,
            positive: Means::StageUpTo,
            most: u64::MAX,
            beyond: Errno::ERANGE,
            most_is_all: false,
            is_string: false,
            not_with_flush: false,
        }),
    },
    exact_trim: false,
    ..rfc_v2::DIALECT
};
