//! What the documents say of findings and of invariants.

use std::fmt::Write;

use super::Check;
use super::part::PARTS;
use super::{Entry, FIELDS, Fact, GROUPS, Invariant};

/// A generated part of the page: its name, and its text, which ends with a newline.
pub(super) type Block = (&'static str, String);

/// Every generated part, by the page that it is on.
pub(super) fn pages() -> Vec<(&'static str, Vec<Block>)> {
    vec![
        (
            "findings.md",
            vec![("codes", codes()), ("facts", facts()), ("fields", fields()), ("parts", parts())],
        ),
        ("results.md", vec![("rests", rests())]),
        ("architecture.md", vec![("invariants", evidence())]),
    ]
}

fn invariants() -> impl Iterator<Item = (Check, &'static Invariant)> {
    Check::INVARIANTS.into_iter().filter_map(|check| check.invariant().map(|declared| (check, declared)))
}

fn rests() -> String {
    let mut out =
        "| check | rests on | when there is nothing to compare | test |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for (check, Invariant { rests, .. }) in invariants() {
        let tests: Vec<String> = rests.tests.iter().map(|test| format!("`{test}`")).collect();
        let _ = writeln!(out, "| `{check}` | {} | {} | {} |", rests.on, rests.nothing, tests.join(", "));
    }
    out
}

fn evidence() -> String {
    let mut out = "| invariant | the evidence |\n| --- | --- |\n".to_owned();
    for (check, Invariant { evidence, .. }) in invariants() {
        let _ = writeln!(out, "| {check} | {evidence} |");
    }
    out
}

fn codes() -> String {
    let mut out = String::new();
    for group in GROUPS {
        if !out.is_empty() {
            out.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "### `{}`\n\n{}\n\n", group.prefix, group.about.trim());
        table(&mut out, group.codes);
    }
    out
}

fn facts() -> String {
    let mut out = String::new();
    table(&mut out, Fact::CODES);
    out
}

fn table(out: &mut String, codes: &[Entry]) {
    out.push_str("| code | means | fields |\n| --- | --- | --- |\n");
    for entry in codes {
        let fields: Vec<String> = entry.fields.iter().map(|(name, _)| format!("`{name}`")).collect();
        let meaning = entry.meaning.trim().trim_end_matches('.');
        let _ = writeln!(out, "| `{}` | {meaning} | {} |", entry.name, fields.join(", "));
    }
}

fn fields() -> String {
    let mut out = "| field | means |\n| --- | --- |\n".to_owned();
    let mut all: Vec<_> = FIELDS.iter().chain(GROUPS.iter().flat_map(|group| group.fields)).collect();
    all.sort();
    for (name, meaning) in all {
        let _ = writeln!(out, "| `{name}` | {meaning} |");
    }
    out
}

fn parts() -> String {
    let mut out = "| what | its fields |\n| --- | --- |\n".to_owned();
    for (about, fields) in PARTS {
        let each: Vec<String> = fields
            .iter()
            .map(|(name, meaning)| {
                let meaning = meaning.trim().trim_end_matches('.');
                let mut letters = meaning.chars();
                let first = letters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
                format!("`{name}`: {first}{}", letters.as_str())
            })
            .collect();
        let _ = writeln!(out, "| {} | {} |", about.trim().trim_end_matches('.'), each.join("; "));
    }
    out
}
