//! Mainline since Linux 7.2 without `CONFIG_IMA_STAGING`: its document says that records can then not be removed.

use super::{Dialect, Originals, StagedFiles, Trim, read_only, upstream};
use crate::Interface;

pub(super) const DIALECT: Dialect = Dialect {
    interface: Interface::NoStaging,
    document: "Documentation/security/IMA-export-delete.rst as merged for 7.2, \"Usage\": without CONFIG_IMA_STAGING",
    staged: StagedFiles::None,
    // What is a request where the option is on is one of which the log has to know when it is taken all the same.
    grammar: upstream::DIALECT.grammar,
    originals: Originals::OptionIsOff,
    trim: None::<Trim>,
    ..read_only::DIALECT
};
