//! `cargo xtask sabotage`: does the suite see a defect when there is one? Our own series are built with one wrong line
//! each, and a scenario has to fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use crate::apt::Refresh;
use crate::cache::Cache;
use crate::doctor;
use crate::guard;
use crate::harness::{self, Profile};
use crate::image;
use crate::kernel::{Kernels, Over};
use crate::process;
use crate::stop::Stop;

/// Arguments of `cargo xtask sabotage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Some of kernel-config/sabotage/sabotages.yaml; none means every one
    names: Vec<String>,
    /// Install what is missing on this machine, with sudo when not root
    #[arg(long)]
    yes: bool,
}

/// A defect on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sabotage {
    /// The kernel whose patches it goes over.
    kernel: String,
    /// The scenario that has to fail.
    scenario: String,
    /// The check by which, unless the kernel dies; or [`HANG`].
    check: String,
}

/// In place of a check: the kernel has to tell that it hangs, which ends the run.
const HANG: &str = "hang";
/// How the reason of such a run begins.
const HANGS: &str = "the kernel hangs: ";

/// What of the harness's results matters here.
#[derive(Debug, Deserialize)]
struct Results {
    runs: Vec<RunOf>,
}

#[derive(Debug, Deserialize)]
struct RunOf {
    outcome: String,
    reason: String,
    checks: Vec<CheckOf>,
}

#[derive(Debug, Deserialize)]
struct CheckOf {
    check: String,
    verdict: String,
}

/// Folder of the defects, below the root of the checkout: a patch each, and their list.
const FOLDER: &str = "kernel-config/sabotage";

/// Builds each kernel and runs its scenario.
///
/// # Errors
/// When the suite did not see one of them.
pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    let all = load(&folder)?;
    if let Some(unknown) = args.names.iter().find(|name| !all.contains_key(*name)) {
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        return Err(Stop::Usage(format!(
            "no sabotage is called {unknown:?}; there are {}",
            names.join(", ")
        ))
        .into());
    }
    doctor::ensure(args.yes)?;
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let harness = harness::build(root, Profile::Dev)?;
    let initramfs = image::ensure(root, &cache)?;
    let scratch = cache.scratch("sabotage")?;
    let mut unseen = Vec::new();
    for (name, sabotage) in all.iter().filter(|(name, _)| args.names.is_empty() || args.names.contains(name))
    {
        let patch = folder.join(format!("{name}.patch"));
        let kernel = kernels.ensure(Some(&sabotage.kernel), &Over::series(&patch), Refresh::WhenStale)?;
        let results = scratch.path().join(format!("{name}.json"));
        let mut image = std::ffi::OsString::from(format!("{}=", kernel.name));
        image.push(kernel.image());
        let mut command = guard::command(&harness);
        command.env("TSS2_LOG", "all+NONE").args(["test", "--jobs", "1", "--kernel-image"]).arg(image);
        command.arg("--initramfs").arg(&initramfs).arg("--scenarios").arg(root.join("scenarios"));
        command.arg("--json").arg(&results).arg(&sabotage.scenario);
        // Its exit code says less than its results.
        process::run_logged(&mut command, &scratch.path().join(format!("{name}.log")), |_| {})?;
        match seen(sabotage, &results) {
            Ok(how) => println!("{name}: {how}"),
            Err(error) => {
                println!("{name}: NOT SEEN: {error:#}");
                unseen.push(name.as_str());
            }
        }
    }
    if unseen.is_empty() {
        Ok(())
    } else {
        let list = unseen.join(", ");
        Err(Stop::Finding(format!("{} of {} defects were not seen: {list}", unseen.len(), all.len())).into())
    }
}

fn load(folder: &Path) -> Result<BTreeMap<String, Sabotage>> {
    let path = folder.join("sabotages.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(&text, options)
        .map_err(|error| Stop::Usage(format!("{} cannot be used: {error}", path.display())).into())
}

/// How the suite saw it.
///
/// # Errors
/// When it did not, or not by the check that it should have.
fn seen(sabotage: &Sabotage, results: &Path) -> Result<String> {
    let text = fs::read(results).context("the harness has left no results")?;
    let results: Results = serde_json::from_slice(&text).context("cannot read the harness's results")?;
    for run in &results.runs {
        let by = |check: &CheckOf| check.check == sabotage.check && check.verdict == "failed";
        let is_seen = match run.outcome.as_str() {
            _ if sabotage.check == HANG => run.outcome == "timeout" && run.reason.starts_with(HANGS),
            "kernel-died" => true,
            "failed" => run.checks.iter().any(by),
            _ => false,
        };
        if is_seen {
            return Ok(format!("{} {}: {}", sabotage.scenario, run.outcome, run.reason));
        }
    }
    let outcomes: Vec<String> =
        results.runs.iter().map(|run| format!("{} {}", run.outcome, run.reason).trim().to_owned()).collect();
    Err(anyhow!("no run of {} failed by {}: {}", sabotage.scenario, sabotage.check, outcomes.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn every_patch_of_this_checkout_has_an_entry_and_the_other_way_round() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = load(&root.join(FOLDER)).unwrap();
        assert!(all.len() >= 10);
        let mut patches: Vec<String> = fs::read_dir(root.join(FOLDER))
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().to_str()?.strip_suffix(".patch").map(str::to_owned)
            })
            .collect();
        patches.sort();
        assert_eq!(patches, all.keys().cloned().collect::<Vec<_>>());
        for (name, sabotage) in all {
            assert!(root.join("scenarios").join(format!("{}.yaml", sabotage.scenario)).is_file(), "{name}");
            let patch = fs::read_to_string(root.join(FOLDER).join(format!("{name}.patch"))).unwrap();
            let changed = |mark: char| patch.lines().filter(|line| line.starts_with(mark)).count();
            // One line, and the header of its file.
            assert_eq!((changed('-'), changed('+')), (3, 2), "{name}");
        }
    }

    #[rstest]
    #[case::told("timeout", "the kernel hangs: INFO: task agent:72 blocked", true)]
    #[case::silent("timeout", "nothing happened for 300.0 s", false)]
    #[case::dead("kernel-died", "the kernel hangs: x", false)]
    fn a_hang_has_to_be_told(#[case] outcome: &str, #[case] reason: &str, #[case] expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results.json");
        let text = format!(r#"{{"runs": [{{"outcome": "{outcome}", "reason": "{reason}", "checks": []}}]}}"#);
        fs::write(&results, text).unwrap();
        let sabotage = Sabotage { kernel: "k".into(), scenario: "s".into(), check: HANG.into() };
        assert_eq!(seen(&sabotage, &results).is_ok(), expected);
    }

    #[rstest]
    #[case::by_its_check("failed", "model", "failed", true)]
    #[case::dead("kernel-died", "model", "passed", true)]
    #[case::by_another_check("failed", "steps", "failed", false)]
    #[case::could_not_run("failed", "model", "could-not-run", false)]
    #[case::passed("passed", "model", "passed", false)]
    #[case::skipped("skipped", "model", "passed", false)]
    fn only_the_right_failure_counts(
        #[case] outcome: &str,
        #[case] check: &str,
        #[case] verdict: &str,
        #[case] expected: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results.json");
        let text = format!(
            r#"{{"runs": [{{"outcome": "{outcome}", "reason": "r", "checks": [{{"check": "{check}", "verdict": "{verdict}"}}]}}]}}"#
        );
        fs::write(&results, text).unwrap();
        let sabotage = Sabotage { kernel: "k".into(), scenario: "s".into(), check: "model".into() };
        assert_eq!(seen(&sabotage, &results).is_ok(), expected);
    }
}
