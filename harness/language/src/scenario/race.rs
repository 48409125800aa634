//! Under which schedules the deterministic lane runs a scenario.

use std::collections::BTreeSet;

use imalab_schedule::Way;

use super::error::{ScenarioError, Source};
use super::fields::{self, Fields};
use super::grammar;
use super::model::{Race, Variant};
use super::node::Node;

/// Reads `race:` of a scenario with these variants.
pub(super) fn read(source: &Source, node: &Node, variants: &[Variant]) -> Result<Race, ScenarioError> {
    let fields = Fields::of(source, node, "race", grammar::RACE)?;
    let way = match fields.get("strategy") {
        None => None,
        Some(node) => {
            let text = fields::text(source, node, "strategy")?;
            let way = text.parse::<Way>().map_err(|expected| {
                source.error(node.at, format!("`strategy`: `{text}` is none")).expected(expected)
            });
            Some(way?)
        }
    };
    let schedules = fields.number32("schedules")?.unwrap_or(1);
    fields.texts("tasks")?;
    let mut tasks = BTreeSet::new();
    if let Some(node) = fields.get("tasks") {
        let known: BTreeSet<&str> =
            variants.iter().flat_map(|variant| &variant.tasks).map(|task| task.name.as_str()).collect();
        for item in fields::list(source, node, "tasks")? {
            let name = fields::text(source, item, "tasks")?;
            if !known.contains(name) {
                return Err(source
                    .error(item.at, format!("race: there is no task `{name}` in this scenario"))
                    .one_of(name, known.iter().copied()));
            }
            tasks.insert(name.to_owned());
        }
    }
    Ok(Race { tasks, way, schedules })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn race(text: &str) -> Option<Race> {
        let text = format!(
            "summary: s\npromise: p\nmatrix: {{n: [1, 2]}}\nsteps:\n  - measure: ${{n}}\ntasks:\n  other: [measure]\n{text}"
        );
        parse("it", "it.yaml", &text).unwrap().race
    }

    #[test]
    fn a_race_has_tasks_a_strategy_and_schedules() {
        let whole = race("race: {tasks: [main, other], strategy: \"pct:3\", schedules: 20}\n").unwrap();
        let tasks = ["main", "other"].map(str::to_owned).into();
        assert_eq!(whole, Race { tasks, way: Some(Way::Pct { depth: 3 }), schedules: 20 });
        let least = race("race: {tasks: other}\n").unwrap();
        assert_eq!((least.way, least.schedules, least.tasks.len()), (None, 1, 1));
        assert_eq!(race(""), None);
    }
}
