use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value as Json, json};

use super::*;

#[test]
fn every_code_begins_with_its_group_and_is_there_once() {
    let mut names = BTreeSet::new();
    for group in GROUPS {
        for entry in group.codes {
            let name = entry.name.strip_prefix(group.prefix).and_then(|name| name.strip_prefix('/'));
            let name = name.unwrap_or_else(|| panic!("{} is not one of {}", entry.name, group.prefix));
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(names.insert(entry.name), "{} is there twice", entry.name);
            assert!(entry.meaning.trim().ends_with('.'), "{}: {}", entry.name, entry.meaning);
        }
    }
    let facts: Vec<&str> = Fact::CODES.iter().map(|entry| entry.name).collect();
    assert!(facts.iter().all(|name| name.starts_with("fact/") && names.insert(name)), "{facts:?}");
}

#[test]
fn a_finding_is_an_object_that_reads_back() {
    let samples = Finding::samples();
    assert_eq!(samples.len(), GROUPS.iter().map(|group| group.codes.len()).sum::<usize>());
    for finding in samples {
        let json = serde_json::to_value(&finding).unwrap();
        let fields: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let told = entry(finding.code()).unwrap().fields.iter().map(|(name, _)| *name).chain(["code"]);
        assert_eq!(fields, told.collect(), "{json}");
        assert_eq!(serde_json::from_value::<Finding>(json.clone()).unwrap(), finding, "{json}");
        // What a later version adds, and what a report adds, is passed over.
        let mut more = json;
        more["text"] = Json::from("a sentence");
        assert_eq!(serde_json::from_value::<Finding>(more).unwrap(), finding);
    }
    for fact in Fact::samples() {
        let json = serde_json::to_value(&fact).unwrap();
        assert_eq!(serde_json::from_value::<Fact>(json).unwrap(), fact);
    }
}

#[rstest]
#[case::no_group(json!({"code": "weather/rain"}), "`weather/rain` is no code of a finding")]
#[case::no_code(json!({"code": "steps/rain"}), "steps/rain")]
#[case::none(json!({"step": 3}), "`` is no code")]
#[case::a_field_less(json!({"code": "steps/counter"}), "missing field")]
#[case::text(json!("steps/counter"), "is no code")]
fn what_is_no_finding_is_refused(#[case] json: Json, #[case] why: &str) {
    let error = serde_json::from_value::<Finding>(json).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn every_field_is_explained_and_nothing_else() {
    let all = GROUPS.iter().flat_map(|group| group.codes).chain(Fact::CODES);
    let used: BTreeSet<&str> = all.flat_map(|entry| entry.fields).map(|(name, _)| *name).collect();
    let own: Vec<_> = GROUPS.iter().flat_map(|group| group.fields).collect();
    let explained: BTreeSet<&str> = FIELDS.iter().chain(own.iter().copied()).map(|(name, _)| *name).collect();
    assert_eq!(explained, used);
    assert_eq!(explained.len(), FIELDS.len() + own.len(), "a field is explained once");
    assert!(FIELDS.is_sorted_by(|(one, _), (next, _)| one < next), "they are sorted, each once");
}

fn lost() -> Finding {
    let place = Place { list: "saved".to_owned(), number: 7, step: Step::sample("step") };
    let after = Record { place: Some(place), ..Record::sample("after") };
    ExactlyOnce::RecordLost {
        extend: Extend::sample("extend"),
        records: 1,
        after: Some(after),
        before: None,
        totals: None,
    }
    .into()
}

#[rstest]
#[case::by_code(json!({}), true)]
#[case::a_number(json!({"records": 1}), true)]
#[case::another_number(json!({"records": 2}), false)]
#[case::fields_of_a_field(json!({"after": {"name": "/m/f-3", "place": {"list": "saved"}}}), true)]
#[case::another_one_of_them(json!({"after": {"name": "/m/f-3", "place": {"list": "staged"}}}), false)]
#[case::nothing_there(json!({"before": null}), true)]
#[case::something_there(json!({"after": null}), false)]
#[case::no_such_field(json!({"wether": 1}), false)]
#[case::text_is_not_a_number(json!({"records": "1"}), false)]
#[case::no_substring(json!({"after": {"name": "/m/f"}}), false)]
fn a_pattern_is_a_code_and_some_fields(#[case] with: Json, #[case] matches: bool) {
    let Json::Object(with) = with else { panic!("{with}") };
    let pattern = Pattern { code: Some("exactly-once/record-lost".to_owned()), with };
    assert_eq!(pattern.matches(&lost()), matches);
    assert!(!Pattern { code: Some("exactly-once/never-extended".to_owned()), ..pattern }.matches(&lost()));
}

#[test]
fn one_of_a_list_is_enough_and_a_list_is_the_whole() {
    let died = KernelDied::Oops {
        line: "Oops: general protection fault".to_owned(),
        function: None,
        called_from: None,
        functions: vec!["memcpy".to_owned(), "ima_update_kexec_buffer".to_owned()],
    };
    let finding = Finding::from(died);
    let has = |with: Json| {
        let Json::Object(with) = with else { panic!("{with}") };
        Pattern { code: None, with }.matches(&finding)
    };
    assert!(has(json!({"functions": "ima_update_kexec_buffer"})));
    assert!(!has(json!({"functions": "ima_update"})));
    assert!(has(json!({"functions": ["memcpy", "ima_update_kexec_buffer"]})));
    assert!(!has(json!({"functions": ["memcpy"]})));
}

/// `IMALAB_BLESS=1` writes them anew.
#[test]
fn the_published_tables_are_those_of_the_codes_and_invariants() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, blocks) in table::pages() {
        let page = std::fs::read_to_string(docs.join(name)).unwrap();
        let mut made = page.clone();
        for (block, text) in blocks {
            let (begin, end) = (format!("<!-- generated: {block} -->\n"), format!("<!-- end: {block} -->\n"));
            let from =
                made.find(&begin).unwrap_or_else(|| panic!("docs/{name} has no `{begin}`")) + begin.len();
            let to = made[from..].find(&end).unwrap_or_else(|| panic!("docs/{name} has no `{end}`")) + from;
            made.replace_range(from..to, &format!("\n{text}\n"));
        }
        if std::env::var_os("IMALAB_BLESS").is_some() {
            std::fs::write(docs.join(name), &made).unwrap();
            continue;
        }
        assert!(made == page, "docs/{name} is not up to date: IMALAB_BLESS=1 writes it");
    }
}

/// What `kernel-config/sabotage` says of findings is what findings have.
#[test]
fn the_sabotages_name_codes_and_fields_that_there_are() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config/sabotage/sabotages.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let sabotages: std::collections::BTreeMap<String, Json> = serde_saphyr::from_str(&text).unwrap();
    assert!(sabotages.len() > 10);
    for (name, sabotage) in sabotages {
        let code = sabotage["code"].as_str().unwrap_or_else(|| panic!("{name} has no code"));
        let code = sabotage["check"].as_str().map_or(code.to_owned(), |check| format!("{check}/{code}"));
        let entry = entry(&code).unwrap_or_else(|| panic!("{name}: there is no code {code}"));
        for (field, value) in sabotage["with"].as_object().into_iter().flatten() {
            let known = entry.fields.iter().find(|(known, _)| known == field);
            let (_, inner) = known.unwrap_or_else(|| panic!("{name}: {code} has no field {field}"));
            let mut keys = value.as_object().into_iter().flat_map(|value| value.keys());
            assert!(keys.all(|key| inner.contains(&key.as_str())), "{name}: {field} has {inner:?}");
        }
    }
}
