//! Parts of a suite that different machines run, and that together are the whole of it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::run_id::RunId;
use imalab_check::outcome::{PartitionBy, Shard};

/// One part of a suite: `slice:1/3` or `hash:2/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    by: PartitionBy,
    index: u32,
    of: u32,
}

/// Text that is no partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a part of a suite; `slice:1/3` is every third run from the first on, `hash:1/3` a third by their names"
)]
pub struct NoPartition(String);

impl FromStr for Partition {
    type Err = NoPartition;

    fn from_str(text: &str) -> Result<Partition, NoPartition> {
        let parse = || {
            let (by, part) = text.split_once(':')?;
            let (index, of) = part.split_once('/')?;
            let by = match by {
                "slice" => PartitionBy::Slice,
                "hash" => PartitionBy::Hash,
                _ => return None,
            };
            let (index, of) = (index.parse::<u32>().ok()?, of.parse::<u32>().ok()?);
            (1..=of).contains(&index).then_some(Partition { by, index, of })
        };
        parse().ok_or_else(|| NoPartition(text.to_owned()))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            PartitionBy::Slice => "slice",
            PartitionBy::Hash => "hash",
        };
        write!(f, "{by}:{}/{}", self.index, self.of)
    }
}

impl Partition {
    /// Whether the run at this place of the suite, from 0, is in it. By its name it stays in the same part when others come
    /// and go; by its place the parts are of one size.
    pub fn takes(&self, place: u64, id: &RunId) -> bool {
        let number = match self.by {
            PartitionBy::Slice => place,
            PartitionBy::Hash => {
                let digest = Sha256::digest(id.to_string().as_bytes());
                digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
        };
        number % u64::from(self.of) == u64::from(self.index - 1)
    }

    /// What the results say of a part of a suite with these runs.
    pub fn shard<'i>(&self, runs: impl Iterator<Item = &'i RunId>, seed: u64) -> Shard {
        let mut hash = Sha256::new();
        let mut planned = 0;
        for id in runs {
            hash.update(id.to_string().as_bytes());
            hash.update([0]);
            planned += 1;
        }
        hash.update(seed.to_be_bytes());
        Shard { by: self.by, index: self.index, of: self.of, planned, suite: hex::encode(hash.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn ids(count: u32) -> Vec<RunId> {
        let id = |repeat| RunId {
            scenario: "stage/once".into(),
            parameters: Default::default(),
            kernel: "7.3".into(),
            repeat,
        };
        (1..=count).map(id).collect()
    }

    #[rstest]
    #[case("slice")]
    #[case("hash")]
    fn every_run_is_in_just_one_part(#[case] by: &str) {
        let parts: Vec<Partition> = (1..=3).map(|index| format!("{by}:{index}/3").parse().unwrap()).collect();
        let ids = ids(50);
        let mut sizes = [0; 3];
        for (place, id) in (0..).zip(&ids) {
            let taken: Vec<usize> = (0..3).filter(|part| parts[*part].takes(place, id)).collect();
            assert_eq!(taken.len(), 1);
            sizes[taken[0]] += 1;
        }
        assert!(sizes.iter().all(|size| *size > 5), "{sizes:?}");
    }

    #[rstest]
    #[case("slice:1/1")]
    #[case("hash:3/3")]
    fn parts_are_written_as_they_are_read(#[case] text: &str) {
        assert_eq!(text.parse::<Partition>().unwrap().to_string(), text);
    }

    #[rstest]
    #[case("slice:0/3")]
    #[case("slice:4/3")]
    #[case("slice:1/0")]
    #[case("count:1/3")]
    #[case("1/3")]
    #[case("slice:1")]
    #[case("slice:-1/3")]
    fn others_are_refused(#[case] text: &str) {
        assert!(text.parse::<Partition>().unwrap_err().to_string().starts_with(&format!("`{text}`")));
    }

    #[test]
    fn a_suite_is_known_by_its_runs_and_its_seed() {
        let part: Partition = "slice:1/2".parse().unwrap();
        let of = |ids: &[RunId], seed| part.shard(ids.iter(), seed).suite;
        assert_eq!(of(&ids(3), 1), of(&ids(3), 1));
        assert_ne!(of(&ids(3), 1), of(&ids(4), 1));
        assert_ne!(of(&ids(3), 1), of(&ids(3), 2));
    }
}
