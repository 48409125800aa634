//! `docs/coverage.md` and the scenarios of the repository name each other.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::load_all;

/// Other interfaces than mainline's.
const ELSEWHERE: &str = "proposals/";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The cells of the rows that tell a state.
fn rows(document: &str) -> Vec<[String; 3]> {
    let cells = |line: &str| -> Option<[String; 3]> {
        let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<_> = inner.split(" | ").map(str::to_owned).collect();
        cells.try_into().ok()
    };
    let rows = document.lines().filter_map(cells).collect::<Vec<_>>();
    rows.into_iter().filter(|row| row[0] != "promise" && row[0] != "scenario" && row[0] != "---").collect()
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
    let document = std::fs::read_to_string(repository().join("docs/coverage.md")).unwrap();
    let named = named(&document);
    let ids: BTreeSet<_> =
        load_all(&repository().join("scenarios")).unwrap().into_iter().map(|s| s.id).collect();
    let absent: Vec<_> = named.difference(&ids).collect();
    assert!(absent.is_empty(), "docs/coverage.md names scenarios that are not there: {absent:?}");
    let silent: Vec<_> = ids.difference(&named).filter(|id| !id.starts_with(ELSEWHERE)).collect();
    assert!(silent.is_empty(), "docs/coverage.md does not name {silent:?}");
}

#[test]
fn every_promise_has_a_state_and_every_known_defect_breaks_one() {
    let document = std::fs::read_to_string(repository().join("docs/coverage.md")).unwrap();
    let rows = rows(&document);
    let mut broken = BTreeSet::new();
    for [promise, scenarios, state] in &rows {
        if promise.starts_with("`found/") {
            continue;
        }
        let shown = !named(scenarios).is_empty() || scenarios.starts_with("capability `");
        match state.split([' ', ':']).next() {
            Some("held") => {
                assert!(shown || scenarios.contains("`imalab "), "no scenario shows that {promise}")
            }
            Some("broken") => broken.extend(named(state)),
            Some("not") if state == "not reached" => {
                assert!(scenarios.starts_with("none: "), "{promise}: no reason")
            }
            _ => panic!("{promise}: unknown state `{state}`"),
        }
    }
    assert!(rows.len() > 50, "only {} rows were read", rows.len());
    let scenarios = load_all(&repository().join("scenarios")).unwrap();
    let defects: BTreeSet<_> =
        scenarios.into_iter().filter(|s| s.known_defect.is_some()).map(|s| s.id).collect();
    assert_eq!(broken, defects, "rows that are broken, and scenarios with a known defect");
}
