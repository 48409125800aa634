//! `log_digest`: a digest of the log since the last one (`IMA-log-digest.rst` of the series).

use super::{MarkError, Rest};

/// What such a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDigest {
    /// The kernel's name of the hash algorithm, and the digest; `None` where it could not be kept.
    pub digest: Option<(String, Vec<u8>)>,
    /// Records that the digest is of.
    pub covered: u64,
    /// Records since cold boot, before this one.
    pub total: u64,
    /// How often records were removed.
    pub trims: u64,
    /// How many were.
    pub trimmed: u64,
}

impl LogDigest {
    /// Takes a text apart.
    ///
    /// # Errors
    ///
    /// The first byte that is not as it should be.
    pub fn parse(text: &[u8]) -> Result<LogDigest, MarkError> {
        let mut rest = Rest::new(text);
        rest.words("digest=")?;
        let algorithm = rest.algorithm()?.to_owned();
        rest.words(":")?;
        let digest = if algorithm == "none" { None } else { Some((algorithm, rest.hex()?)) };
        rest.words(";covered=")?;
        let covered = rest.number()?;
        rest.words(";total=")?;
        let total = rest.number()?;
        rest.words(";trims=")?;
        let trims = rest.number()?;
        rest.words(";trimmed=")?;
        let trimmed = rest.number()?;
        rest.words(";")?;
        match rest.is_done() {
            true => Ok(LogDigest { digest, covered, total, trims, trimmed }),
            false => Err(rest.error("the end of the text")),
        }
    }
}
