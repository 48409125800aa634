//! What the check `probe` finds: a kernel took what it was asked for when it was asked what it offers, and gave something else.

use super::Phrasing;

findings! {
    /// A kernel took what it was asked for when it was asked what it offers, and gave something else.
    Probe {
        /// It gave something else than was promised; `kind` says what.
        "probe/found" Found { kind: String, asked: String, expected: String, found: String, promise: String }
    }
}

impl Probe {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, _: &dyn Phrasing) -> String {
        match self {
            Probe::Found { kind: _, asked, expected, found, promise } => {
                format!("{asked}: expected {expected}, found {found}; promised: {promise}")
            }
        }
    }
}
