//! Typed reading of the tree's nodes by the grammar; every wrong type is an error at its place.

use std::ops::RangeInclusive;

use super::error::{Place, ScenarioError, Source};
use super::grammar::{Expect, Field, Form, Shape};
use super::node::{Key, Kind, Node};

/// A map of which every key is known.
pub(super) struct Fields<'t> {
    pub(super) source: &'t Source,
    what: String,
    at: Place,
    entries: &'t [(Key, Node)],
    grammar: &'static [Field],
    one_of: &'static [&'static str],
}

impl<'t> Fields<'t> {
    /// Takes a map, or nothing at all as the empty map, and refuses keys that the grammar does not know.
    pub(super) fn of(
        source: &'t Source,
        node: &'t Node,
        what: &str,
        grammar: &'static [Field],
    ) -> Result<Self, ScenarioError> {
        let keys: Vec<_> = grammar.iter().map(|field| field.name).collect();
        Ok(Fields {
            source,
            what: what.to_owned(),
            at: node.at,
            entries: entries(source, node, what, &keys)?,
            grammar,
            one_of: &[],
        })
    }

    /// As [`Fields::of`], for what stands below a verb.
    pub(super) fn of_verb(
        source: &'t Source,
        node: &'t Node,
        form: &'static Form,
    ) -> Result<Self, ScenarioError> {
        let what = format!("step `{}`", form.name);
        let entries = entries(source, node, &what, &form.keys())?;
        Ok(Fields { source, what, at: node.at, entries, grammar: form.fields, one_of: form.one_of })
    }

    /// The field's value; absent and empty are the same.
    pub(super) fn get(&self, name: &str) -> Option<&'t Node> {
        self.entries
            .iter()
            .find(|(key, node)| key.name == name && !matches!(node.kind, Kind::Null))
            .map(|(_, node)| node)
    }

    /// The field's value, which the grammar says is needed.
    pub(super) fn required(&self, name: &str) -> Result<&'t Node, ScenarioError> {
        let expected = self.field(name).and_then(|field| field.required).unwrap_or("its value");
        self.get(name).ok_or_else(|| {
            self.source
                .error(self.at, format!("{}: `{name}` is missing", self.what))
                .expected(format!("`{name}:` {expected}"))
        })
    }

    /// Where the fields stand.
    pub(super) fn at(&self) -> Place {
        self.at
    }

    fn field(&self, name: &str) -> Option<&'static Field> {
        self.grammar.iter().find(|field| field.name == name)
    }

    /// A field's value, if it is there or must be.
    fn value(&self, name: &str) -> Result<Option<&'t Node>, ScenarioError> {
        match self.field(name) {
            Some(Field { required: Some(_), .. }) => self.required(name).map(Some),
            _ => Ok(self.get(name)),
        }
    }

    /// A number within the grammar's range; a word's place is taken by `None` within `Some`.
    fn whole(&self, name: &str) -> Result<Option<Option<u64>>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(None) };
        match (self.field(name).map(|field| field.shape), &node.kind) {
            (Some(Shape::Number(from, to)), _) => {
                number(self.source, node, name, from..=to).map(|n| Some(Some(n)))
            }
            (Some(Shape::NumberOr(_, _, words)), Kind::Text(text)) => {
                if words.contains(&text.as_str()) {
                    return Ok(Some(None));
                }
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                Err(self
                    .source
                    .error(node.at, format!("`{name}`: expected a number, found {}", node.found()))
                    .expected(format!("a whole number or {}", words.join(", "))))
            }
            (Some(Shape::NumberOr(from, to, _)), _) => {
                number(self.source, node, name, from..=to).map(|n| Some(Some(n)))
            }
            _ => Ok(None),
        }
    }

    /// A whole number, if it is given.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ScenarioError> {
        Ok(self.whole(name)?.flatten())
    }

    /// A whole number that fits in 32 bits, as the grammar's range makes sure.
    pub(super) fn number32(&self, name: &str) -> Result<Option<u32>, ScenarioError> {
        Ok(self.number(name)?.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Of a number or a word, the word.
    pub(super) fn word_for_number(&self, name: &str) -> Result<Option<&'t str>, ScenarioError> {
        match (self.whole(name)?, self.get(name).map(|node| &node.kind)) {
            (Some(None), Some(Kind::Text(word))) => Ok(Some(word)),
            _ => Ok(None),
        }
    }

    /// A whole number that may be negative.
    pub(super) fn signed(&self, name: &str) -> Result<Option<i64>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(None) };
        match node.kind {
            Kind::Int(value) => Ok(Some(value)),
            _ => Err(self
                .source
                .error(node.at, format!("`{name}`: expected a whole number, found {}", node.found()))
                .expected("a whole number of 64 bits, which may be negative")),
        }
    }

    /// A boolean; absent is false.
    pub(super) fn truth(&self, name: &str) -> Result<bool, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(false) };
        match node.kind {
            Kind::Bool(value) => Ok(value),
            _ => Err(self
                .source
                .error(node.at, format!("`{name}`: expected a boolean, found {}", node.found()))
                .expected("`true` or `false`")),
        }
    }

    /// A name.
    pub(super) fn name(&self, name: &str) -> Result<Option<&'t str>, ScenarioError> {
        self.value(name)?.map(|node| self::name(self.source, node, name)).transpose()
    }

    /// A name that the grammar says is needed.
    pub(super) fn needed_name(&self, name: &str) -> Result<String, ScenarioError> {
        Ok(self::name(self.source, self.required(name)?, name)?.to_owned())
    }

    /// Text that is not empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'t str>, ScenarioError> {
        self.value(name)?.map(|node| text(self.source, node, name)).transpose()
    }

    /// Texts of a line each: one, or a list.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(Vec::new()) };
        let items = list(self.source, node, name)?;
        if items.is_empty() {
            return Err(self.source.error(node.at, format!("`{name}`: the list is empty")));
        }
        let line = |item| {
            let line = text(self.source, item, name)?;
            if line.chars().any(char::is_control) {
                return Err(self
                    .source
                    .error(item.at, format!("`{name}`: a text has a control character"))
                    .expected("text of a single line"));
            }
            Ok(line.to_owned())
        };
        items.iter().map(line).collect()
    }

    /// Text that may be empty, byte for byte.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<&'t str>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(None) };
        match &node.kind {
            Kind::Text(text) => Ok(Some(text)),
            _ => Err(self
                .source
                .error(node.at, format!("`{name}`: expected text, found {}", node.found()))
                .expected("text that YAML takes for a number or a boolean needs quotes")),
        }
    }

    /// One of the grammar's words.
    pub(super) fn word(&self, name: &str) -> Result<Option<&'static str>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(None) };
        self.one_word(name, node).map(Some)
    }

    /// One of a table's words, with its number.
    pub(super) fn meaning<T: Copy>(
        &self,
        name: &str,
        table: &'static [(&'static str, T)],
    ) -> Result<Option<(&'static str, T)>, ScenarioError> {
        let Some(word) = self.word(name)? else { return Ok(None) };
        let meaning = table.iter().copied().find(|(known, _)| *known == word);
        let missing = || self.source.error(self.at, format!("`{name}`: `{word}` has no number"));
        meaning.map(Some).ok_or_else(missing)
    }

    /// The same of a field that the grammar says is needed.
    pub(super) fn needed_meaning<T: Copy>(
        &self,
        name: &str,
        table: &'static [(&'static str, T)],
    ) -> Result<(&'static str, T), ScenarioError> {
        let meaning = self.meaning(name, table)?;
        meaning.map_or_else(
            || Err(self.source.error(self.at, format!("{}: `{name}` is missing", self.what))),
            Ok,
        )
    }

    /// Some of the grammar's words: one, or a list.
    pub(super) fn words(&self, name: &str) -> Result<Vec<(Place, &'static str)>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(Vec::new()) };
        let items = list(self.source, node, name)?;
        items.iter().map(|item| Ok((item.at, self.one_word(name, item)?))).collect()
    }

    fn one_word(&self, name: &str, node: &Node) -> Result<&'static str, ScenarioError> {
        let words: &[&str] = match self.field(name).map(|field| field.shape) {
            Some(Shape::Word(words)) => words,
            shape => shape.and_then(Shape::several).unwrap_or_default(),
        };
        let given = text(self.source, node, name)?;
        words.iter().copied().find(|word| *word == given).ok_or_else(|| {
            let what = if name == "needs" { "capability" } else { name };
            self.source
                .error(node.at, format!("unknown {what} `{given}`"))
                .one_of(given, words.iter().copied())
        })
    }

    /// An absolute path.
    pub(super) fn path(&self, name: &str) -> Result<Option<&'t str>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(None) };
        let path = text(self.source, node, name)?;
        if is_path(path) {
            return Ok(Some(path));
        }
        Err(self
            .source
            .error(node.at, format!("`{name}`: `{path}` is not an absolute path"))
            .expected("a path in the guest that begins with `/`"))
    }

    /// The words of a command line; empty ones, as a parameter may give them, are left out.
    pub(super) fn command_line(&self, name: &str) -> Result<Vec<String>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(Vec::new()) };
        let mut words = Vec::new();
        for item in list(self.source, node, name)? {
            let Kind::Text(word) = &item.kind else {
                return Err(self
                    .source
                    .error(item.at, format!("`{name}`: expected text, found {}", item.found()))
                    .expected("text that YAML takes for a number or a boolean needs quotes"));
            };
            if word.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"') {
                return Err(self
                    .source
                    .error(item.at, format!("`{name}`: a word has a space, a quote or a control character"))
                    .expected("one word of the command line for each item of the list"));
            }
            if !word.is_empty() {
                words.push(word.clone());
            }
        }
        Ok(words)
    }

    /// Words of a program's command line, byte for byte: one, or a list.
    pub(super) fn arguments(&self, name: &str) -> Result<Vec<String>, ScenarioError> {
        let Some(node) = self.value(name)? else { return Ok(Vec::new()) };
        let word = |item: &Node| match &item.kind {
            Kind::Text(word) if !word.contains('\0') => Ok(word.clone()),
            Kind::Text(_) => Err(self.source.error(item.at, format!("`{name}`: a word has a zero in it"))),
            _ => Err(self
                .source
                .error(item.at, format!("`{name}`: expected text, found {}", item.found()))
                .expected("text that YAML takes for a number or a boolean needs quotes")),
        };
        list(self.source, node, name)?.iter().map(word).collect()
    }

    /// The one that is given of the fields that the grammar wants one of.
    pub(super) fn one_of(&self) -> Result<&'static str, ScenarioError> {
        let names = self.one_of;
        let given: Vec<_> = names.iter().copied().filter(|name| self.get(name).is_some()).collect();
        let all: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        match given.as_slice() {
            [one] => Ok(one),
            [] => Err(self
                .source
                .error(self.at, format!("{}: none of {} is given", self.what, all.join(", ")))
                .expected("one of them")),
            [first, second, ..] => {
                let at = self.get(second).map_or(self.at, |node| node.at);
                Err(self
                    .source
                    .error(at, format!("{}: `{second}` beside `{first}`", self.what))
                    .expected(format!("one of {}", all.join(", "))))
            }
        }
    }

    /// Refuses a field that means nothing beside another.
    pub(super) fn without(&self, name: &str, beside: &str) -> Result<(), ScenarioError> {
        match self.get(name) {
            None => Ok(()),
            Some(node) => Err(self
                .source
                .error(node.at, format!("{}: `{name}` means nothing beside `{beside}`", self.what))
                .expected("one of the two")),
        }
    }
}

/// What stands in a map of which every key is known.
fn entries<'t>(
    source: &Source,
    node: &'t Node,
    what: &str,
    known: &[&'static str],
) -> Result<&'t [(Key, Node)], ScenarioError> {
    let entries: &[(Key, Node)] = match &node.kind {
        Kind::Map(entries) => entries,
        Kind::Null => &[],
        _ => {
            let keys = if known.is_empty() {
                "it has no fields".to_owned()
            } else {
                format!("its keys are: {}", known.join(", "))
            };
            return Err(source
                .error(node.at, format!("{what}: expected a map, found {}", node.found()))
                .expected(keys));
        }
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| !known.contains(&key.name.as_str())) {
        return Err(source
            .error(key.at, format!("{what}: unknown field `{}`", key.name))
            .one_of(&key.name, known.iter().copied()));
    }
    Ok(entries)
}

/// The counts that a verb's `expect` may have.
pub(super) fn counts(form: &Form) -> &'static [&'static str] {
    match form.expect {
        Expect::No => &[],
        Expect::Yes(counts) => counts,
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

/// Whether this can be a path in the guest.
pub(super) fn is_path(value: &str) -> bool {
    value.starts_with('/') && !value.contains('\0')
}
