//! A sentence of each code: reviewed as a whole in `snapshots`.

use imalab_language::finding::{Fact, Finding};

#[test]
fn every_finding_has_its_sentence() {
    let lines: Vec<String> = Finding::samples()
        .iter()
        .map(|finding| format!("{}\n    {}\n", finding.code(), super::finding(finding)))
        .collect();
    insta::assert_snapshot!("findings", lines.concat());
}

#[test]
fn every_fact_has_its_words() {
    let lines: Vec<String> =
        Fact::samples().iter().map(|fact| format!("{}\n    {}\n", fact.code(), super::fact(fact))).collect();
    insta::assert_snapshot!("facts", lines.concat());
}

#[test]
fn a_sentence_is_one_line() {
    for finding in Finding::samples() {
        let text = super::finding(&finding);
        assert!(!text.contains('\n') && !text.ends_with('.') && !text.is_empty(), "{text}");
    }
}
