//! What a probe found, in words.

use imalab_language::finding::Probe;

pub(super) fn words(finding: &Probe) -> String {
    match finding {
        Probe::Found { kind: _, asked, expected, found, promise } => {
            format!("{asked}: expected {expected}, found {found}; promised: {promise}")
        }
    }
}
