//! One suite with every outcome, in every form that it is reported in.

#![expect(clippy::unwrap_used, reason = "a test's panic is its failure")]

mod compare;
mod exit;
mod suite;
mod terminal;

use std::process::Command;

use imalab::report::{html, json, junit, ktap};
use imalab_check::outcome::SuiteResult;
use rstest::rstest;

use crate::suite::suite;

#[test]
fn json_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    let mut text = Vec::new();
    json::document(&suite(), &mut text).unwrap();
    std::fs::write(&path, text).unwrap();
    assert_eq!(json::read(&path).unwrap(), suite());
    let text = std::fs::read_to_string(&path).unwrap();
    let written: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written["runs"][2]["checks"][0]["findings"][0]["code"], "replay/pcr-differs");
    let run: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("trim/one"))
        .take_while(|line| *line != "    },")
        .collect();
    insta::assert_snapshot!("json_of_one_run", run.join("\n"));
}

#[rstest]
#[case::other_schema(r#"{"schema": 3, "anything": true}"#, "is of schema 3, and this imalab reads schema 2")]
#[case::findings_as_text(r#"{"schema": 1, "runs": []}"#, "is of schema 1, and this imalab reads schema 2")]
#[case::no_schema(r#"{"runs": []}"#, "is not a result of imalab")]
#[case::cut_off(r#"{"schema": 2, "runs": [{"#, "is not a result of imalab")]
#[case::no_json("hello", "is not a result of imalab")]
#[case::empty("", "is not a result of imalab")]
fn json_that_is_not_ours_is_refused(#[case] text: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    std::fs::write(&path, text).unwrap();
    let error = json::read(&path).unwrap_err().to_string();
    assert!(error.contains(expected) && error.contains("results.json"), "{error}");
}

#[test]
fn junit_reads_back_with_what_went_wrong() {
    let mut xml = Vec::new();
    junit::document(&suite(), &mut xml).unwrap();
    let xml = String::from_utf8(xml).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((report.tests, report.failures, report.errors, report.skipped), (11, 2, 2, 3));
    insta::assert_snapshot!("junit", xml);
}

fn ktap(suite: &SuiteResult) -> String {
    let mut text = Vec::new();
    ktap::document(suite, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn ktap_golden() {
    insta::assert_snapshot!("ktap", ktap(&suite()));
}

#[test]
fn ktap_of_nothing_is_an_empty_plan() {
    assert_eq!(ktap(&SuiteResult { runs: vec![], ..suite() }), "KTAP version 1\n1..0\n");
}

/// The kernel's own parser; it insists on lying in a tree, as `tools/testing/kunit/kunit.py`.
#[test]
fn kunit_reads_the_ktap() {
    let kunit = std::env::var_os("IMALAB_KUNIT").expect("IMALAB_KUNIT is not set: run `cargo xtask check`");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.ktap");
    std::fs::write(&path, ktap(&suite())).unwrap();
    let output = Command::new("python3").arg(kunit).arg("parse").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Ran 11 tests: passed: 4, failed: 4, skipped: 3\n"), "{text}{output:?}");
    assert!(!text.contains("[ERROR]") && !text.contains("[CRASHED]"), "{text}");
    assert!(text.contains("(kernel 6.12.4 lacks staging (CONFIG_IMA_STAGING=y"), "{text}");
    assert!(text.contains("record 18 is missing"), "{text}");
}

#[test]
fn html_shows_every_run_and_trusts_no_guest() {
    let page = html::page(&suite()).into_string();
    assert!(
        !page.contains("<b>") && !page.contains('\u{1b}') && !page.contains("<script"),
        "guest text is text"
    );
    assert_eq!(page.matches("<details class=\"run ").count(), suite().runs.len());
    assert_eq!(page.matches(" open>").count(), 4, "failures, and they alone, are unfolded");
    for number in 1..=suite().runs.len() {
        assert!(page.contains(&format!("id=\"run-{number}\"")), "run {number}");
    }
    let body = &page[page.find("<body>").unwrap()..];
    insta::assert_snapshot!("html_body", body.replace("><", ">\n<"));
}

#[test]
fn html_of_nothing_is_a_page() {
    let page = html::page(&SuiteResult { runs: vec![], ..suite() }).into_string();
    assert!(page.contains("0 passed") && page.ends_with("</html>"), "{page}");
}
