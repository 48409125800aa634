//! Replays a binary measurement list in the SHA-256 bank, in portions of any size, until it leads to a value.

use nix::errno::Errno;
use sha2::{Digest as _, Sha256};

use crate::pcr::{Digest, PCR};

/// Sizes of the template digest in the lists of the banks that there are.
const DIGESTS: [usize; 4] = [20, 32, 48, 64];
/// Longest template name or format that is taken for one.
const NAME_MAX: usize = 255;
/// Most bytes of template data that are taken for such: more than any file system lets a signature have.
const DATA_MAX: usize = 16 * 1024 * 1024;
/// The template whose data have no length in the list and are hashed otherwise (`ima_measurements_show`,
/// `security/integrity/ima/ima_fs.c`; `ima_calc_field_array_hash_tfm`, `ima_crypto.c`): a digest and a name.
const LEGACY: &[u8] = b"ima";
const LEGACY_DIGEST: usize = 20;
/// `IMA_EVENT_NAME_LEN_MAX` and a zero.
const LEGACY_NAME: usize = 256;

/// Looks for the first record after which the PCR has a value.
#[derive(Debug)]
pub(crate) struct Search {
    value: Digest,
    goal: Digest,
    records: u64,
    found: Option<u64>,
    /// Size of the list's template digests, known with the first record.
    digest: Option<usize>,
    /// Bytes of a record that is not whole yet.
    pending: Vec<u8>,
}

impl Search {
    /// Begins with the value that the PCR had before the list's first record.
    pub(crate) fn new(value: Digest, goal: Digest) -> Self {
        let found = (value == goal).then_some(0);
        Self { value, goal, records: 0, found, digest: None, pending: Vec::new() }
    }

    /// Takes the next bytes of the list.
    ///
    /// # Errors
    /// `EPROTO` for what is no list.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        if self.found.is_some() {
            return Ok(());
        }
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while self.found.is_none() {
            let digest = match self.digest {
                Some(digest) => digest,
                None => match digest_size(rest)? {
                    Some(digest) => *self.digest.insert(digest),
                    None => break,
                },
            };
            let Some((record, len)) = Record::parse(rest, digest)? else { break };
            self.record(&record);
            rest = &rest[len..];
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    /// How many records lead to the goal.
    pub(crate) fn found(&self) -> Option<u64> {
        self.found
    }

    fn record(&mut self, record: &Record<'_>) {
        self.records += 1;
        if record.pcr != PCR {
            return;
        }
        let mut hasher = Sha256::new();
        hasher.update(self.value);
        hasher.update(record.extend_digest());
        self.value = hasher.finalize().into();
        if self.value == self.goal {
            self.found = Some(self.records);
        }
    }
}

#[derive(Debug)]
struct Record<'a> {
    pcr: u32,
    digest: &'a [u8],
    template: &'a [u8],
    data: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record and its bytes; `None` when it is not whole.
    fn parse(bytes: &'a [u8], digest: usize) -> Result<Option<(Self, usize)>, Errno> {
        let mut at = Cursor { bytes, at: 0 };
        let Some(pcr) = at.number() else { return Ok(None) };
        let Some(digest) = at.take(digest) else { return Ok(None) };
        let Some(length) = at.number() else { return Ok(None) };
        let length = length as usize;
        if length == 0 || length > NAME_MAX {
            return Err(Errno::EPROTO);
        }
        let Some(template) = at.take(length) else { return Ok(None) };
        let begin = at.at;
        let data = if template == LEGACY {
            if at.take(LEGACY_DIGEST).is_none() {
                return Ok(None);
            }
            let Some(length) = at.number() else { return Ok(None) };
            if at.take(limited(length)?).is_none() {
                return Ok(None);
            }
            &bytes[begin..at.at]
        } else {
            let Some(length) = at.number() else { return Ok(None) };
            let Some(data) = at.take(limited(length)?) else { return Ok(None) };
            data
        };
        Ok(Some((Self { pcr, digest, template, data }, at.at)))
    }

    /// What the kernel extended SHA-256 with: the digest of the data, computed anew; all ones for a violation,
    /// whose digest is zeros (`ima_add_violation`, `ima_pcr_extend`).
    fn extend_digest(&self) -> Digest {
        if self.digest.iter().all(|byte| *byte == 0) {
            return [0xff; 32];
        }
        let mut hasher = Sha256::new();
        if self.template == LEGACY {
            let (digest, name) = self.data.split_at(LEGACY_DIGEST);
            let name = &name[4..];
            let mut padded = [0; LEGACY_NAME];
            let length = name.len().min(LEGACY_NAME);
            padded[..length].copy_from_slice(&name[..length]);
            hasher.update(digest);
            hasher.update(padded);
        } else {
            hasher.update(self.data);
        }
        hasher.finalize().into()
    }
}

fn limited(length: u32) -> Result<usize, Errno> {
    match length as usize {
        length if length <= DATA_MAX => Ok(length),
        _ => Err(Errno::EPROTO),
    }
}

/// How long the template digests of a list are, told by where its first record has a template's name; `None` when
/// there are too few bytes to tell.
fn digest_size(bytes: &[u8]) -> Result<Option<usize>, Errno> {
    let mut complete = true;
    for digest in DIGESTS {
        let mut at = Cursor { bytes, at: 4 + digest };
        let Some(length) = at.number() else {
            complete = false;
            continue;
        };
        if length == 0 || length as usize > NAME_MAX {
            continue;
        }
        match at.take(length as usize) {
            Some(name) if name.iter().all(u8::is_ascii_graphic) => return Ok(Some(digest)),
            Some(_) => {}
            None => complete = false,
        }
    }
    if complete { Err(Errno::EPROTO) } else { Ok(None) }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(taken)
    }

    /// Little-endian, as x86 writes it, with `ima_canonical_fmt` or without.
    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests;
