//! Records that kernels with our series make of the log itself: what divides it, what hashes it, what tells of a trim.
//!
//! Each is critical data of the template `ima-buf`, whose buffer is a text. What a text says is taken here and compared by whoever has
//! the log, or the TPM's PCRs, beside it.

mod aggregate;
mod digest;
mod trim;

use super::{ByteOrder, RecordRef};

pub use aggregate::{Aggregate, Item, MOST_PCRS};
pub use digest::LogDigest;
pub use trim::Trimmed;

/// The template that critical data have unless a rule says otherwise.
const TEMPLATE: &str = "ima-buf";

/// What a text should have had at some byte of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: expected {expected}")]
pub struct MarkError {
    /// Byte of the text, from 0.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// A record of the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `snapshot_aggregate`: all PCRs.
    Aggregate(Aggregate),
    /// `log_digest`: a digest of what came before.
    Digest(LogDigest),
    /// `trim ima event logs`: how many records were trimmed.
    Trimmed(Trimmed),
}

impl Mark {
    /// What a record says, if it is one of these: told by its template and event name.
    ///
    /// # Errors
    ///
    /// Where its text is not what such a record has.
    pub fn of(record: RecordRef<'_>) -> Option<Result<Mark, MarkError>> {
        if record.template != TEMPLATE {
            return None;
        }
        let fields: Vec<_> = record.fields(ByteOrder::Little).filter_map(Result::ok).collect();
        let field = |id: &str| fields.iter().find(|field| field.id == Some(id)).map(|field| field.data);
        let name = field("n-ng")?;
        let text = field("buf")?;
        match name.strip_suffix(&[0]).unwrap_or(name) {
            b"snapshot_aggregate" => Some(Aggregate::parse(text).map(Mark::Aggregate)),
            b"log_digest" => Some(LogDigest::parse(text).map(Mark::Digest)),
            // The list shows blanks of an event name as they are in its binary form, and `_` in the other.
            b"trim ima event logs" | b"trim_ima_event_logs" => Some(Trimmed::parse(text).map(Mark::Trimmed)),
            _ => None,
        }
    }
}

/// What is left of a text, and where in it that is.
struct Rest<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Rest<'t> {
    fn new(text: &'t [u8]) -> Rest<'t> {
        Rest { text, at: 0 }
    }

    fn error(&self, expected: &'static str) -> MarkError {
        MarkError { at: self.at, expected }
    }

    fn left(&self) -> &'t [u8] {
        &self.text[self.at..]
    }

    fn is_done(&self) -> bool {
        self.left().is_empty()
    }

    /// Takes these words off.
    fn words(&mut self, words: &'static str) -> Result<(), MarkError> {
        if !self.left().starts_with(words.as_bytes()) {
            return Err(self.error(words));
        }
        self.at += words.len();
        Ok(())
    }

    /// Takes off what such bytes there are.
    fn run(&mut self, is: impl Fn(u8) -> bool) -> &'t [u8] {
        let length = self.left().iter().take_while(|byte| is(**byte)).count();
        let run = &self.left()[..length];
        self.at += length;
        run
    }

    /// A decimal number without leading zeros.
    fn number(&mut self) -> Result<u64, MarkError> {
        let start = self.error("a decimal number");
        let digits = self.run(|byte| byte.is_ascii_digit());
        let leads = digits.len() > 1 && digits[0] == b'0';
        let text = std::str::from_utf8(digits).ok().filter(|_| !leads);
        text.and_then(|text| text.parse().ok()).ok_or(start)
    }

    /// Hexadecimal digits, two a byte: in lower case and without `0x`, as our own series have them; what others may write is taken too.
    fn hex(&mut self) -> Result<Vec<u8>, MarkError> {
        let start = self.error("hexadecimal digits, two a byte");
        if self.left().starts_with(b"0x") || self.left().starts_with(b"0X") {
            self.at += 2;
        }
        let digits = self.run(|byte| byte.is_ascii_hexdigit());
        if digits.is_empty() {
            return Err(start);
        }
        hex::decode(digits).map_err(|_| start)
    }

    /// A hash algorithm's name.
    fn algorithm(&mut self) -> Result<&'t str, MarkError> {
        let start = self.error("the name of a hash algorithm");
        let name = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).ok_or(start)
    }
}

#[cfg(test)]
mod tests;
