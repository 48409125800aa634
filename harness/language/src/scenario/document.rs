//! The whole file: its head, its matrix and its machine.

use std::collections::{BTreeMap, BTreeSet};

use super::defect;
use super::error::{ScenarioError, Source};
use super::fields::{self, Fields};
use super::grammar;
use super::limit;
use super::lint;
use super::model::{Scenario, Variant};
use super::node::{self, Kind, Node};
use super::programs;
use super::race;
use super::tasks;
use crate::capability::Capability;
use crate::vocabulary::{DEFAULT_POLICY, Shape};
use imalab_formats::ima::Bank;

/// Most combinations of a matrix: each is a run.
pub const MAX_COMBINATIONS: usize = 1024;

/// Reads a scenario.
///
/// # Errors
///
/// Whatever keeps the text from being a scenario that can be planned, for the first combination of the matrix
/// that shows it.
pub fn parse(id: &str, file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let source = Source::new(file, text);
    let root = node::parse(&source)?;
    let head = Fields::of(&source, &root, "scenario", grammar::KEYS)?;
    let summary = fields::sentence(&source, head.required("summary")?, "summary")?;
    let promise = fields::sentence(&source, head.required("promise")?, "promise")?;
    let known_defect = head.get("known-defect").map(|node| defect::read(&source, node)).transpose()?;
    let needs = needs(&head)?;
    let only_when_named = head.truth("only-when-named")?;
    let mut room = node::Room::new();
    let variants = combinations(&source, head.get("matrix"))?
        .into_iter()
        .map(|parameters| variant(&source, &root, &parameters, &needs, &mut room))
        .collect::<Result<Vec<_>, _>>()?;
    let race = head.get("race").map(|node| race::read(&source, node, &variants)).transpose()?;
    Ok(Scenario { id: id.to_owned(), summary, promise, needs, only_when_named, known_defect, race, variants })
}

fn needs(head: &Fields<'_>) -> Result<BTreeSet<Capability>, ScenarioError> {
    let names = head.words("needs")?;
    Ok(names.into_iter().filter_map(|(_, name)| name.parse().ok()).collect())
}

/// Every combination of the matrix, the first parameter varying slowest, in the order of the file.
fn combinations(
    source: &Source,
    matrix: Option<&Node>,
) -> Result<Vec<BTreeMap<String, Node>>, ScenarioError> {
    let mut all = vec![BTreeMap::new()];
    let Some(node) = matrix else { return Ok(all) };
    let Kind::Map(entries) = &node.kind else {
        return Err(source
            .error(node.at, format!("`matrix`: expected a map, found {}", node.found()))
            .expected("a parameter's name and its list of values: `files: [1, 10]`"));
    };
    for (key, values) in entries {
        if !fields::is_name(&key.name) {
            return Err(source
                .error(key.at, format!("`{}` cannot name a parameter", key.name))
                .expected(fields::NAME_RULE));
        }
        let values = values_of(source, &key.name, values)?;
        if all.len() * values.len() > MAX_COMBINATIONS {
            return Err(source
                .error(key.at, format!("the matrix has more than {MAX_COMBINATIONS} combinations"))
                .expected("each combination is a run of its own"));
        }
        all = all
            .iter()
            .flat_map(|combination| {
                values.iter().map(|value| {
                    let mut combination = combination.clone();
                    combination.insert(key.name.clone(), (*value).clone());
                    combination
                })
            })
            .collect();
    }
    Ok(all)
}

fn values_of<'n>(source: &Source, name: &str, node: &'n Node) -> Result<Vec<&'n Node>, ScenarioError> {
    let Kind::List(items) = &node.kind else {
        return Err(
            source.error(node.at, format!("`{name}`: expected a list of values, found {}", node.found()))
        );
    };
    if items.is_empty() {
        return Err(source.error(node.at, format!("`{name}`: the list of values is empty")));
    }
    let mut seen = BTreeSet::new();
    for item in items {
        let Some(value) = item.scalar() else {
            return Err(source
                .error(item.at, format!("`{name}`: {} cannot be a parameter's value", item.found()))
                .expected("text, a whole number or a boolean"));
        };
        if !seen.insert(value) {
            return Err(source.error(item.at, format!("`{name}`: {} is given twice", item.found())));
        }
    }
    Ok(items.iter().collect())
}

fn variant(
    source: &Source,
    root: &Node,
    values: &BTreeMap<String, Node>,
    needs: &BTreeSet<Capability>,
    room: &mut node::Room,
) -> Result<Variant, ScenarioError> {
    let root = node::substitute(source, root, values, room)?;
    let body = Fields::of(source, &root, "scenario", grammar::KEYS)?;
    let machine = machine(source, body.get("machine"))?;
    let policy = match body.get("policy") {
        Some(node) => format!("{}\n", fields::text(source, node, "policy")?.trim_end()),
        None => DEFAULT_POLICY.to_owned(),
    };
    let tasks = tasks::read(source, &body)?;
    let (files, programs) = (programs::files(source, &body)?, programs::programs(source, &body, &tasks)?);
    let spoken = Capability::spoken(needs);
    lint::check(source, &machine, body.get("policy").is_some(), (&tasks, &programs), &spoken)?;
    let parameters =
        values.iter().map(|(name, value)| (name.clone(), value.scalar().unwrap_or_default())).collect();
    let known_limit = body.get("known-limit").map(|node| limit::read(source, node)).transpose()?.flatten();
    let kernel_says = body.texts("kernel-says")?;
    Ok(Variant { parameters, machine, policy, tasks, files, programs, known_limit, kernel_says })
}

fn machine(source: &Source, node: Option<&Node>) -> Result<Shape, ScenarioError> {
    let mut shape =
        Shape { cpus: 2, memory_mib: 256, banks: vec![Bank::Sha1, Bank::Sha256], kernel_args: Vec::new() };
    let Some(node) = node else { return Ok(shape) };
    let fields = Fields::of(source, node, "machine", grammar::MACHINE)?;
    if let Some(cpus) = fields.number("cpus")? {
        shape.cpus = u8::try_from(cpus).unwrap_or(1);
    }
    if let Some(memory) = fields.number32("memory-mib")? {
        shape.memory_mib = memory;
    }
    if let Some(banks) = fields.get("banks") {
        shape.banks = self::banks(source, banks)?;
    }
    shape.kernel_args = fields.command_line("kernel-args")?;
    Ok(shape)
}

/// A list of names, or names joined by `+`, so that a parameter can hold several.
fn banks(source: &Source, node: &Node) -> Result<Vec<Bank>, ScenarioError> {
    let mut banks = BTreeSet::new();
    for item in fields::list(source, node, "banks")? {
        for name in fields::text(source, item, "banks")?.split('+') {
            let bank = name.parse::<Bank>().map_err(|_| {
                source
                    .error(item.at, format!("unknown bank `{name}`"))
                    .one_of(name, Bank::ALL.into_iter().map(Bank::name))
            })?;
            if !banks.insert(bank) {
                return Err(source.error(item.at, format!("`banks`: {bank} is given twice")));
            }
        }
    }
    if banks.is_empty() {
        return Err(source.error(node.at, "`banks`: the list is empty").expected("at least one bank"));
    }
    Ok(banks.into_iter().collect())
}
