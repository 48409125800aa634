//! PCR values as text.

use super::{PcrFileError, PcrHint, bank_of_size};
use crate::ima::{Bank, Digest, PCR_LIMIT};

const LINE: &str = "`PCR-<index>: <hex>` or `<index>: 0x<hex>`";

/// Characters of a wrong line that are shown.
const SHOWN: usize = 80;

/// The bank that the lines under a heading are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heading {
    None,
    Bank(Bank),
    /// Of a bank that imalab does not know, or that was not asked for.
    Other,
}

pub(super) fn read(text: &str, hint: &PcrHint) -> Result<Vec<(Bank, u32, Digest)>, PcrFileError> {
    let mut heading = Heading::None;
    let mut values: Vec<(Bank, u32, Digest)> = Vec::new();
    let mut bare = Bare::default();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        let wrong = |expected: &str| PcrFileError::Line {
            line,
            expected: expected.to_owned(),
            found: content.chars().take(SHOWN).collect(),
        };
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if bare.takes(content) {
            continue;
        }
        let Some((key, value)) = content.split_once(':') else {
            return Err(wrong(LINE));
        };
        let (key, value) = (key.trim(), value.trim());
        if value.is_empty() && !key.starts_with(|first: char| first.is_ascii_digit()) {
            heading = match key.parse() {
                Ok(bank) if hint.selection.as_ref().is_none_or(|selection| selection.names(bank)) => {
                    Heading::Bank(bank)
                }
                _ => Heading::Other,
            };
            continue;
        }
        let index = key.strip_prefix("PCR-").unwrap_or(key).parse().ok().filter(|index| *index < PCR_LIMIT);
        let index: u32 = index.ok_or_else(|| wrong(LINE))?;
        let expected = match heading {
            Heading::Other => continue,
            Heading::Bank(bank) => Some(bank),
            Heading::None => only_bank(hint),
        };
        let digest = digest(value, expected).ok_or_else(|| match expected {
            Some(bank) => wrong(&format!("a {bank} digest of {} bytes", bank.digest_size())),
            None => wrong("a digest of 20, 32, 48 or 64 bytes"),
        })?;
        let bank = digest.bank();
        if values.iter().any(|(other, place, _)| (*other, *place) == (bank, index)) {
            return Err(wrong("each PCR once"));
        }
        values.push((bank, index, digest));
    }
    values.extend(bare.values(hint)?);
    Ok(values)
}

fn only_bank(hint: &PcrHint) -> Option<Bank> {
    let mut banks = hint.selection.iter().flat_map(|selection| selection.banks());
    banks.next().filter(|_| banks.next().is_none()).map(|(bank, _)| bank)
}

/// A digest in hexadecimal, of `bank`, or of the bank that its size tells.
fn digest(text: &str, bank: Option<Bank>) -> Option<Digest> {
    let digits: String = text.strip_prefix("0x").unwrap_or(text).split_whitespace().collect();
    let bytes = hex::decode(digits).ok()?;
    Digest::from_bytes(bank.or_else(|| bank_of_size(bytes.len()))?, &bytes)
}

/// Digests without an index.
#[derive(Default)]
struct Bare {
    digests: Vec<Vec<u8>>,
    /// Bytes that the last one lacks.
    lacking: usize,
}

impl Bare {
    /// Takes a line when it is part of a digest: hexadecimal, or what `tsspcrread` says around it (`utils/pcrread.c`:
    /// `count 1 pcrUpdateCounter 20`, ` digest length 32`).
    fn takes(&mut self, line: &str) -> bool {
        if line.starts_with("count ") {
            return true;
        }
        if let Some(size) = line.strip_prefix("digest length ") {
            self.lacking = size.trim().parse().ok().filter(|size| *size <= 64).unwrap_or(0);
            self.digests.push(Vec::new());
            return self.lacking > 0;
        }
        let digits: String = line.strip_prefix("0x").unwrap_or(line).split_whitespace().collect();
        let Ok(bytes) = hex::decode(digits) else { return false };
        match self.digests.last_mut() {
            Some(digest) if self.lacking > 0 => {
                self.lacking = self.lacking.saturating_sub(bytes.len());
                digest.extend(bytes);
            }
            _ => self.digests.push(bytes),
        }
        true
    }

    fn values(self, hint: &PcrHint) -> Result<Vec<(Bank, u32, Digest)>, PcrFileError> {
        let selected = hint.selection.as_ref().and_then(|selection| selection.listed());
        if self.digests.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<(Option<Bank>, u32)> = match (selected, hint.index) {
            (Some(listed), _) => listed.into_iter().map(|(bank, pcr)| (Some(bank), pcr)).collect(),
            (None, Some(index)) => vec![(only_bank(hint), index); self.digests.len()],
            (None, None) => {
                return Err(PcrFileError::whole(
                    "to be told which PCR a bare value is of (for instance `sha256:10,FILE`)",
                    "neither a PCR before it, nor one as the name of the file",
                ));
            }
        };
        if places.len() != self.digests.len() {
            let found = format!("{} without an index", self.digests.len());
            return Err(PcrFileError::whole(format!("{} values", places.len()), found));
        }
        let mut values = Vec::new();
        for ((bank, pcr), bytes) in places.into_iter().zip(self.digests) {
            let digest =
                bank.or_else(|| bank_of_size(bytes.len())).and_then(|bank| Digest::from_bytes(bank, &bytes));
            let digest = digest.ok_or_else(|| {
                let sizes = bank.map_or("20, 32, 48 or 64".to_owned(), |bank| bank.digest_size().to_string());
                let found = format!("one of {}", bytes.len());
                PcrFileError::whole(format!("a digest of {sizes} bytes for PCR {pcr}"), found)
            })?;
            if values.iter().any(|(bank, place, _)| (*bank, *place) == (digest.bank(), pcr)) {
                return Err(PcrFileError::whole(
                    format!("PCR {pcr} of bank {} once", digest.bank()),
                    "two values",
                ));
            }
            values.push((digest.bank(), pcr, digest));
        }
        Ok(values)
    }
}
