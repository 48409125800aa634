//! `cargo xtask test --tree DIR --bisect GOOD..BAD SCENARIO`: finds the commit since which a scenario fails.
//!
//! `git bisect run` drives it, in a work tree of its own beside the developer's: nothing there is checked out, and the
//! objects of one commit serve the next.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::doctor;
use crate::flags::{Split, split};
use crate::harness::{self, Needs, Profile};
use imalab_kernels::Kernels;
use imalab_kernels::cache::{self, Cache};
use imalab_kernels::checkout;
use imalab_kernels::guard;
use imalab_kernels::interrupt;
use imalab_kernels::process::{self, stdout_of};
use imalab_kernels::results::{self, PROBE, RunOf};
use imalab_kernels::say::say;
use imalab_kernels::stop::{self, Stop};

/// The hidden subcommand that tells git what one commit is.
pub(crate) const STEP: &str = "bisect-step";

/// What git bisect takes from a command (git-bisect(1), "Bisect run").
const GOOD: u8 = 0;
const BAD: u8 = 1;
const SKIP: u8 = 125;
const ABORT: u8 = 255;

/// Runs the bisection that `arguments` ask for; `None` when they ask for none.
pub(crate) fn run(root: &Path, arguments: &[OsString]) -> Result<Option<()>> {
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let split = split(arguments.to_vec(), |name| kernels.has(name))?;
    let Some(range) = &split.bisect else { return Ok(None) };
    let (good, bad) = ends(range)?;
    let tree = tree_of(&split)?;
    doctor::ensure(split.yes)?;
    // Not within the first step: a harness that does not build is no commit's fault.
    harness::build(root, Profile::Dev)?;
    let name = cache::sha256_of_parts([("tree", tree.as_os_str().as_bytes())]);
    let folder = cache.room("bisects")?.join(&name[..16]);
    let _lock = cache::lock(&folder, &format!("bisecting {}", tree.display()))?;
    let place = Place { tree, folder };
    place.open(good, bad)?;
    let step = std::env::current_exe().context("cannot find this program")?;
    let mut command = guard::command("git");
    command.arg("-C").arg(&place.folder).args(["bisect", "run"]).arg(step).arg(STEP);
    command.arg("--tree").arg(&place.folder);
    for symbol in &split.over.kconfig {
        command.arg("--kconfig").arg(symbol);
    }
    command.args(&split.rest);
    let status = process::run(&mut command);
    // Also after Ctrl-C: the work tree is known to the developer's repository.
    place.close()?;
    let status = status?;
    if !status.success() {
        bail!("git bisect came to no end ({status}); what it said is above");
    }
    Ok(Some(()))
}

/// Builds the commit that is checked out, runs the scenario, and says what git is to make of it.
pub(crate) fn step(arguments: Vec<OsString>) -> Result<ExitCode> {
    let judged = interrupt::listen().and_then(|()| judge(&checkout::root()?, arguments));
    Ok(ExitCode::from(judged.unwrap_or_else(|error| {
        // Its own exit code would mean something else to git.
        stop::report(&error);
        ABORT
    })))
}

fn judge(root: &Path, arguments: Vec<OsString>) -> Result<u8> {
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let split = split(arguments, |name| kernels.has(name))?;
    let inputs = match harness::inputs(root, &cache, &kernels, &split, Needs::Suite) {
        Ok(inputs) => inputs,
        // A commit that does not compile, or that lacks a symbol; with anything else the next one would not be built either.
        Err(error) if error.is::<Stop>() && !unbuildable(&error) => return Err(error),
        Err(error) => {
            say!("this commit is passed over: {error:#}");
            return Ok(SKIP);
        }
    };
    let mut command = guard::command(harness::build(root, Profile::Dev)?);
    command.arg("test").env("TSS2_LOG", "all+NONE").args(inputs).args(&split.rest);
    let scratch = cache.scratch("bisect")?;
    let path = scratch.path().join("results.json");
    // Who wants a report has the exit code alone to go by.
    let is_report = |word: &OsString| word.to_string_lossy().split('=').next() == Some("--json");
    let own = split.rest.iter().any(is_report);
    if !own {
        command.arg("--json").arg(&path);
    }
    let code = guard::exit_code(process::run(&mut command)?);
    Ok(match code {
        100 | 101 if !own => by_runs(&results::read(&path)?),
        _ => verdict(code),
    })
}

/// What the runs of the scenario say of a commit on which something was found: what the probe found of the kernel as a whole
/// may be as old as the range.
fn by_runs(runs: &[RunOf]) -> u8 {
    let any = |outcomes: &[&str]| {
        runs.iter().any(|run| run.scenario != PROBE && outcomes.contains(&run.outcome.as_str()))
    };
    if any(&["failed", "kernel-died", "timeout"]) {
        BAD
    } else if any(&["infra", "interrupted"]) {
        ABORT
    } else if any(&["passed", "known-defect", "known-limit"]) {
        GOOD
    } else {
        SKIP
    }
}

fn unbuildable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Stop::Unbuildable(_)))
}

/// What a run's exit code says of a commit.
fn verdict(code: u8) -> u8 {
    match code {
        0 => GOOD,
        // A scenario failed; the kernel died.
        100 | 101 => BAD,
        // It lacks what the scenario needs.
        4 => SKIP,
        _ => ABORT,
    }
}

/// The two ends of a range.
fn ends(range: &str) -> Result<(&str, &str), Stop> {
    range
        .split_once("..")
        .filter(|(good, bad)| !good.is_empty() && !bad.is_empty() && !bad.starts_with('.'))
        .ok_or_else(|| {
            Stop::Usage(format!(
                "--bisect: {range:?} is no range; it looks like v7.2..v7.3, the good end first"
            ))
        })
}

fn tree_of(split: &Split) -> Result<PathBuf> {
    let tree = match &split.tree {
        Some(tree) if split.over.series.is_empty() && !split.keep_config => tree,
        _ => {
            let message = "--bisect goes with --tree, and neither with --series nor with --keep-config";
            return Err(Stop::Usage(message.into()).into());
        }
    };
    let missing = |error| Stop::Usage(format!("cannot find the tree {}: {error}", tree.display()));
    Ok(tree.canonicalize().map_err(missing)?)
}

/// The work tree in which commits are checked out.
struct Place {
    tree: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn open(&self, good: &str, bad: &str) -> Result<()> {
        for name in [good, bad] {
            let commit = format!("{name}^{{commit}}");
            if stdout_of(self.git(&self.tree).args(["rev-parse", "--quiet", "--verify", &commit])).is_err() {
                let message = format!("--bisect: {} has no commit {name}", self.tree.display());
                return Err(Stop::Usage(message).into());
            }
        }
        self.close()?;
        let add = ["worktree", "add", "--quiet", "--detach", "--force"];
        stdout_of(self.git(&self.tree).args(add).arg(&self.folder).arg(bad))?;
        stdout_of(self.git(&self.folder).args(["bisect", "start", bad, good]))?;
        Ok(())
    }

    /// Removes the work tree; there need not be one.
    fn close(&self) -> Result<()> {
        cache::remove(&self.folder)?;
        stdout_of(self.git(&self.tree).args(["worktree", "prune"])).map(|_| ())
    }

    fn git(&self, folder: &Path) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::passed(0, GOOD)]
    #[case::failed(100, BAD)]
    #[case::died(101, BAD)]
    #[case::skipped(4, SKIP)]
    #[case::infrastructure(96, ABORT)]
    #[case::usage(2, ABORT)]
    #[case::interrupted(130, ABORT)]
    fn git_is_told_what_it_understands(#[case] code: u8, #[case] told: u8) {
        assert_eq!(verdict(code), told);
    }

    #[rstest]
    #[case::the_scenario_passed(&[(PROBE, "failed"), ("trim/some", "passed")], GOOD)]
    #[case::it_failed(&[(PROBE, "failed"), ("trim/some", "failed")], BAD)]
    #[case::it_hung(&[("trim/some", "timeout")], BAD)]
    #[case::lacks_what_is_required(&[("kernel/offers", "failed"), ("trim/some", "skipped")], BAD)]
    #[case::skipped(&[(PROBE, "kernel-died"), ("trim/some", "skipped")], SKIP)]
    #[case::the_host(&[(PROBE, "failed"), ("trim/some", "infra")], ABORT)]
    fn what_a_probe_found_is_not_the_scenarios(#[case] runs: &[(&str, &str)], #[case] told: u8) {
        let run = |(scenario, outcome): &(&str, &str)| RunOf {
            scenario: (*scenario).to_owned(),
            outcome: (*outcome).to_owned(),
            reason: String::new(),
        };
        assert_eq!(by_runs(&runs.iter().map(run).collect::<Vec<_>>()), told);
    }

    #[rstest]
    #[case("v7.2..v7.3", Some(("v7.2", "v7.3")))]
    #[case("a..HEAD~1", Some(("a", "HEAD~1")))]
    #[case("v7.2...v7.3", None)]
    #[case("v7.2", None)]
    #[case("..v7.3", None)]
    #[case("v7.2..", None)]
    fn a_range_has_two_ends(#[case] range: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(ends(range).ok(), expected);
    }
}
