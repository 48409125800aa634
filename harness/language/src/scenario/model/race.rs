//! Under which schedules the deterministic lane runs a scenario.

use std::collections::BTreeSet;

use imalab_schedule::Way;

/// What a scenario says of the order in which its tasks run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Race {
    /// The tasks that race; empty: all.
    pub tasks: BTreeSet<String>,
    /// How a seed decides; `None`: as always.
    pub way: Option<Way>,
    /// Under how many schedules.
    pub schedules: u32,
}
