//! `trim ima event logs`: how many records were trimmed, and when (`IMA-trim-log.rst` of the series).

use super::{MarkError, Rest};

/// What such a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// Nanoseconds of the clock.
    pub time: u64,
    /// Records trimmed since this kernel began, those of this trim included.
    pub number: u64,
}

impl Trimmed {
    /// Takes a text apart.
    ///
    /// # Errors
    ///
    /// The first byte that is not as it should be.
    pub fn parse(text: &[u8]) -> Result<Trimmed, MarkError> {
        let mut rest = Rest::new(text);
        rest.words("time= ")?;
        let time = rest.number()?;
        rest.words("; number= ")?;
        let number = rest.number()?;
        rest.words(";")?;
        match rest.is_done() {
            true => Ok(Trimmed { time, number }),
            false => Err(rest.error("the end of the text")),
        }
    }
}
