//! `cargo xtask sabotage`: does the suite see a defect when there is one, and call it by its name? Kernels are built with a
//! few wrong lines each, and a scenario has to fail for the right reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use crate::doctor;
use crate::harness::{self, Profile};
use crate::image;
use imalab_kernels::apt::Refresh;
use imalab_kernels::cache::Cache;
use imalab_kernels::guard;
use imalab_kernels::process;
use imalab_kernels::results::{self, RunOf};
use imalab_kernels::say::tell;
use imalab_kernels::stop::Stop;
use imalab_kernels::{Kernels, Over};

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
    /// The kernel whose source it goes over.
    kernel: String,
    /// The scenario that has to fail.
    scenario: String,
    /// What has to become of it.
    #[serde(default)]
    outcome: Outcome,
    /// The check that the reason has to name, where checks are the reason.
    check: Option<String>,
    /// Text that the reason has to have.
    finding: String,
    /// Whose promises the kernel is held to, where it dies before its interface is known.
    promises: Option<String>,
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
        // A defect is no lack: what the kernel offers it offers all the same.
        for (_, offers) in kernels.offers().filter(|(known, _)| *known == sabotage.kernel) {
            command.args(offers.iter().flat_map(|name| ["--require", name]));
        }
        if let Some(promises) = &sabotage.promises {
            command.args(["--promises", promises]);
        }
        command.arg("--initramfs").arg(&initramfs).arg("--scenarios").arg(root.join("scenarios"));
        command.arg("--json").arg(&results).arg(&sabotage.scenario);
        // Its exit code says less than its results.
        process::run_logged(&mut command, &scratch.path().join(format!("{name}.log")), |_| {})?;
        match seen(sabotage, &results) {
            Ok(how) => tell!("{name}: {how}"),
            Err(error) => {
                tell!("{name}: NOT SEEN: {error:#}");
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
/// When it did not, or for another reason than it should have.
fn seen(sabotage: &Sabotage, path: &Path) -> Result<String> {
    let all = results::read(path)?;
    let runs: Vec<&RunOf> = all.iter().filter(|run| run.scenario == sabotage.scenario).collect();
    let named = |run: &RunOf| match &sabotage.check {
        Some(check) => run.reason.strip_prefix(check.as_str()).is_some_and(|rest| rest.starts_with(": ")),
        None => true,
    };
    let right = |run: &&&RunOf| {
        run.outcome == sabotage.outcome.name() && named(run) && run.reason.contains(&sabotage.finding)
    };
    if let Some(run) = runs.iter().find(right) {
        return Ok(format!("{} {}: {}", sabotage.scenario, run.outcome, run.reason));
    }
    let outcomes: Vec<String> =
        all.iter().map(|run| format!("{} {} {}", run.scenario, run.outcome, run.reason)).collect();
    let check = sabotage.check.as_ref().map_or(String::new(), |check| format!("{check}: "));
    Err(anyhow!(
        "{} was to be {} with `{check}… {} …`: {}",
        sabotage.scenario,
        sabotage.outcome.name(),
        sabotage.finding,
        outcomes.join("; ")
    ))
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
            // One file, of which as little as can be.
            assert_eq!(patch.matches("\ndiff --git ").count(), 1, "{name}");
            assert!(changed('-') + changed('+') <= 20, "{name}");
            assert!(!sabotage.finding.is_empty(), "{name}");
        }
    }

    #[rstest]
    #[case::by_its_check("failed", "model: step 4 `trim 3`: expected 3, found 4 (also: steps)", true)]
    #[case::by_another_check("failed", "steps: expected 3 (also: model)", false)]
    #[case::by_a_check_of_a_like_name("failed", "model-x: expected 3", false)]
    #[case::for_another_reason("failed", "model: step 4 `trim 3`: EBUSY", false)]
    #[case::could_not_run("failed", "model could not run: expected 3", false)]
    #[case::dead("kernel-died", "model: expected 3", false)]
    #[case::passed("passed", "", false)]
    #[case::skipped("skipped", "kernel 7.3.4 lacks trim", false)]
    fn only_the_right_failure_counts(#[case] outcome: &str, #[case] reason: &str, #[case] expected: bool) {
        let sabotage = "{kernel: k, scenario: trim/some, check: model, finding: expected 3}";
        assert_eq!(is_seen(sabotage, "trim/some", outcome, reason), expected);
        // What another scenario gave says nothing.
        assert!(!is_seen(sabotage, "kernel/probe", outcome, reason));
    }

    #[rstest]
    #[case("timeout", "task main-1 is blocked in ima_queue_stage", true)]
    #[case("timeout", "no event for 60 s", false)]
    #[case("infra", "task main-1 is blocked in ima_queue_stage", false)]
    fn what_is_no_check_is_known_by_its_text(
        #[case] outcome: &str,
        #[case] reason: &str,
        #[case] expected: bool,
    ) {
        let sabotage = "{kernel: k, scenario: trim/some, outcome: timeout, finding: ima_queue_stage}";
        assert_eq!(is_seen(sabotage, "trim/some", outcome, reason), expected);
    }

    fn is_seen(sabotage: &str, scenario: &str, outcome: &str, reason: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results.json");
        let run = serde_json::json!({"scenario": scenario, "outcome": outcome, "reason": reason});
        fs::write(&results, serde_json::json!({"runs": [run]}).to_string()).unwrap();
        seen(&serde_saphyr::from_str(sabotage).unwrap(), &results).is_ok()
    }
}
