//! The documents of coverage and the scenarios of the repository name each other.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::load_all;
use super::{Scenario, Variant};

/// Other interfaces than mainline's.
const ELSEWHERE: &str = "proposals/";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The kernel that the document tells of.
const KERNEL: &str = "7.3.4";

/// Whether that kernel loses records here.
fn limited(variant: &Variant) -> bool {
    variant.known_limit.as_ref().is_some_and(|limit| limit.kernels.concerns(KERNEL))
}

/// Both documents, one after the other.
fn documents() -> String {
    let read = |name: &str| std::fs::read_to_string(repository().join("docs").join(name)).unwrap();
    ["coverage.md", "coverage-kexec.md"].map(read).concat()
}

/// Whether that kernel breaks a promise here.
fn defective(scenario: &Scenario) -> bool {
    scenario.known_defect.as_ref().is_some_and(|defect| defect.kernels.concerns(KERNEL))
}

/// The cells of the rows that tell a state.
fn rows(document: &str) -> Vec<[String; 3]> {
    let cells = |line: &str| -> Option<[String; 3]> {
        let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<_> = inner.split(" | ").map(str::to_owned).collect();
        cells.try_into().ok()
    };
    let rows = document.lines().filter_map(cells).collect::<Vec<_>>();
    rows.into_iter()
        .filter(|row| !["promise", "limit", "scenario"].contains(&row[0].as_str()) && row[0] != "---")
        .collect()
}

/// Scenarios that a text names in backquotes.
fn named(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_id = |word: &&str| {
        word.split('/').count() == 2
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/-".contains(c))
            && !word.starts_with('/')
            && !word.ends_with('/')
    };
    quoted.filter(is_id).map(str::to_owned).collect()
}

#[test]
fn every_scenario_is_named_and_every_name_is_a_scenario() {
    let document = documents();
    let named = named(&document);
    let ids: BTreeSet<_> =
        load_all(&repository().join("scenarios")).unwrap().into_iter().map(|s| s.id).collect();
    let absent: Vec<_> = named.difference(&ids).collect();
    assert!(absent.is_empty(), "docs/coverage.md names scenarios that are not there: {absent:?}");
    let silent: Vec<_> = ids.difference(&named).filter(|id| !id.starts_with(ELSEWHERE)).collect();
    assert!(silent.is_empty(), "docs/coverage.md does not name {silent:?}");
}

#[test]
fn every_promise_has_a_state_and_every_known_defect_or_limit_has_a_promise() {
    let document = documents();
    let rows = rows(&document);
    let (mut broken, mut limits) = (BTreeSet::new(), BTreeSet::new());
    for [promise, scenarios, state] in &rows {
        if promise.starts_with("`found/") {
            continue;
        }
        let shown = !named(scenarios).is_empty() || scenarios.starts_with("capability `");
        match state.split([' ', ':']).next() {
            Some("held") => {
                assert!(
                    shown
                        || ["`imalab ", "every scenario", "the same", ".rs`"]
                            .iter()
                            .any(|other| scenarios.contains(other)),
                    "no scenario shows that {promise}"
                )
            }
            Some("broken") => broken.extend(named(state)),
            Some("limit") if named(state).is_empty() => limits.extend(named(scenarios)),
            Some("limit") => limits.extend(named(state)),
            Some("not") if state == "not reached" => {
                assert!(scenarios.starts_with("none: "), "{promise}: no reason")
            }
            _ => panic!("{promise}: unknown state `{state}`"),
        }
    }
    assert!(rows.len() > 50, "only {} rows were read", rows.len());
    let scenarios = load_all(&repository().join("scenarios")).unwrap();
    let with = |has: fn(&Scenario) -> bool| -> BTreeSet<String> {
        scenarios.iter().filter(|s| has(s)).map(|s| s.id.clone()).collect()
    };
    assert_eq!(broken, with(defective), "rows that are broken, scenarios with a known defect");
    assert_eq!(
        limits,
        with(|s| s.variants.iter().any(limited) && !defective(s)),
        "rows with a limit, scenarios with a known limit"
    );
}
