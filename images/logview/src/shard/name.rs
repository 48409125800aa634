//! Names of shards.

use std::fmt;

/// `NNNNNNNN-RRRRRRRRRRRR.rec`: the shard's number and that of its first record, in decimal, both from 0, with at least eight and
/// twelve digits. Names sort as the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardName {
    /// Which shard; numbers go on over cold boots.
    pub number: u64,
    /// Its first record, counted from the cold boot.
    pub first: u64,
}

impl ShardName {
    /// Reads a file's name; `None` for one that is no shard's.
    pub fn parse(name: &str) -> Option<ShardName> {
        let (number, first) = name.strip_suffix(".rec")?.split_once('-')?;
        let parsed = ShardName { number: number.parse().ok()?, first: first.parse().ok()? };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}-{:012}.rec", self.number, self.first)
    }
}
