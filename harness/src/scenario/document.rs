//! The whole file: its head, its matrix, its machine and its tasks.

use std::collections::{BTreeMap, BTreeSet};

use super::defect;
use super::error::{Place, ScenarioError, Source};
use super::fields::{self, Fields};
use super::lint;
use super::model::{Scenario, Task, Variant};
use super::node::{self, Kind, Node};
use super::steps;
use crate::ima::Bank;
use crate::interface::Capability;
use crate::plan::Shape;

/// Keys of a scenario.
const KEYS: &[&str] =
    &["summary", "promise", "needs", "matrix", "machine", "policy", "steps", "tasks", "known-defect"];

/// Keys of `machine:`.
const MACHINE: &[&str] = &["cpus", "memory-mib", "banks", "kernel-args"];

/// Most combinations of a matrix: each is a run.
pub const MAX_COMBINATIONS: usize = 1024;

/// Most tasks: each is a process of a small guest.
const MAX_TASKS: usize = 32;

/// Measures exactly the files that `Op::Measure` opens for reading below `/m`, a tmpfs.
///
/// The guest's root is a file system of type `rootfs` (`init/do_mounts.c`), whatever backs it; securityfs, procfs
/// and sysfs have types of their own; a program's start asks for `MAY_EXEC` and a file's creation for
/// `MAY_WRITE`, and `mask=MAY_READ` without `^` matches neither (`ima_match_rules` in
/// `security/integrity/ima/ima_policy.c`). So no record appears that the scenario did not ask for.
pub const DEFAULT_POLICY: &str = "measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs\n";

/// Reads a scenario.
///
/// # Errors
///
/// Whatever keeps the text from being a scenario that can be planned, for the first combination of the matrix
/// that shows it.
pub fn parse(id: &str, file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let source = Source::new(file, text);
    let root = node::parse(&source)?;
    let head = Fields::of(&source, &root, "scenario", KEYS)?;
    let summary =
        fields::sentence(&source, head.required("summary", "a sentence that says what it does")?, "summary")?;
    let promise = head.required("promise", "the promise it tests, and who made it")?;
    let promise = fields::sentence(&source, promise, "promise")?;
    let known_defect = head.get("known-defect").map(|node| defect::read(&source, node)).transpose()?;
    let needs = needs(&source, &head)?;
    let variants = combinations(&source, head.get("matrix"))?
        .into_iter()
        .map(|parameters| variant(&source, &root, &parameters))
        .collect::<Result<_, _>>()?;
    Ok(Scenario { id: id.to_owned(), summary, promise, needs, known_defect, variants })
}

fn needs(source: &Source, head: &Fields<'_>) -> Result<BTreeSet<Capability>, ScenarioError> {
    let Some(node) = head.get("needs") else { return Ok(BTreeSet::new()) };
    fields::list(source, node, "needs")?
        .iter()
        .map(|item| {
            let name = fields::text(source, item, "needs")?;
            Capability::ALL.into_iter().find(|capability| capability.name() == name).ok_or_else(|| {
                source
                    .error(item.at, format!("unknown capability `{name}`"))
                    .one_of(name, Capability::ALL.into_iter().map(Capability::name))
            })
        })
        .collect()
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

fn variant(source: &Source, root: &Node, values: &BTreeMap<String, Node>) -> Result<Variant, ScenarioError> {
    let root = node::substitute(source, root, values)?;
    let body = Fields::of(source, &root, "scenario", KEYS)?;
    let machine = machine(source, body.get("machine"))?;
    let policy = match body.get("policy") {
        Some(node) => format!("{}\n", fields::text(source, node, "policy")?.trim_end()),
        None => DEFAULT_POLICY.to_owned(),
    };
    let tasks = tasks(source, &body)?;
    lint::check(source, &tasks)?;
    let parameters =
        values.iter().map(|(name, value)| (name.clone(), value.scalar().unwrap_or_default())).collect();
    Ok(Variant { parameters, machine, policy, tasks: tasks.into_iter().map(|task| task.finish()).collect() })
}

fn machine(source: &Source, node: Option<&Node>) -> Result<Shape, ScenarioError> {
    let mut shape =
        Shape { cpus: 2, memory_mib: 256, banks: vec![Bank::Sha1, Bank::Sha256], kernel_args: Vec::new() };
    let Some(node) = node else { return Ok(shape) };
    let fields = Fields::of(source, node, "machine", MACHINE)?;
    if let Some(cpus) = fields.get("cpus") {
        shape.cpus = u8::try_from(fields::number(source, cpus, "cpus", 1..=64)?).unwrap_or(1);
    }
    if let Some(memory) = fields.get("memory-mib") {
        let range = 64..=65_536;
        shape.memory_mib = u32::try_from(fields::number(source, memory, "memory-mib", range)?).unwrap_or(256);
    }
    if let Some(banks) = fields.get("banks") {
        shape.banks = self::banks(source, banks)?;
    }
    if let Some(args) = fields.get("kernel-args") {
        shape.kernel_args = kernel_args(source, args)?;
    }
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

/// Words of the kernel's command line; empty ones, as a parameter may give them, are left out.
fn kernel_args(source: &Source, node: &Node) -> Result<Vec<String>, ScenarioError> {
    let mut words = Vec::new();
    for item in fields::list(source, node, "kernel-args")? {
        let Kind::Text(word) = &item.kind else {
            return Err(source
                .error(item.at, format!("`kernel-args`: expected text, found {}", item.found()))
                .expected("text that YAML takes for a number or a boolean needs quotes"));
        };
        if word.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"') {
            return Err(source
                .error(item.at, "`kernel-args`: a word has a space, a quote or a control character")
                .expected("one word of the command line for each item of the list"));
        }
        if !word.is_empty() {
            words.push(word.clone());
        }
    }
    Ok(words)
}

/// A task with the places of its steps, which [`lint`] needs.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) steps: Vec<(Place, super::model::Step)>,
}

impl Draft {
    fn finish(self) -> Task {
        Task { name: self.name, steps: self.steps.into_iter().map(|(_, step)| step).collect() }
    }
}

fn tasks(source: &Source, body: &Fields<'_>) -> Result<Vec<Draft>, ScenarioError> {
    let mut drafts = Vec::new();
    if let Some(node) = body.get("steps") {
        drafts.push(Draft { name: "main".to_owned(), steps: steps::read(source, node, "main")? });
    }
    if let Some(node) = body.get("tasks") {
        let Kind::Map(entries) = &node.kind else {
            return Err(source
                .error(node.at, format!("`tasks`: expected a map, found {}", node.found()))
                .expected("a task's name and its list of steps"));
        };
        for (key, value) in entries {
            if !fields::is_name(&key.name) {
                return Err(source
                    .error(key.at, format!("`{}` cannot name a task", key.name))
                    .expected(fields::NAME_RULE));
            }
            if drafts.iter().any(|draft| draft.name == key.name) {
                return Err(source
                    .error(key.at, format!("there are two tasks `{}`", key.name))
                    .expected("`steps:` are the task `main`"));
            }
            drafts.push(Draft { name: key.name.clone(), steps: steps::read(source, value, &key.name)? });
        }
        if drafts.len() > MAX_TASKS {
            return Err(source.error(node.at, format!("more than {MAX_TASKS} tasks")));
        }
    }
    if drafts.is_empty() {
        return Err(source
            .error(Place::START, "the scenario does nothing")
            .expected("`steps:`, a list, or `tasks:`, a map of such lists"));
    }
    Ok(drafts)
}
