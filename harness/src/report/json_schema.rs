//! The published JSON Schema of the results is made from the types, and the pages that explain it name every field.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::Suite;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Suite<'_>).to_value();
    schema["properties"]["schema"]["const"] = super::json::SCHEMA.into();
    schema
}

/// `IMALAB_BLESS=1` writes the file anew.
#[test]
fn the_published_schema_is_that_of_the_types() {
    let path = docs().join("results.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("IMALAB_BLESS").is_some() {
        imalab_files::atomic::write(&path, text.as_bytes()).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert_eq!(published, text, "docs/results.schema.json is not up to date: IMALAB_BLESS=1 writes it");
}

#[test]
fn the_pages_explain_every_field_and_value() {
    // The second has all codes of findings, with their fields.
    let pages = ["results.md", "findings.md"].map(|page| std::fs::read_to_string(docs().join(page)).unwrap());
    let mut names = BTreeSet::new();
    collect(&schema(), &mut names);
    assert!(names.contains("boot_ms") && names.contains("known-defect"), "{names:?}");
    let missing: Vec<_> =
        names.iter().filter(|name| !pages.iter().any(|page| page.contains(&format!("`{name}`")))).collect();
    assert!(missing.is_empty(), "neither docs/results.md nor docs/findings.md explains {missing:?}");
}

fn collect(schema: &serde_json::Value, names: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(object) => {
            if let Some(serde_json::Value::Object(properties)) = object.get("properties") {
                names.extend(properties.keys().cloned());
            }
            if let Some(serde_json::Value::String(value)) = object.get("const") {
                names.insert(value.clone());
            }
            if let Some(serde_json::Value::Array(values)) = object.get("enum") {
                names.extend(values.iter().filter_map(|value| value.as_str()).map(str::to_owned));
            }
            object.values().for_each(|value| collect(value, names));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
