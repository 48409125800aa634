//! The tests that `docs/trials.md` names are there: a row that names none proves nothing any more.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names of all functions in the Rust files below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            found.extend(names.filter_map(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
        }
    }
}

/// What stands between backquotes and looks like the name of a test: words with lines between them.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        word.contains('_')
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(is_name)
}

#[test]
fn every_test_that_a_row_names_is_there() {
    let text = fs::read_to_string(root().join("docs/trials.md")).unwrap();
    let mut there = BTreeSet::new();
    ["harness", "images", "xtask"].iter().for_each(|folder| functions(&root().join(folder), &mut there));
    let mut count = 0;
    for name in named(&text).filter(|name| !WORDS.contains(name)) {
        assert!(there.contains(name), "docs/trials.md names `{name}`, and there is no such test");
        count += 1;
    }
    assert!(count > 100, "{count} tests are named");
}

/// What the page has between backquotes that are names of something else.
const WORDS: [&str; 3] = ["boot_aggregate", "ima_policy", "ima_tcb"];

#[test]
fn a_row_without_its_test_is_seen() {
    let row = "| put back | `no_such_test`, `Bundle::altered` (`harness/tests/verify_cases`) |";
    assert_eq!(named(row).collect::<Vec<_>>(), ["no_such_test"]);
    assert_eq!(named("`no_row_of_a_table`").count(), 0);
}
