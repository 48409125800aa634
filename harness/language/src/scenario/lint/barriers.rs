//! A barrier at which one task waits for nobody orders nothing, and one that not all parties come to never opens.

use std::collections::BTreeMap;

use super::super::error::{Place, ScenarioError, Source};
use super::super::model::{Task, Verb};

pub(super) fn check(source: &Source, tasks: &[Task]) -> Result<(), ScenarioError> {
    type Visits<'t> = BTreeMap<&'t str, (u16, Place)>;
    let mut barriers: BTreeMap<(u16, &str), Visits<'_>> = BTreeMap::new();
    for task in tasks {
        for step in &task.steps {
            if let Verb::Barrier { name, round } = &step.verb {
                let visits = barriers.entry((task.boot, name)).or_default();
                visits.insert(&task.name, (*round + 1, step.at));
            }
        }
    }
    for ((_, name), visits) in &barriers {
        let mut counts = visits.iter();
        let Some((first, (times, at))) = counts.next() else { continue };
        if visits.len() == 1 {
            return Err(source
                .error(*at, format!("only task `{first}` comes to barrier `{name}`"))
                .expected("a barrier orders at least two tasks of a boot"));
        }
        if let Some((other, (otherwise, at))) = counts.find(|(_, (count, _))| count != times) {
            return Err(source
                .error(*at, format!("task `{other}` comes to barrier `{name}` {otherwise} times"))
                .expected(format!("{times} times, as task `{first}` does")));
        }
    }
    Ok(())
}
