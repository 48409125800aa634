//! A hold that its own task, or nobody, should let go of never ends.

use std::collections::BTreeMap;

use super::super::error::{Place, ScenarioError, Source};
use super::super::model::{Task, Verb};

/// Task and place of each, in order.
type Seen<'t> = BTreeMap<(u16, &'t str), Vec<(&'t str, Place)>>;

pub(super) fn check(source: &Source, tasks: &[Task]) -> Result<(), ScenarioError> {
    let (mut holds, mut releases) = (Seen::new(), Seen::new());
    for task in tasks {
        for step in &task.steps {
            match &step.verb {
                Verb::Hold { name, .. } => {
                    holds.entry((task.boot, name)).or_default().push((&task.name, step.at));
                }
                Verb::Release { name, .. } => {
                    releases.entry((task.boot, name)).or_default().push((&task.name, step.at));
                }
                _ => {}
            }
        }
    }
    for (key, seen) in holds.iter().chain(&releases) {
        if let Some((task, at)) = seen.iter().find(|(task, _)| *task != seen[0].0) {
            return Err(source
                .error(*at, format!("tasks `{}` and `{task}` both name `{}` here", seen[0].0, key.1))
                .expected("each hold in one task, and its release in another one"));
        }
    }
    for (key, held) in &holds {
        let released = releases.get(key).map_or(&[][..], Vec::as_slice);
        if let (Some((task, at)), Some((by, _))) = (held.first(), released.first())
            && task == by
        {
            return Err(source.error(*at, format!("task `{task}` waits here for itself")).expected(
                "the hold in a task of its own: `- background: {as: holder, steps: [hold: NAME]}`",
            ));
        }
        if let Some((_, at)) = held.get(released.len()) {
            return Err(source
                .error(*at, format!("nobody releases `{}`", key.1))
                .expected(format!("`release: {}` in another task of the boot", key.1)));
        }
    }
    for (key, released) in &releases {
        let held = holds.get(key).map_or(0, Vec::len);
        if let Some((_, at)) = released.get(held) {
            let names: Vec<_> =
                holds.keys().filter(|(boot, _)| *boot == key.0).map(|(_, name)| *name).collect();
            let error = source.error(*at, format!("`{}` is not held", key.1));
            return Err(if names.is_empty() || names.contains(&key.1) {
                error.expected("a `hold` of this name in another task, for each release")
            } else {
                error.one_of(key.1, names)
            });
        }
    }
    Ok(())
}
