//! Finding the commit of a developer's tree since which a scenario fails.
//!
//! `git bisect run` drives it, in a work tree of its own beside the developer's: nothing there is checked out, and the
//! objects of one commit serve the next.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::cache::{self, Cache, Lock};
use crate::guard;
use crate::process::{self, stdout_of};
use crate::results::{PROBE, RunOf};
use crate::stop::Stop;

/// What a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The scenario passes.
    Good,
    /// It fails.
    Bad,
    /// It cannot be said: the commit does not compile, or lacks what the scenario needs.
    Skip,
    /// Nothing can be said of any commit: the host is at fault.
    Abort,
}

impl Verdict {
    /// What git bisect takes from a command (git-bisect(1), "Bisect run").
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Bad => 1,
            Self::Skip => 125,
            Self::Abort => 255,
        }
    }

    /// What a suite's exit code says of a commit.
    pub fn of_exit_code(code: u8) -> Self {
        match code {
            0 => Self::Good,
            // A scenario failed; the kernel died.
            100 | 101 => Self::Bad,
            // It lacks what the scenario needs.
            4 => Self::Skip,
            _ => Self::Abort,
        }
    }

    /// What the runs of the scenario say of a commit on which something was found: what the probe found of the kernel as
    /// a whole may be as old as the range.
    pub fn of_runs(runs: &[RunOf]) -> Self {
        let any = |outcomes: &[&str]| {
            runs.iter().any(|run| run.scenario != PROBE && outcomes.contains(&run.outcome.as_str()))
        };
        if any(&["failed", "kernel-died", "timeout"]) {
            Self::Bad
        } else if any(&["infra", "interrupted"]) {
            Self::Abort
        } else if any(&["passed", "known-defect", "known-limit"]) {
            Self::Good
        } else {
            Self::Skip
        }
    }
}

/// Two commits, of which the first is good and the second bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<'a> {
    good: &'a str,
    bad: &'a str,
}

impl<'a> Range<'a> {
    /// Reads `GOOD..BAD`.
    ///
    /// # Errors
    /// [`Stop::Usage`] when it is none.
    pub fn parse(text: &'a str) -> Result<Self, Stop> {
        text.split_once("..")
            .filter(|(good, bad)| !good.is_empty() && !bad.is_empty() && !bad.starts_with('.'))
            .map(|(good, bad)| Self { good, bad })
            .ok_or_else(|| {
                Stop::Usage(format!(
                    "--bisect: {text:?} is not a range; it looks like v7.2..v7.3, the good end first"
                ))
            })
    }
}

/// A search under way, with the work tree in which commits are checked out. One at a time for each tree.
#[derive(Debug)]
pub struct Bisection {
    tree: PathBuf,
    work_tree: PathBuf,
    _lock: Lock,
}

impl Bisection {
    /// Begins to search the tree at `tree` for the first bad commit of `range`.
    ///
    /// # Errors
    /// [`Stop::Usage`] when there is no such tree or commit.
    pub fn start(cache: &Cache, tree: &Path, range: Range<'_>) -> Result<Self> {
        let missing = |error| Stop::Usage(format!("cannot find the tree {}: {error}", tree.display()));
        let tree = tree.canonicalize().map_err(missing)?;
        let name = cache::sha256_of_parts([("tree", tree.as_os_str().as_bytes())]);
        let work_tree = cache.room("bisects")?.join(&name[..16]);
        let lock = cache::lock(&work_tree, &format!("bisecting {}", tree.display()))?;
        let bisection = Self { tree, work_tree, _lock: lock };
        for name in [range.good, range.bad] {
            let commit = format!("{name}^{{commit}}");
            let found = git(&bisection.tree, &["rev-parse", "--quiet", "--verify", &commit]);
            if found.is_err() {
                let message = format!("--bisect: {} has no commit {name}", bisection.tree.display());
                return Err(Stop::Usage(message).into());
            }
        }
        // A killed one may have left its work tree.
        bisection.close()?;
        let mut add = git_in(&bisection.tree);
        add.args(["worktree", "add", "--quiet", "--detach", "--force"]).arg(&bisection.work_tree);
        stdout_of(add.arg(range.bad))?;
        git(&bisection.work_tree, &["bisect", "start", range.bad, range.good])?;
        Ok(bisection)
    }

    /// The work tree.
    pub fn work_tree(&self) -> &Path {
        &self.work_tree
    }

    /// Has git check commits out in turn, and run `step`, a program with its arguments, whose exit code is that of a
    /// [`Verdict`]. git says on standard output which commit it was.
    ///
    /// # Errors
    /// When git comes to no end.
    pub fn run(self, step: &[OsString]) -> Result<()> {
        let mut command = guard::command("git");
        command.arg("-C").arg(&self.work_tree).args(["bisect", "run"]).args(step);
        let status = process::run(&mut command);
        // Also after Ctrl-C: the work tree is known to the developer's repository.
        self.close()?;
        let status = status?;
        if !status.success() {
            bail!("git bisect came to no end ({status}); what it said is above");
        }
        Ok(())
    }

    /// Removes the work tree; there need not be one.
    fn close(&self) -> Result<()> {
        cache::remove(&self.work_tree)?;
        git(&self.tree, &["worktree", "prune"]).map(|_| ())
    }
}

/// The developer's own git, in `folder`: their settings hold.
fn git_in(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    command
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    stdout_of(git_in(folder).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::passed(0, Verdict::Good)]
    #[case::failed(100, Verdict::Bad)]
    #[case::died(101, Verdict::Bad)]
    #[case::skipped(4, Verdict::Skip)]
    #[case::infrastructure(96, Verdict::Abort)]
    #[case::usage(2, Verdict::Abort)]
    #[case::interrupted(130, Verdict::Abort)]
    fn git_is_told_what_it_understands(#[case] code: u8, #[case] told: Verdict) {
        assert_eq!(Verdict::of_exit_code(code), told);
    }

    #[rstest]
    #[case::the_scenario_passed(&[(PROBE, "failed"), ("trim/some", "passed")], Verdict::Good)]
    #[case::it_failed(&[(PROBE, "failed"), ("trim/some", "failed")], Verdict::Bad)]
    #[case::it_hung(&[("trim/some", "timeout")], Verdict::Bad)]
    #[case::lacks_what_is_required(&[("kernel/offers", "failed"), ("trim/some", "skipped")], Verdict::Bad)]
    #[case::skipped(&[(PROBE, "kernel-died"), ("trim/some", "skipped")], Verdict::Skip)]
    #[case::the_host(&[(PROBE, "failed"), ("trim/some", "infra")], Verdict::Abort)]
    fn what_a_probe_found_is_not_the_scenarios(#[case] runs: &[(&str, &str)], #[case] told: Verdict) {
        let run = |(scenario, outcome): &(&str, &str)| RunOf {
            scenario: (*scenario).to_owned(),
            outcome: (*outcome).to_owned(),
            reason: None,
        };
        assert_eq!(Verdict::of_runs(&runs.iter().map(run).collect::<Vec<_>>()), told);
    }

    #[rstest]
    #[case("v7.2..v7.3", Some(("v7.2", "v7.3")))]
    #[case("a..HEAD~1", Some(("a", "HEAD~1")))]
    #[case("v7.2...v7.3", None)]
    #[case("v7.2", None)]
    #[case("..v7.3", None)]
    #[case("v7.2..", None)]
    fn a_range_has_two_ends(#[case] range: &str, #[case] expected: Option<(&str, &str)>) {
        let range = Range::parse(range).ok();
        assert_eq!(range.map(|range| (range.good, range.bad)), expected);
    }

    fn repository(folder: &Path, contents: &[&str]) -> PathBuf {
        let tree = folder.join("tree");
        std::fs::create_dir(&tree).unwrap();
        let ours = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        git(&tree, &["init", "--quiet"]).unwrap();
        for (number, content) in contents.iter().enumerate() {
            std::fs::write(tree.join("file"), content).unwrap();
            git(&tree, &["add", "file"]).unwrap();
            let message = format!("change {number}");
            git(&tree, &[&ours[..], &["commit", "--quiet", "--allow-empty", "-m", &message]].concat())
                .unwrap();
            git(&tree, &["tag", &format!("v{number}")]).unwrap();
        }
        tree
    }

    #[test]
    fn the_first_bad_commit_is_found_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let tree = repository(folder.path(), &["a", "does not compile", "b", "c", "bad", "bad too"]);
        let bisection = Bisection::start(&cache, &tree, Range::parse("v0..v5").unwrap()).unwrap();
        let work_tree = bisection.work_tree().to_path_buf();
        // Each commit that was looked at, so that the last bad one is the first.
        let script = "cd \"$1\" && git log -1 --format=%s >> \"$2\"
            grep -q compile file && exit 125; ! grep -q bad file";
        let log = folder.path().join("log");
        let step = [
            "sh".into(),
            "-c".into(),
            script.into(),
            "sh".into(),
            work_tree.clone().into(),
            log.clone().into(),
        ];
        bisection.run(&step).unwrap();
        let seen = std::fs::read_to_string(log).unwrap();
        assert!(
            seen.contains("change 3")
                && seen.contains("change 4")
                && !seen.contains("change 0")
                && !seen.contains("change 5"),
            "{seen}"
        );
        assert!(!work_tree.exists());
        assert_eq!(git(&tree, &["worktree", "list"]).unwrap().lines().count(), 1);
        assert_eq!(git(&tree, &["log", "-1", "--format=%s"]).unwrap().trim(), "change 5");
    }

    #[test]
    fn a_commit_that_is_not_there_is_a_usage_error() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let tree = repository(folder.path(), &["a"]);
        let error = Bisection::start(&cache, &tree, Range::parse("v0..v9").unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("has no commit v9"), "{error}");
        assert!(matches!(error.downcast_ref(), Some(Stop::Usage(_))));
    }
}
