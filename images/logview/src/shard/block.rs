//! The two blocks of text of a shard.

use std::fmt::Write as _;

use imalab_ima::{Bank, Digest, PCR_LIMIT};

use crate::place::{Place, Position};

/// Blocks are padded to a multiple of this.
const UNIT: usize = 512;

/// No block is larger: [`PCR_LIMIT`] PCRs in four banks are 25 KiB.
const LARGEST: usize = 64 << 10;

const MAGIC: &str = "ima-log-shard 1 ";
const MAGIC_END: &str = "ima-log-shard-end 1 ";
const LAST: &str = "end ";

/// Digits of a block's size.
const DIGITS: usize = 6;

/// Bytes of the header's first line.
pub(super) const FIRST_LINE: usize = MAGIC.len() + DIGITS + 1;

/// Bytes of the last line of a shard.
pub(super) const LAST_LINE: usize = LAST.len() + DIGITS + 1;

/// A block that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It is no shard, or one of another version.
    #[error("not a shard of version 1")]
    Magic,
    /// Sizes do not fit together.
    #[error("the sizes in it do not fit together")]
    Size,
    /// A line is missing, another, or written otherwise.
    #[error("expected a line `{0}` where there is another or none")]
    Line(&'static str),
}

/// What a shard begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its number; numbers go on over cold boots.
    pub number: u64,
    /// How often the TPM had been reset (`resetCount` of `TPM2_ReadClock`): which cold boot this is. `None` without a TPM.
    pub tpm_resets: Option<u32>,
    /// SHA-256 of the whole shard before this one; `None` for the first one of a cold boot.
    pub former: Option<[u8; 32]>,
    /// Where its first record begins, and what the records before amount to.
    pub before: Position,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = String::new();
        let _ = writeln!(text, "number {}", self.number);
        let _ = writeln!(text, "tpm-resets {}", Or(self.tpm_resets));
        let _ = writeln!(text, "form binary sha1 little-endian");
        let _ = writeln!(text, "former {}", Or(self.former.map(hex::encode)));
        position(&self.before, &mut text);
        let size = (FIRST_LINE + text.len()).next_multiple_of(UNIT);
        let mut block = format!("{MAGIC}{size:0DIGITS$}\n{text}").into_bytes();
        block.resize(size, b'\n');
        block
    }

    pub(super) fn decode(block: &[u8]) -> Result<Header, BlockError> {
        let mut lines = Lines::of(block)?;
        lines.line(MAGIC.trim_end())?;
        let header = Header {
            number: number(lines.line("number")?).ok_or(BlockError::Line("number"))?,
            tpm_resets: or(lines.line("tpm-resets")?, |text| text.parse().ok())
                .ok_or(BlockError::Line("tpm-resets"))?,
            former: {
                lines.line("form")?;
                or(lines.line("former")?, sha256).ok_or(BlockError::Line("former"))?
            },
            before: lines.position()?,
        };
        if header.encode() == block { Ok(header) } else { Err(BlockError::Line("form")) }
    }
}

/// The size of the header, from its first line.
pub(super) fn header_size(line: &[u8]) -> Result<usize, BlockError> {
    size(line.strip_prefix(MAGIC.as_bytes()).ok_or(BlockError::Magic)?)
}

/// The size of the block at the end, from its last line.
pub(super) fn end_size(line: &[u8]) -> Result<usize, BlockError> {
    size(line.strip_prefix(LAST.as_bytes()).ok_or(BlockError::Size)?)
}

fn size(digits: &[u8]) -> Result<usize, BlockError> {
    let text = digits.strip_suffix(b"\n").and_then(|digits| std::str::from_utf8(digits).ok());
    text.filter(|text| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|size| (UNIT..=LARGEST).contains(size) && size % UNIT == 0)
        .ok_or(BlockError::Size)
}

pub(super) fn encode_end(after: &Position, digest: &[u8; 32]) -> Vec<u8> {
    let mut text = String::new();
    position(after, &mut text);
    let _ = writeln!(text, "sha256 {}", hex::encode(digest));
    let first = MAGIC_END.len() + DIGITS + 1;
    let size = (first + text.len() + LAST_LINE).next_multiple_of(UNIT);
    let mut block = format!("{MAGIC_END}{size:0DIGITS$}\n{text}").into_bytes();
    block.resize(size - LAST_LINE, b'\n');
    block.extend_from_slice(format!("{LAST}{size:0DIGITS$}\n").as_bytes());
    block
}

pub(super) fn decode_end(block: &[u8]) -> Result<(Position, [u8; 32]), BlockError> {
    let mut lines = Lines::of(block)?;
    lines.line(MAGIC_END.trim_end())?;
    let after = lines.position()?;
    let digest = sha256(lines.line("sha256")?).ok_or(BlockError::Line("sha256"))?;
    if encode_end(&after, &digest) == block { Ok((after, digest)) } else { Err(BlockError::Line("end")) }
}

fn position(position: &Position, text: &mut String) {
    let place = position.place;
    let _ = writeln!(text, "record {}", place.records);
    let _ = writeln!(text, "binary-byte {}", place.binary);
    let _ = writeln!(text, "ascii-byte {}", place.ascii);
    let _ = writeln!(text, "violations {}", position.violations);
    for (pcr, value) in position.values() {
        let _ = writeln!(text, "pcr {pcr} {} {value}", value.bank());
    }
}

struct Or<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Or<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// `None` for what is no value, `Some(None)` for the line that stands for none.
fn or<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "-" { Some(None) } else { parse(text).map(Some) }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

/// The lines of a block, each `key value`.
struct Lines<'a>(std::iter::Peekable<std::str::Lines<'a>>);

impl<'a> Lines<'a> {
    fn of(block: &'a [u8]) -> Result<Lines<'a>, BlockError> {
        let text = std::str::from_utf8(block).map_err(|_| BlockError::Magic)?;
        Ok(Lines(text.lines().peekable()))
    }

    fn next_is(&mut self, key: &str) -> Option<&'a str> {
        self.0.next_if(|line| value(line, key).is_some()).and_then(|line| value(line, key))
    }

    fn line(&mut self, key: &'static str) -> Result<&'a str, BlockError> {
        self.next_is(key).ok_or(BlockError::Line(key))
    }

    fn count(&mut self, key: &'static str) -> Result<u64, BlockError> {
        number(self.line(key)?).ok_or(BlockError::Line(key))
    }

    fn position(&mut self) -> Result<Position, BlockError> {
        let place = Place {
            records: self.count("record")?,
            binary: self.count("binary-byte")?,
            ascii: self.count("ascii-byte")?,
        };
        let mut position = Position::start();
        (position.place, position.violations) = (place, self.count("violations")?);
        while let Some(line) = self.next_is("pcr") {
            let (pcr, value) = pcr_value(line).ok_or(BlockError::Line("pcr"))?;
            position.set_value(pcr, value);
        }
        Ok(position)
    }
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(' ')
}

fn pcr_value(line: &str) -> Option<(u32, Digest)> {
    let mut words = line.splitn(3, ' ');
    let pcr = words.next()?.parse().ok().filter(|pcr| *pcr < PCR_LIMIT)?;
    let bank: Bank = words.next()?.parse().ok()?;
    let value = Digest::from_bytes(bank, &hex::decode(words.next()?).ok()?)?;
    Some((pcr, value))
}
