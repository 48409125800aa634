//! `expect:` of a step.

use nix::errno::Errno;

use super::error::{ScenarioError, Source};
use super::fields::{self, number};
use super::grammar::{ERRNOS, Form, MAX_FILES};
use super::model::Expectation;
use super::node::{Kind, Node};

/// Words that are no errnos.
pub(super) const WORDS: &[&str] = &["ok", "any", "blocked"];

/// Reads it for a verb.
pub(super) fn read(source: &Source, form: &Form, node: Option<&Node>) -> Result<Expectation, ScenarioError> {
    let Some(node) = node else { return Ok(Expectation::Default) };
    let counts = fields::counts(form);
    match &node.kind {
        Kind::Text(text) => match text.as_str() {
            "ok" => Ok(Expectation::Ok),
            "any" => Ok(Expectation::Any),
            "blocked" => Ok(Expectation::Blocked),
            name => errno(name).map(Expectation::Errno).ok_or_else(|| {
                let known = WORDS.iter().copied().chain(ERRNOS.iter().copied());
                source.error(node.at, format!("unknown errno `{name}`")).one_of(name, known)
            }),
        },
        Kind::Map(entries) if !counts.is_empty() => count(source, node, entries, counts),
        _ => {
            let maps: Vec<_> = counts.iter().map(|count| format!(", `{{{count}: N}}`")).collect();
            Err(source
                .error(node.at, format!("`expect`: step `{}` cannot expect {}", form.name, node.found()))
                .expected(format!("`ok`, `any`, `blocked`, the name of an errno{}", maps.concat())))
        }
    }
}

fn count(
    source: &Source,
    node: &Node,
    entries: &[(super::node::Key, Node)],
    counts: &[&'static str],
) -> Result<Expectation, ScenarioError> {
    let [(key, value)] = entries else {
        return Err(source
            .error(node.at, format!("`expect`: expected one count, found {}", entries.len()))
            .expected(
                counts.iter().map(|count| format!("`{{{count}: N}}`")).collect::<Vec<_>>().join(" or "),
            ));
    };
    match counts.iter().copied().find(|count| *count == key.name) {
        Some("new-records") => {
            number(source, value, "new-records", 0..=MAX_FILES).map(Expectation::NewRecords)
        }
        Some("records") => number(source, value, "records", 0..=MAX_FILES).map(Expectation::Records),
        Some(name) => {
            match value.kind {
                Kind::Int(number) => Ok(Expectation::Value(number)),
                _ => Err(source
                    .error(value.at, format!("`{name}`: expected a whole number, found {}", value.found()))),
            }
        }
        None => Err(source
            .error(key.at, format!("`expect`: unknown field `{}`", key.name))
            .one_of(&key.name, counts.iter().copied())),
    }
}

/// The number behind an errno's name; `Errno` knows them all but has no parser.
fn errno(name: &str) -> Option<i32> {
    // The highest errno of Linux is EHWPOISON, 133 (`include/uapi/asm-generic/errno.h`).
    (1..=133).find(|number| format!("{:?}", Errno::from_raw(*number)) == name && name != "UnknownErrno")
}
