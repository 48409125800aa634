//! The walls of the house: what each crate depends on is what `docs/architecture.md` says, and nothing points back up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

#[derive(serde::Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(serde::Deserialize)]
struct Dependency {
    name: String,
    /// None for what is needed outside of tests and builds.
    kind: Option<String>,
}

/// What a crate needs of the others.
fn needs(package: Package) -> (String, BTreeSet<String>) {
    let on = package.dependencies.into_iter().filter(|on| on.kind.is_none()).map(|on| on.name);
    (package.name, on.filter(|name| name.starts_with("imalab")).collect())
}

#[test]
fn crates_depend_on_what_the_page_says() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    let real: BTreeMap<String, BTreeSet<String>> = metadata.packages.into_iter().map(needs).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("<!-- arrows -->").expect("where the table begins");
    let (table, _) = table.split_once("<!-- end: arrows -->").expect("where it ends");
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
