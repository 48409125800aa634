//! Lanes: what decides the order in which a guest's processors run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What decides the order in which a guest's processors run. A scenario does not care unless it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Lane {
    /// The host: processors run side by side, and what a scenario orders is ordered at the TPM.
    #[default]
    Free,
    /// The host, with tasks held at kernel symbols.
    Directed,
    /// The seed: one processor at a time, switched at places that it chooses.
    Deterministic,
}

/// A lane that this version does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} lane is not implemented; there are free and deterministic")]
pub struct NotImplemented(Lane);

/// Text that names no lane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a lane; there are {}", .0.escape_debug(), Lane::ALL.map(Lane::name).join(", "))]
pub struct NoLane(String);

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 3] = [Lane::Free, Lane::Directed, Lane::Deterministic];

    /// Its name, as command lines and results have it.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Free => "free",
            Lane::Directed => "directed",
            Lane::Deterministic => "deterministic",
        }
    }

    /// Refuses those in which no guest can run.
    ///
    /// # Errors
    /// [`NotImplemented`].
    pub fn implemented(self) -> Result<Lane, NotImplemented> {
        match self {
            Lane::Free | Lane::Deterministic => Ok(self),
            Lane::Directed => Err(NotImplemented(self)),
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Lane {
    type Err = NoLane;

    fn from_str(text: &str) -> Result<Lane, NoLane> {
        Lane::ALL.into_iter().find(|lane| lane.name() == text).ok_or_else(|| NoLane(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_one_name_everywhere() {
        for lane in Lane::ALL {
            assert_eq!(lane.name().parse(), Ok(lane));
            assert_eq!(serde_json::to_value(lane).unwrap(), lane.name());
        }
        let error = "freee".parse::<Lane>().unwrap_err();
        assert_eq!(error.to_string(), "`freee` is not a lane; there are free, directed, deterministic");
    }

    #[test]
    fn a_lane_that_is_not_there_is_refused() {
        for lane in [Lane::Free, Lane::Deterministic] {
            assert_eq!(lane.implemented(), Ok(lane));
        }
        let error = Lane::Directed.implemented().unwrap_err();
        let told = "the directed lane is not implemented; there are free and deterministic";
        assert_eq!(error.to_string(), told);
    }
}
