//! Typed reading of the tree's nodes; every wrong type is an error at its place.

use std::ops::RangeInclusive;

use super::error::{Place, ScenarioError, Source};
use super::node::{Key, Kind, Node};

/// A map of which every key is known.
pub(super) struct Fields<'t> {
    source: &'t Source,
    what: String,
    at: Place,
    entries: &'t [(Key, Node)],
}

impl<'t> Fields<'t> {
    /// Takes a map, or nothing at all as the empty map, and refuses keys that are not `known`.
    pub(super) fn of(
        source: &'t Source,
        node: &'t Node,
        what: &str,
        known: &[&str],
    ) -> Result<Self, ScenarioError> {
        let entries: &[(Key, Node)] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            _ => {
                return Err(source
                    .error(node.at, format!("{what}: expected a map, found {}", node.found()))
                    .expected(format!("its keys are: {}", known.join(", "))));
            }
        };
        if let Some((key, _)) = entries.iter().find(|(key, _)| !known.contains(&key.name.as_str())) {
            return Err(source
                .error(key.at, format!("{what}: unknown field `{}`", key.name))
                .one_of(&key.name, known.iter().copied()));
        }
        Ok(Fields { source, what: what.to_owned(), at: node.at, entries })
    }

    /// The field's value; absent and empty are the same.
    pub(super) fn get(&self, name: &str) -> Option<&'t Node> {
        self.entries
            .iter()
            .find(|(key, node)| key.name == name && !matches!(node.kind, Kind::Null))
            .map(|(_, node)| node)
    }

    /// The field's value.
    pub(super) fn required(&self, name: &str, expected: &str) -> Result<&'t Node, ScenarioError> {
        self.get(name).ok_or_else(|| {
            self.source
                .error(self.at, format!("{}: `{name}` is missing", self.what))
                .expected(format!("`{name}:` {expected}"))
        })
    }
}

/// A whole number within a range.
pub(super) fn number(
    source: &Source,
    node: &Node,
    name: &str,
    range: RangeInclusive<u64>,
) -> Result<u64, ScenarioError> {
    let hint = || format!("a whole number from {} to {}", range.start(), range.end());
    let Kind::Int(value) = node.kind else {
        let problem = format!("`{name}`: expected a whole number, found {}", node.found());
        return Err(source.error(node.at, problem).expected(hint()));
    };
    u64::try_from(value)
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| source.error(node.at, format!("`{name}`: {value} is out of range")).expected(hint()))
}

/// Text that is not empty.
pub(super) fn text<'n>(source: &Source, node: &'n Node, name: &str) -> Result<&'n str, ScenarioError> {
    match &node.kind {
        Kind::Text(value) if !value.trim().is_empty() => Ok(value),
        Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => Err(source
            .error(node.at, format!("`{name}`: expected text, found {}", node.found()))
            .expected("text that YAML takes for a number or a boolean needs quotes")),
        _ => Err(source.error(node.at, format!("`{name}`: expected text, found {}", node.found()))),
    }
}

/// Text on one line, its ends trimmed.
pub(super) fn sentence(source: &Source, node: &Node, name: &str) -> Result<String, ScenarioError> {
    Ok(text(source, node, name)?.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The items of a list; a single scalar is a list of one.
pub(super) fn list<'n>(source: &Source, node: &'n Node, name: &str) -> Result<&'n [Node], ScenarioError> {
    match &node.kind {
        Kind::List(items) => Ok(items),
        Kind::Text(_) => Ok(std::slice::from_ref(node)),
        _ => Err(source.error(node.at, format!("`{name}`: expected a list, found {}", node.found()))),
    }
}

/// A name: lower-case letters, digits and hyphens, the first a letter.
pub(super) fn name<'n>(source: &Source, node: &'n Node, field: &str) -> Result<&'n str, ScenarioError> {
    let value = text(source, node, field)?;
    if is_name(value) {
        return Ok(value);
    }
    Err(source.error(node.at, format!("`{field}`: `{value}` is not a name")).expected(NAME_RULE))
}

/// What [`is_name`] asks for, in words.
pub(super) const NAME_RULE: &str =
    "a name has lower-case letters, digits and hyphens, begins with a letter, and is at most 64 long";

/// Whether this can name a task, a descriptor, a barrier, a parameter or a scenario.
pub(super) fn is_name(value: &str) -> bool {
    value.len() <= 64
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
