//! What a step needs of the policy and of the machine to show anything.

use super::super::error::{ScenarioError, Source};
use super::super::model::{Task, Verb, Way};
use crate::vocabulary::Shape;
use imalab_formats::ima::Bank;

pub(super) fn check(
    source: &Source,
    machine: &Shape,
    has_policy: bool,
    tasks: &[Task],
) -> Result<(), ScenarioError> {
    let steps = || tasks.iter().flat_map(Task::every_step);
    let has_policy = has_policy || steps().any(|step| matches!(step.verb, Verb::LoadPolicy(_)));
    for step in steps() {
        match step.verb {
            Verb::Measure { by: Way::Execute | Way::Map, .. } if !has_policy => {
                return Err(source
                    .error(step.at, "the default policy measures only what is opened for reading")
                    .expected("a `policy:` of the scenario's own"));
            }
            Verb::Attest(_) if !machine.banks.contains(&Bank::Sha256) => {
                return Err(source
                    .error(step.at, "`attest` replays bank sha256, which this machine lacks")
                    .expected("`sha256` among `banks:`"));
            }
            _ => {}
        }
    }
    Ok(())
}
