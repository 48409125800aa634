//! The walls of the house: what each crate depends on is what `docs/architecture.md` says, and nothing points back up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What each crate of the workspace needs of the others, outside of its tests.
fn real() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            let on = package["dependencies"].as_array().unwrap().iter();
            let on = on.filter(|on| on["kind"].is_null()).map(name).filter(|on| on.starts_with("imalab"));
            (name(package), on.collect())
        })
        .collect()
}

#[test]
fn crates_depend_on_what_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("<!-- arrows -->").expect("where the table begins");
    let (table, _) = table.split_once("<!-- end: arrows -->").expect("where it ends");
    let real = real();
    let mut above: BTreeSet<String> = real.keys().cloned().collect();
    let mut rows = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
        let crate_name = names.next().unwrap();
        let told: BTreeSet<String> = names.collect();
        let on = &real[&crate_name];
        if crate_name != "imalab" {
            assert_eq!(&told, on, "{crate_name}");
        }
        // The table goes from the ground up.
        above.remove(&crate_name);
        assert!(on.is_disjoint(&above), "{crate_name} depends on one that stands above it");
        rows += 1;
    }
    let of_the_house = real.keys().filter(|name| name.starts_with("imalab") && *name != "imalab-agent");
    assert_eq!(rows, of_the_house.count(), "a crate has no row");
}
