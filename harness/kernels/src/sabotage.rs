//! Kernels with a defect put in on purpose: a few wrong lines each, and a scenario that has to fail for the right reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::apt::Refresh;
use crate::results::{self, ReasonOf, RunOf};
use crate::stop::Stop;
use crate::{Kernel, Kernels, Over};

/// A defect on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sabotage {
    /// The kernel whose source it goes over.
    pub kernel: String,
    /// The scenario that has to fail.
    pub scenario: String,
    /// What has to become of it.
    #[serde(default)]
    outcome: Outcome,
    /// The check whose finding the reason has to be, where checks are the reason.
    check: Option<String>,
    /// The code of that finding, less the check; where no check is the reason, all of it.
    code: String,
    /// Fields that the finding has.
    #[serde(default)]
    with: Map<String, Value>,
    /// Whose promises the kernel is held to, where it dies before its interface is known.
    pub promises: Option<String>,
    /// The lane in which it shows, where it does in one alone.
    pub lane: Option<String>,
}

/// The outcomes that count as seen, by their names in the results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    #[default]
    Failed,
    KernelDied,
    Timeout,
}

impl Sabotage {
    /// The whole code.
    fn code(&self) -> String {
        self.check.as_ref().map_or_else(|| self.code.clone(), |check| format!("{check}/{}", self.code))
    }

    /// Whether a run failed for this reason.
    fn is(&self, reason: &ReasonOf) -> bool {
        let code = reason.finding.get("code").and_then(Value::as_str);
        reason.check == self.check
            && !reason.could_not_run
            && code == Some(self.code().as_str())
            && within(&self.with, &reason.finding)
    }
}

/// Whether each of these fields is among the others, and the same: as `known-defect: shows: with:` of scenarios.
fn within(given: &Map<String, Value>, fields: &Map<String, Value>) -> bool {
    let same = |given: &Value, found: &Value| match (given, found) {
        (Value::Object(given), Value::Object(found)) => within(given, found),
        (Value::Array(_), _) => given == found,
        (_, Value::Array(found)) => found.contains(given),
        _ => given == found,
    };
    given.iter().all(|(name, value)| fields.get(name).is_some_and(|found| same(value, found)))
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Failed => "failed",
            Outcome::KernelDied => "kernel-died",
            Outcome::Timeout => "timeout",
        }
    }
}

/// Folder of the defects, below the root of the checkout: a patch each, and their list.
const FOLDER: &str = "kernel-config/sabotage";

/// The defects of a checkout.
#[derive(Debug)]
pub struct Sabotages {
    folder: PathBuf,
    all: BTreeMap<String, Sabotage>,
}

impl Sabotages {
    /// Reads those of the checkout at `root`.
    ///
    /// # Errors
    /// [`Stop::Usage`] when their list cannot be used.
    pub fn load(root: &Path) -> Result<Self> {
        let folder = root.join(FOLDER);
        let path = folder.join("sabotages.yaml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let options = serde_saphyr::options! { strict_booleans: true };
        let all = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| Stop::Usage(format!("{} cannot be used: {error}", path.display())))?;
        Ok(Self { folder, all })
    }

    /// Those called `names`, in the order of their names; every one when there are no `names`.
    ///
    /// # Errors
    /// [`Stop::Usage`] for a name that none has.
    pub fn named(&self, names: &[String]) -> Result<Vec<(&str, &Sabotage)>, Stop> {
        if let Some(unknown) = names.iter().find(|name| !self.all.contains_key(*name)) {
            let known: Vec<&str> = self.all.keys().map(String::as_str).collect();
            return Err(Stop::Usage(format!(
                "no sabotage is called {unknown:?}; there are {}",
                known.join(", ")
            )));
        }
        let asked_for = |name: &String| names.is_empty() || names.contains(name);
        let all = self.all.iter().filter(|(name, _)| asked_for(name));
        Ok(all.map(|(name, sabotage)| (name.as_str(), sabotage)).collect())
    }

    /// Builds the kernel with the defect called `name` unless the cache has it.
    ///
    /// # Errors
    /// As [`Kernels::ensure`].
    pub fn build(&self, kernels: &Kernels, name: &str, sabotage: &Sabotage) -> Result<Kernel> {
        let patch = self.folder.join(format!("{name}.patch"));
        kernels.ensure(Some(&sabotage.kernel), &Over::series(&patch), Refresh::WhenStale)
    }
}

/// How the suite whose results are at `path` saw it.
///
/// # Errors
/// When it did not, or for another reason than it should have.
pub fn seen(sabotage: &Sabotage, path: &Path) -> Result<String> {
    let all = results::read(path)?;
    let runs: Vec<&RunOf> = all.iter().filter(|run| run.scenario == sabotage.scenario).collect();
    let right = |run: &&&RunOf| {
        run.outcome == sabotage.outcome.name()
            && run.reason.as_ref().is_some_and(|reason| sabotage.is(reason))
    };
    let text = |run: &RunOf| run.reason.as_ref().map_or_else(String::new, |reason| reason.text.clone());
    if let Some(run) = runs.iter().find(right) {
        return Ok(format!("{} {}: {}", sabotage.scenario, run.outcome, text(run)));
    }
    let outcomes: Vec<String> =
        all.iter().map(|run| format!("{} {} {}", run.scenario, run.outcome, text(run))).collect();
    let with = if sabotage.with.is_empty() {
        String::new()
    } else {
        format!(" with {}", Value::Object(sabotage.with.clone()))
    };
    Err(anyhow!(
        "{} was to be {} by {}{with}: {}",
        sabotage.scenario,
        sabotage.outcome.name(),
        sabotage.code(),
        outcomes.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn every_patch_of_this_checkout_has_an_entry_and_the_other_way_round() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sabotages = Sabotages::load(&root).unwrap();
        assert!(sabotages.all.len() >= 10);
        let mut patches: Vec<String> = fs::read_dir(root.join(FOLDER))
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().to_str()?.strip_suffix(".patch").map(str::to_owned)
            })
            .collect();
        patches.sort();
        assert_eq!(patches, sabotages.all.keys().cloned().collect::<Vec<_>>());
        for (name, sabotage) in &sabotages.all {
            assert!(root.join("scenarios").join(format!("{}.yaml", sabotage.scenario)).is_file(), "{name}");
            let patch = fs::read_to_string(root.join(FOLDER).join(format!("{name}.patch"))).unwrap();
            let changed = |mark: char| patch.lines().filter(|line| line.starts_with(mark)).count();
            // One file, of which as little as can be.
            assert_eq!(patch.matches("\ndiff --git ").count(), 1, "{name}");
            assert!(changed('-') + changed('+') <= 20, "{name}");
            assert!(!sabotage.code.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_name_that_none_has_is_a_usage_error_with_those_that_do() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        let text =
            "b: {kernel: k, scenario: s, code: run/hangs}\na: {kernel: k, scenario: s, code: run/hangs}\n";
        fs::write(folder.join("sabotages.yaml"), text).unwrap();
        let sabotages = Sabotages::load(root.path()).unwrap();
        let names = |asked_for: &[&str]| {
            let asked_for: Vec<String> = asked_for.iter().map(|name| (*name).to_owned()).collect();
            let found = sabotages.named(&asked_for)?;
            Ok(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["a", "b"]);
        assert_eq!(names(&["b"]).unwrap(), ["b"]);
        let error: Stop = names(&["b", "c"]).unwrap_err();
        assert_eq!(error.to_string(), "no sabotage is called \"c\"; there are a, b");
    }

    /// A reason as the results have it.
    fn reason(check: Option<&str>, code: &str, found: i64) -> Value {
        let list = json!({"form": "binary", "bank": "sha1"});
        let finding = json!({
            "code": code, "expected": 3, "found": found, "list": list, "functions": ["memcpy", "ima_queue_stage"],
        });
        json!({"text": "a sentence", "check": check, "could_not_run": false, "also": ["steps"], "finding": finding})
    }

    #[rstest]
    #[case::by_its_check("failed", reason(Some("model"), "model/value", 4), true)]
    #[case::by_another_check("failed", reason(Some("steps"), "steps/value", 4), false)]
    #[case::by_another_finding("failed", reason(Some("model"), "model/values", 4), false)]
    #[case::with_another_field("failed", reason(Some("model"), "model/value", 5), false)]
    #[case::dead("kernel-died", reason(Some("model"), "model/value", 4), false)]
    #[case::passed("passed", Value::Null, false)]
    #[case::skipped("skipped", reason(None, "skip/lacks", 4), false)]
    fn only_the_right_failure_counts(#[case] outcome: &str, #[case] reason: Value, #[case] expected: bool) {
        let sabotage = "{kernel: k, scenario: trim/some, check: model, code: value, with: {found: 4, list: {bank: sha1}}}";
        assert_eq!(is_seen(sabotage, "trim/some", outcome, &reason), expected);
        // What another scenario gave says nothing.
        assert!(!is_seen(sabotage, "kernel/probe", outcome, &reason));
    }

    #[test]
    fn a_check_that_could_not_run_has_seen_nothing() {
        let mut reason = reason(Some("model"), "model/value", 4);
        let sabotage = "{kernel: k, scenario: trim/some, check: model, code: value}";
        assert!(is_seen(sabotage, "trim/some", "failed", &reason));
        reason["could_not_run"] = true.into();
        assert!(!is_seen(sabotage, "trim/some", "failed", &reason));
    }

    #[rstest]
    #[case("timeout", reason(None, "run/hangs", 0), true)]
    #[case("timeout", reason(None, "run/no-progress", 0), false)]
    #[case("infra", reason(None, "run/hangs", 0), false)]
    fn what_is_no_check_is_known_by_its_whole_code(
        #[case] outcome: &str,
        #[case] reason: Value,
        #[case] expected: bool,
    ) {
        let sabotage = "{kernel: k, scenario: trim/some, outcome: timeout, code: run/hangs, with: {functions: ima_queue_stage}}";
        assert_eq!(is_seen(sabotage, "trim/some", outcome, &reason), expected);
    }

    fn is_seen(sabotage: &str, scenario: &str, outcome: &str, reason: &Value) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results.json");
        let run = json!({"scenario": scenario, "outcome": outcome, "reason": reason});
        fs::write(&results, json!({"runs": [run]}).to_string()).unwrap();
        seen(&serde_saphyr::from_str(sabotage).unwrap(), &results).is_ok()
    }
}
