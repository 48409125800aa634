//! Whether a finding is one that somebody described: a code, and some of its fields.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Entry, Finding, GROUPS};

/// The code of this name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    GROUPS.iter().flat_map(|group| group.codes).find(|entry| entry.name == name)
}

/// Findings of one code that have some fields just so, as `known-defect: shows:` describes them.
///
/// A field that has fields of its own is compared by those that are given; of a list of values one has to be that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// The code: `steps/unexpected-success`. None: any.
    pub code: Option<String>,
    /// Fields, as a finding has them in JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
}

impl Pattern {
    /// Findings of one code.
    pub fn code(code: impl Into<String>) -> Pattern {
        Pattern { code: Some(code.into()), with: Map::new() }
    }

    /// Whether a finding is such a one.
    pub fn matches(&self, finding: &Finding) -> bool {
        if self.code.as_deref().is_some_and(|code| code != finding.code()) {
            return false;
        }
        // What cannot be made JSON of is like nothing that was described.
        let Ok(Value::Object(fields)) = serde_json::to_value(finding) else { return false };
        within(&self.with, &fields)
    }
}

/// Whether each of these fields is among the others, and the same.
fn within(given: &Map<String, Value>, fields: &Map<String, Value>) -> bool {
    given.iter().all(|(name, value)| fields.get(name).is_some_and(|found| same(value, found)))
}

fn same(given: &Value, found: &Value) -> bool {
    match (given, found) {
        (Value::Object(given), Value::Object(found)) => within(given, found),
        (Value::Array(_), _) => given == found,
        (_, Value::Array(found)) => found.iter().any(|found| same(given, found)),
        _ => given == found,
    }
}
