//! The YAML tree with the place of every node: what comes between the parser and the scenario's own types.
//!
//! Scenarios are decoded from this tree and not straight into types, since one text stands for as many scenarios
//! as its matrix has combinations, and since every error has to name a place.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::error::{Place, ScenarioError, Source};

/// Largest scenario file, in bytes: far above any that a person writes.
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting of lists and maps.
const MAX_DEPTH: usize = 16;
/// Most nodes after aliases are expanded, which is what an alias bomb multiplies.
const MAX_NODES: usize = 50_000;

/// Most nodes of all combinations of a matrix together.
const MAX_EXPANDED_NODES: usize = 200_000;
/// Most bytes of text of all combinations of a matrix together: what a matrix multiplies, and what `${...}` puts in.
const MAX_EXPANDED_BYTES: usize = 4 * 1024 * 1024;

/// A YAML node and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// What a node is, by YAML 1.2's core schema.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    /// Not a whole number, or one beyond 64 bits: no field of a scenario takes it.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A map's key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Place,
    pub(super) name: String,
}

impl Node {
    /// How an error names what was found.
    pub(super) fn found(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("the boolean {value}"),
            Kind::Int(value) => format!("the number {value}"),
            Kind::Float(value) => format!("the number {value}"),
            Kind::Text(value) => format!("the text `{}`", shortened(value)),
            Kind::List(items) => format!("a list of {}", items.len()),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Int(value) => (*value).into(),
            Kind::Float(value) => (*value).into(),
            Kind::Text(value) => value.as_str().into(),
            Kind::List(items) => items.iter().map(Node::json).collect(),
            Kind::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| (key.name.clone(), node.json()));
                entries.collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    /// The text of a scalar, as a parameter's value is shown; `None` for lists and maps.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.kind {
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Int(value) => Some(value.to_string()),
            Kind::Text(value) => Some(value.clone()),
            Kind::Null | Kind::Float(_) | Kind::List(_) | Kind::Map(_) => None,
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads a scenario's text.
pub(super) fn parse(source: &Source) -> Result<Node, ScenarioError> {
    let text = source.text();
    if text.len() > MAX_BYTES {
        return Err(source
            .error(Place::START, format!("the file has {} bytes", text.len()))
            .expected(format!("a scenario has at most {MAX_BYTES} bytes")));
    }
    refuse_tabs(source)?;
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: MAX_DEPTH,
        },
    };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let at = error.location().map_or(Place::START, |location| place(&location).located(text));
        describe(source, at, error.without_snippet())
    })
}

/// YAML forbids tabs in indentation, and the parser's words for it are about tokens.
fn refuse_tabs(source: &Source) -> Result<(), ScenarioError> {
    let mut offset = 0;
    for line in source.text().split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t')
            && !line.trim().is_empty()
        {
            return Err(source
                .error(Place::at(source.text(), offset + tab, 1), "a tab in the indentation")
                .expected("YAML is indented with spaces"));
        }
        offset += line.len();
    }
    Ok(())
}

/// The parser's error in a scenario's terms.
fn describe(source: &Source, at: Place, error: &serde_saphyr::Error) -> ScenarioError {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach;
    match error {
        Error::AliasError { error, .. } => describe(source, at, error),
        Error::DuplicateMappingKey { key, .. } => source
            .error(at, format!("`{}` is given twice", key.as_deref().unwrap_or("a key")))
            .expected("each key once in a map"),
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            source.error(at, "a second document begins").expected("one scenario in a file")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => source
            .error(at, "the document is too large or nested too deeply")
            .expected(format!("at most {MAX_NODES} nodes and {MAX_DEPTH} levels, aliases expanded")),
        Error::MultipleDocuments { .. } => {
            source.error(at, "a second document begins").expected("one scenario in a file")
        }
        Error::Eof { .. } => source.error(at, "the file is empty").expected("a map with at least `summary`"),
        other => {
            let text = other.to_string();
            let text = text.lines().next().unwrap_or("not YAML");
            // The place is in front of the message already.
            let text = text.split(" at line ").next().unwrap_or(text);
            source.error(at, format!("not YAML: {}", text.trim_start_matches("error: ")))
        }
    }
}

fn place(location: &Location) -> Place {
    let span = location.span();
    Place {
        line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX),
        offset: span.byte_offset().map_or(0, |offset| usize::try_from(offset).unwrap_or(usize::MAX)),
        len: span.byte_len().map_or(0, |len| usize::try_from(len).unwrap_or(0)),
    }
}

impl Place {
    /// Gives a place that has only line and column its offset.
    fn located(mut self, text: &str) -> Place {
        if self.offset == 0 && self.line > 0 {
            let start: usize = text.split_inclusive('\n').take(self.line as usize - 1).map(str::len).sum();
            let line = text.get(start..).unwrap_or("");
            let within =
                line.char_indices().nth(self.column.max(1) as usize - 1).map_or(line.len(), |(at, _)| at);
            self.offset = start + within;
        }
        self
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Node { at: place(&spanned.referenced), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a map with text keys")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Kind, E> {
        Ok(i64::try_from(value).map_or(Kind::Float(value as f64), Kind::Int))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::Float(value as f64))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Kind, E> {
        Ok(Kind::Float(value as f64))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key { at: place(&key.referenced), name: key.value };
            entries.push((key, map.next_value()?));
        }
        Ok(Kind::Map(entries))
    }
}

/// How much all combinations of a matrix may still become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    nodes: usize,
    bytes: usize,
}

impl Room {
    /// That of a scenario.
    pub(super) fn new() -> Room {
        Room { nodes: MAX_EXPANDED_NODES, bytes: MAX_EXPANDED_BYTES }
    }

    /// Takes a node with so many bytes of text, before it is made.
    fn take(&mut self, source: &Source, at: Place, bytes: usize) -> Result<(), ScenarioError> {
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => *self = Room { nodes, bytes },
            _ => {
                return Err(source
                    .error(at, "the combinations of the matrix are too large together")
                    .expected(format!(
                        "at most {MAX_EXPANDED_NODES} nodes and {MAX_EXPANDED_BYTES} bytes of text, parameters put in"
                    )));
            }
        }
        Ok(())
    }
}

/// The tree with every `${name}` replaced, as far as there is `room`.
///
/// A scalar that is nothing but `${name}` takes the parameter's own type; inside other text the value's text is
/// put in. `$${` stands for `${`.
pub(super) fn substitute(
    source: &Source,
    node: &Node,
    parameters: &BTreeMap<String, Node>,
    room: &mut Room,
) -> Result<Node, ScenarioError> {
    let kind = match &node.kind {
        Kind::Text(text) if text.contains("${") => replaced(source, node.at, text, parameters, room)?,
        Kind::List(items) => {
            room.take(source, node.at, 0)?;
            Kind::List(
                items
                    .iter()
                    .map(|item| substitute(source, item, parameters, room))
                    .collect::<Result<_, _>>()?,
            )
        }
        Kind::Map(entries) => Kind::Map(
            entries
                .iter()
                .map(|(key, value)| {
                    room.take(source, key.at, key.name.len())?;
                    Ok((key.clone(), substitute(source, value, parameters, room)?))
                })
                .collect::<Result<_, ScenarioError>>()?,
        ),
        other => {
            room.take(source, node.at, length(other))?;
            other.clone()
        }
    };
    Ok(Node { at: node.at, kind })
}

/// Bytes of text in a scalar.
fn length(kind: &Kind) -> usize {
    match kind {
        Kind::Text(text) => text.len(),
        _ => 0,
    }
}

fn replaced(
    source: &Source,
    at: Place,
    text: &str,
    parameters: &BTreeMap<String, Node>,
    room: &mut Room,
) -> Result<Kind, ScenarioError> {
    room.take(source, at, text.len())?;
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        let Some(end) = rest[start..].find('}') else {
            return Err(source
                .error(at, "`${` without its `}`")
                .expected("a parameter is written `${name}`, and the characters themselves `$${`"));
        };
        let name = &rest[start + 2..start + end];
        let Some(value) = parameters.get(name) else {
            let error = source.error(at, format!("unknown parameter `{name}`"));
            return Err(if parameters.is_empty() {
                error.expected("this scenario has no `matrix:` to take it from")
            } else {
                error.one_of(name, parameters.keys().map(String::as_str))
            });
        };
        room.take(source, at, length(&value.kind))?;
        if start == 0 && end + 1 == text.len() {
            return Ok(value.kind.clone());
        }
        out.push_str(&rest[..start]);
        out.push_str(&value.scalar().unwrap_or_default());
        rest = &rest[start + end + 1..];
    }
    out.push_str(rest);
    Ok(Kind::Text(out))
}
