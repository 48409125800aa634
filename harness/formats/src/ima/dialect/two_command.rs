//! The two-command idea of December 2025, in our own series `kernel-config/patches/two-command`: a number stages so many
//! records or all that there are, and `D` deletes them (`ima_staged_write` there).

use super::grammar::DECIMAL;
use super::verbs::{ask, read_then_ask};
use super::{Access, Call, Dialect, Grammar, Means, Number, Target, Verbs, Words, rfc_v2};
use crate::ima::lists::Request;

pub(super) const DIALECT: Dialect = Dialect {
    name: "two-command",
    document: "Documentation/security/IMA-staging.rst of the series two-command (kernel-config/patches)",
    words: Some(Words { name: "two-command", met_by: "CONFIG_IMA_STAGING=y and the series two-command" }),
    verbs: Verbs {
        // More records than there can be (`LONG_MAX`): all of them.
        stage: ask!(Staged, "9223372036854775807\n"),
        trim: read_then_ask!(Staged, "{n}\n", "D\n"),
        ..rfc_v2::DIALECT.verbs
    },
    grammar: Grammar {
        verbs: &[(Target::STAGED, "D", Request::Delete)],
        number: Some(Number { on: Target::STAGED, positive: Means::StageUpTo, ..DECIMAL }),
        ..rfc_v2::DIALECT.grammar
    },
    exact_trim: false,
    ..rfc_v2::DIALECT
};
