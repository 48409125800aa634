//! `expect:` of a step.

use nix::errno::Errno;

use super::error::{ScenarioError, Source};
use super::fields::{self, number};
use super::grammar::{ERRNOS, Form, MAX_FILES};
use super::model::Expectation;
use super::node::{Kind, Node};

/// Words that are no errnos.
pub(super) const WORDS: &[&str] = &["ok", "any", "blocked"];

/// What may be expected, and what it asks of the step.
pub(super) const MEANINGS: &[(&str, &str)] = &[
    (
        "",
        "succeed. While a boot has a single task, `measure` must also add, and `save` find, as many records as follow from the steps before, where that is known before the run. Within `stress`: as `any`",
    ),
    ("ok", "succeed"),
    ("any", "nothing: its result is only evidence for the invariants"),
    (
        "blocked",
        "be seen waiting within a system call of its own by an `await-blocked` of another task; in a scenario that holds the TPM, while it is held, and without ending before it is released. How it ends is only evidence",
    ),
    ("EBUSY", "or another errno: fail with it, in any of its system calls"),
    ("{new-records: n}", "succeed, and make the current list n records longer"),
    ("{records: n}", "succeed, and find n records in the list"),
    ("{bytes: n}", "succeed, and read, write or move n bytes"),
    (
        "{value: n}",
        "succeed, and have n as the value of its system call; of a `view` of a counter, as the number read",
    ),
];

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
    named().find(|(_, known)| known == name).map(|(number, _)| number)
}

/// Names of all errnos.
pub(super) fn errnos() -> Vec<String> {
    named().map(|(_, name)| name).collect()
}

fn named() -> impl Iterator<Item = (i32, String)> {
    // The highest errno of Linux is EHWPOISON, 133 (`include/uapi/asm-generic/errno.h`).
    let all = (1..=133).map(|number| (number, format!("{:?}", Errno::from_raw(number))));
    all.filter(|(_, name)| name != "UnknownErrno")
}
