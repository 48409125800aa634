//! The published reference and schema are those of the grammar, and the schema takes what the parser takes.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use rstest::rstest;
use serde_json::Value;

use super::super::error::Source;
use super::super::node;
use super::super::tests::{Knows, invalid};
use super::super::{grammar, parse};
use super::markdown::blocks;
use super::schema;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether the files are to be written anew: `IMALAB_BLESS=1`.
fn blessed() -> bool {
    std::env::var_os("IMALAB_BLESS").is_some()
}

#[test]
fn the_published_tables_are_those_of_the_grammar() {
    let path = top().join("docs/scenarios.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut made = page.clone();
    for (name, text) in blocks() {
        let (begin, end) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->\n"));
        let from =
            made.find(&begin).unwrap_or_else(|| panic!("docs/scenarios.md has no `{begin}`")) + begin.len();
        let to = made[from..].find(&end).unwrap_or_else(|| panic!("docs/scenarios.md has no `{end}`")) + from;
        made.replace_range(from..to, &format!("\n{text}\n"));
    }
    if blessed() {
        std::fs::write(&path, &made).unwrap();
        return;
    }
    assert!(made == page, "docs/scenarios.md is not up to date: IMALAB_BLESS=1 writes it");
}

#[test]
fn the_published_schema_is_that_of_the_grammar() {
    let path = top().join("docs/scenario.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if blessed() {
        std::fs::write(&path, &text).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    assert!(published == text, "docs/scenario.schema.json is not up to date: IMALAB_BLESS=1 writes it");
}

/// As an editor sees it.
fn instance(text: &str) -> Option<Value> {
    node::parse(&Source::new("it.yaml", text)).ok().map(|node| node.json())
}

fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).unwrap()
}

fn scenarios(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => scenarios(&path, out),
            false => out.push(path),
        }
    }
}

#[test]
fn the_schema_takes_every_scenario_of_the_repository() {
    let validator = validator();
    let mut files = Vec::new();
    scenarios(&top().join("scenarios"), &mut files);
    assert!(files.len() >= 20, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let first = "# yaml-language-server: $schema=../../docs/scenario.schema.json\n";
        assert!(text.starts_with(first), "{}: editors are not told of the schema", file.display());
        let errors: Vec<_> = validator
            .iter_errors(&instance(&text).unwrap())
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", file.display());
    }
}

#[test]
fn the_schema_refuses_what_it_can_know_to_be_wrong() {
    let validator = validator();
    let mut odd = Vec::new();
    for (name, knows, text) in invalid() {
        let Some(instance) = instance(&text) else { continue };
        if validator.is_valid(&instance) != (knows == Knows::Parser) {
            odd.push(format!("{name}: {knows:?} was said to know"));
        }
    }
    assert!(odd.is_empty(), "{odd:#?}");
}

/// A value that a field takes, as YAML.
fn sample(shape: grammar::Shape) -> String {
    use grammar::Shape;
    match shape {
        Shape::Number(from, _) => from.to_string(),
        Shape::NumberOr(_, _, words) | Shape::Words(words) | Shape::Word(words) => words[0].to_owned(),
        Shape::Capabilities => "ima".to_owned(),
        Shape::Signed => "-5".to_owned(),
        Shape::Truth => "true".to_owned(),
        Shape::Name => "some".to_owned(),
        Shape::Text | Shape::Bytes | Shape::Version => "\"7.2\"".to_owned(),
        Shape::Hex => "\"00ff\"".to_owned(),
        Shape::CommandLine | Shape::Banks | Shape::Texts | Shape::Arguments => "[sha256]".to_owned(),
        Shape::Path => "/m/x".to_owned(),
        Shape::File => "binary".to_owned(),
        Shape::Steps | Shape::Choice => "[measure]".to_owned(),
        Shape::Code => "counter".to_owned(),
        Shape::Matrix
        | Shape::Finding
        | Shape::Tasks
        | Shape::Programs
        | Shape::Files
        | Shape::Map(_)
        | Shape::Maps(_) => "{}".to_owned(),
    }
}

/// Every verb, with all fields that go together, and whether it has a short form.
#[test]
fn every_verb_of_the_grammar_is_read_and_in_the_schema() {
    let validator = validator();
    for form in grammar::forms() {
        let only = form.one_of.first();
        let goes = |name: &str| {
            (form.one_of.is_empty() || !form.one_of.contains(&name) || only == Some(&name))
                && !EXCLUDED.contains(&(form.name, name))
        };
        let fields: Vec<_> = form
            .fields
            .iter()
            .filter(|field| goes(field.name))
            .map(|field| format!("{}: {}", field.name, sample(field.shape)))
            .collect();
        let step = format!("{}: {{{}}}", form.name, fields.join(", "));
        let text = format!("summary: s\npromise: p\nsteps:\n  - {step}\n");
        assert!(validator.is_valid(&instance(&text).unwrap()), "the schema refuses {step}");
        if let Err(error) = parse("it", "it.yaml", &text) {
            // What it needs of other steps is another matter; that it is not read is not.
            let of_others = [
                "not open",
                "no task",
                "no program",
                "held",
                "waits for",
                "only task",
                "nobody",
                "default policy",
                "open already",
            ];
            let problem = &error.problem;
            assert!(of_others.iter().any(|words| problem.contains(words)), "{step}: {error}");
        }
    }
}

/// Fields that mean nothing beside others of their verb.
const EXCLUDED: &[(&str, &str)] = &[
    ("read", "at"),
    ("read", "bytes"),
    ("read", "bad-pointer"),
    ("tpm-fault", "carried-out"),
    ("hold", "at"),
    ("hold", "from"),
    ("hold", "until"),
];

#[rstest]
#[case::parameter_for_a_number("steps:\n  - measure: ${n}\n", true)]
#[case::parameter_in_text("steps:\n  - kexec: {args: [\"a=${n}\"]}\n", true)]
#[case::parameter_in_the_head("needs: [\"${n}\"]\nsteps:\n  - stage\n", false)]
#[case::short_form("steps:\n  - trim: all\n", true)]
#[case::short_form_that_there_is_not("steps:\n  - stage: 5\n", false)]
#[case::bare_verb_that_needs_a_field("steps:\n  - trim\n", false)]
#[case::long_task("tasks:\n  a: {boot: 1, steps: [stage]}\n", true)]
#[case::errno("steps:\n  - stage: {expect: EEXIST}\n", true)]
#[case::no_errno("steps:\n  - stage: {expect: EEXISTS}\n", false)]
#[case::chosen("steps:\n  - stress: {ms: 5, choose: [stage, [save, delete]]}\n", true)]
#[case::never_chosen("steps:\n  - stress: {ms: 5, choose: [{barrier: x}]}\n", false)]
fn the_schema_knows_each_place(#[case] text: &str, #[case] right: bool) {
    let text = format!("summary: s\npromise: p\n{text}");
    assert_eq!(validator().is_valid(&instance(&text).unwrap()), right, "{text}");
}
