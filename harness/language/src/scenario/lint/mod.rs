//! What is wrong with steps that are each well-formed.

mod alone;
mod barriers;
mod custody;
mod descriptors;
mod holds;
mod policy;
mod programs;
mod references;
mod task_holds;

use super::error::{ScenarioError, Source};
use super::model::{Program, Task};
use crate::vocabulary::Shape;
use imalab_formats::Interface;

/// Refuses scenarios that cannot end, or that could not prove anything.
pub(super) fn check(
    source: &Source,
    machine: &Shape,
    has_policy: bool,
    (tasks, programs): (&[Task], &[Program]),
    spoken: &[Interface],
) -> Result<(), ScenarioError> {
    programs::check(source, tasks, programs)?;
    references::check(source, tasks, programs)?;
    barriers::check(source, tasks)?;
    holds::check(source, tasks)?;
    task_holds::check(source, machine, tasks)?;
    descriptors::check(source, tasks)?;
    custody::check(source, tasks, spoken)?;
    policy::check(source, machine, has_policy, tasks)?;
    alone::check(source, tasks)
}
