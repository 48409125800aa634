//! The walls of the house: what each crate depends on is what `docs/architecture.md` says, and nothing points back up.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

#[derive(serde::Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Option<Resolve>,
}

#[derive(serde::Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
    /// The library that is not Rust's and that the crate links.
    links: Option<String>,
}

#[derive(serde::Deserialize)]
struct Dependency {
    name: String,
    /// None for what is needed outside of tests and builds.
    kind: Option<String>,
}

/// Which package needs which, among all that cargo would build.
#[derive(serde::Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(serde::Deserialize)]
struct Node {
    id: String,
    deps: Vec<On>,
}

#[derive(serde::Deserialize)]
struct On {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(serde::Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The crates that link libtss2, and so build only where it is.
const WITH_A_SYSTEM_LIBRARY: &[&str] = &["imalab", "imalab-machine", "imalab-run"];

fn metadata(arguments: &[&str]) -> Metadata {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a crate needs of the others.
fn needs(package: Package) -> (String, BTreeSet<String>) {
    let on = package.dependencies.into_iter().filter(|on| on.kind.is_none()).map(|on| on.name);
    (package.name, on.filter(|name| name.starts_with("imalab")).collect())
}

#[test]
fn crates_depend_on_what_the_page_says() {
    let real: BTreeMap<String, BTreeSet<String>> =
        metadata(&["--no-deps"]).packages.into_iter().map(needs).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("<!-- arrows -->").expect("where the table begins");
    let (table, _) = table.split_once("<!-- end: arrows -->").expect("where it ends");
    let mut above: BTreeSet<String> = real.keys().cloned().collect();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
        let crate_name = names.next().unwrap();
        let told: BTreeSet<String> = names.collect();
        let on = real.get(&crate_name).unwrap_or_else(|| panic!("{crate_name} is no crate"));
        assert_eq!(&told, on, "{crate_name}");
        // The table goes from the ground up.
        above.remove(&crate_name);
        assert!(on.is_disjoint(&above), "{crate_name} depends on one that stands above it");
    }
    assert!(above.is_empty(), "these have no row: {above:?}");
}

#[test]
fn only_those_that_talk_to_a_tpm_link_a_system_library() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = metadata(&["--filter-platform", &target]);
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.iter().flat_map(|all| &all.nodes).map(|node| (node.id.as_str(), node)).collect();
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    for member in &metadata.workspace_members {
        let name = packages[member.as_str()].name.as_str();
        let mut reached = BTreeSet::new();
        let mut left = vec![member.as_str()];
        while let Some(id) = left.pop() {
            if reached.insert(id) {
                let outside_of_tests = |on: &&On| on.dep_kinds.iter().any(|kind| kind.kind.is_none());
                left.extend(nodes[id].deps.iter().filter(outside_of_tests).map(|on| on.pkg.as_str()));
            }
        }
        let linked: Vec<&str> = reached.iter().filter_map(|id| packages[id].links.as_deref()).collect();
        let expected: &[&str] = if WITH_A_SYSTEM_LIBRARY.contains(&name) { &["tss2-esys"] } else { &[] };
        assert_eq!(linked, expected, "{name}");
    }
}
