//! What the check `probe` finds: a kernel took what it was asked for when it was asked what it offers, and gave something else.

use super::Phrasing;

findings! {
    /// In the probe, a kernel accepted a request, and the result was not as promised.
    Probe {
        /// The result differs from the promise; `kind` says how.
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
