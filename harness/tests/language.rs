//! `imalab language` writes what `docs/` has of the scenario language.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::path::Path;
use std::process::Command;

fn written(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_imalab")).arg("language").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn published(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

#[test]
fn the_schema_is_the_published_one() {
    assert!(written(&["--json-schema"]) == published("scenario.schema.json"));
}

#[test]
fn the_tables_are_those_of_the_page() {
    let (tables, page) = (written(&[]), published("scenarios.md"));
    assert_eq!(tables, written(&["--markdown"]));
    let rows: Vec<&str> = tables.lines().filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 100, "{tables}");
    let missing: Vec<_> = rows.into_iter().filter(|row| !page.contains(row)).collect();
    assert!(missing.is_empty(), "docs/scenarios.md lacks {missing:#?}");
}

#[test]
fn only_one_of_both_is_written() {
    let both = ["language", "--markdown", "--json-schema"];
    let output = Command::new(env!("CARGO_BIN_EXE_imalab")).args(both).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
