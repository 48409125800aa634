//! Mainline since Linux 7.2 without `CONFIG_IMA_STAGING`: its document says that records can then not be removed.

use super::{Dialect, Identity, Originals, read_only, upstream};

pub(super) const DIALECT: Dialect = Dialect {
    name: "no-staging",
    document: "Documentation/security/IMA-export-delete.rst as merged for 7.2, \"Usage\": without CONFIG_IMA_STAGING",
    identity: Identity { originals_writable: Some(true), ..read_only::DIALECT.identity },
    // What is a request where the option is on is one of which the log has to know when it is taken all the same.
    grammar: upstream::DIALECT.grammar,
    originals: Originals::OptionIsOff,
    ..read_only::DIALECT
};
