//! A shard: records that were taken out of the kernel, in a file that is written once.
//!
//! A block of text lines says what the records begin with, the records follow as the kernel's binary list of SHA-1 shows them, and
//! a second block says what they amount to. Each block is padded with line ends to a multiple of 512 bytes and begins and ends
//! with its own size, so `head` and `tail` take a shard apart. There is one way to write each block, and no other is read.

mod block;
mod name;
#[cfg(test)]
mod tests;

pub use block::Header;
pub use name::ShardName;

use std::io;

use imalab_ima::ReadError;
use sha2::{Digest as _, Sha256};

use crate::place::Position;
use crate::segment::Segment;
use crate::source::ReadAt;

/// What is wrong with a shard.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read, or is shorter than it says.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// A block is not what the format says.
    #[error("{0}")]
    Block(#[from] block::BlockError),
    /// The bytes between the blocks are not records.
    #[error(transparent)]
    Records(NotRecords),
    /// The digest at the end is that of other bytes.
    #[error("header and records have the digest {found}, and the end says {said}")]
    Digest {
        /// Of the bytes.
        found: String,
        /// At the end of the shard.
        said: String,
    },
    /// The records end elsewhere, or replay to other values, than the end says.
    #[error("the records do not amount to what the end says")]
    Sums,
}

/// Bytes that are not whole records of the canonical form.
#[derive(Debug, thiserror::Error)]
#[error("not a measurement list: {0}")]
pub struct NotRecords(#[source] pub ReadError);

/// A shard that is ready to be written.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Behind its last record.
    pub after: Position,
    /// Of the whole file.
    pub sha256: [u8; 32],
}

/// Makes a shard of `records`, a list in the canonical form.
///
/// # Errors
///
/// When the bytes are not whole records.
pub fn seal(header: &Header, records: &[u8]) -> Result<Sealed, NotRecords> {
    let mut after = header.before.clone();
    after.pass_all(records).map_err(NotRecords)?;
    let mut bytes = header.encode();
    bytes.extend_from_slice(records);
    let digest = Sha256::digest(&bytes).into();
    bytes.extend(block::encode_end(&after, &digest));
    let sha256 = Sha256::digest(&bytes).into();
    Ok(Sealed { bytes, after, sha256 })
}

/// A shard that was opened: its blocks were read and fit its size, its records were not looked at.
#[derive(Debug)]
pub struct Shard<S> {
    source: S,
    header: Header,
    after: Position,
    /// Of header and records.
    digest: [u8; 32],
    /// Bytes of the header.
    skip: u64,
}

impl<S: ReadAt> Shard<S> {
    /// Opens a shard.
    ///
    /// # Errors
    ///
    /// [`Damage`] when it is not whole.
    pub fn open(source: S) -> Result<Shard<S>, Damage> {
        let size = source.size()?;
        let first = source.exactly(0, block::FIRST_LINE)?;
        let skip = block::header_size(&first)?;
        let header = Header::decode(&source.exactly(0, skip)?)?;
        let last = source.exactly(size.saturating_sub(block::LAST_LINE as u64), block::LAST_LINE)?;
        let end = block::end_size(&last)?;
        let skip = skip as u64;
        let at = size.checked_sub(end as u64).filter(|at| *at >= skip).ok_or(block::BlockError::Size)?;
        let (after, digest) = block::decode_end(&source.exactly(at, end)?)?;
        let said = after.place.binary.checked_sub(header.before.place.binary);
        if said != Some(at - skip)
            || after.place.records <= header.before.place.records
            || after.place.ascii <= header.before.place.ascii
        {
            return Err(block::BlockError::Size.into());
        }
        Ok(Shard { source, header, after, digest, skip })
    }

    /// What it begins with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Behind its last record, as its end says.
    pub fn after(&self) -> &Position {
        &self.after
    }

    /// How many records it has, as its blocks say.
    pub fn count(&self) -> u64 {
        self.after.place.records - self.header.before.place.records
    }

    /// Its records, in the canonical form.
    ///
    /// # Errors
    ///
    /// The source's.
    pub fn records(&self) -> io::Result<Vec<u8>> {
        let length = self.after.place.binary - self.header.before.place.binary;
        self.source.exactly(self.skip, usize::try_from(length).map_err(io::Error::other)?)
    }

    /// Reads all of it and holds it against its own end; gives the digest of the whole file.
    ///
    /// # Errors
    ///
    /// [`Damage`] for the first thing that does not fit.
    pub fn verify(&self) -> Result<[u8; 32], Damage> {
        let records = self.records()?;
        let sealed = seal(&self.header, &records).map_err(Damage::Records)?;
        let found: [u8; 32] = Sha256::digest([self.header.encode(), records].concat()).into();
        if found != self.digest {
            return Err(Damage::Digest { found: hex::encode(found), said: hex::encode(self.digest) });
        }
        if sealed.after != self.after {
            return Err(Damage::Sums);
        }
        Ok(sealed.sha256)
    }

    /// Its records as a part of the log.
    pub fn into_segment(self) -> Segment<S> {
        Segment::new(self.source, self.skip, self.header.before.place, self.after.place)
    }
}
