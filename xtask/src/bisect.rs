//! `cargo xtask test --tree DIR --bisect GOOD..BAD SCENARIO`: finds the commit since which a scenario fails.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use imalab_kernels::bisect::{Bisection, Range, Verdict};
use imalab_kernels::cache::Cache;
use imalab_kernels::say::say;
use imalab_kernels::stop::{self, Stop};
use imalab_kernels::{Kernels, checkout, guard, interrupt, process, results};

use crate::doctor::{self, Use};
use crate::flags::{Split, split};
use crate::harness::{self, Needs, Profile};

/// The hidden subcommand that tells git what one commit is.
pub(crate) const STEP: &str = "bisect-step";

/// Runs the bisection that `arguments` ask for; `None` when they ask for none.
pub(crate) fn run(root: &Path, arguments: &[OsString]) -> Result<Option<()>> {
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let split = split(arguments.to_vec(), |name| kernels.has(name))?;
    let Some(range) = &split.bisect else { return Ok(None) };
    let range = Range::parse(range)?;
    let tree = tree_of(&split)?;
    doctor::ensure(split.yes, Use::ALL)?;
    // Not within the first step: a harness that does not build is no commit's fault.
    harness::build(root, Profile::Dev)?;
    let bisection = Bisection::start(&cache, tree, range)?;
    let mut step = vec![
        std::env::current_exe().context("cannot find this program")?.into(),
        STEP.into(),
        "--tree".into(),
        bisection.work_tree().into(),
    ];
    for symbol in &split.choice.over.kconfig {
        step.extend(["--kconfig".into(), symbol.into()]);
    }
    step.extend(split.rest);
    bisection.run(&step)?;
    Ok(Some(()))
}

/// Builds the commit that is checked out, runs the scenario, and says what git is to make of it.
pub(crate) fn step(arguments: Vec<OsString>) -> ExitCode {
    let judged = interrupt::listen().and_then(|()| judge(&checkout::root()?, arguments));
    let verdict = judged.unwrap_or_else(|error| {
        // Its own exit code would mean something else to git.
        stop::report(&error);
        Verdict::Abort
    });
    ExitCode::from(verdict.exit_code())
}

fn judge(root: &Path, arguments: Vec<OsString>) -> Result<Verdict> {
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let split = split(arguments, |name| kernels.has(name))?;
    let inputs = match harness::inputs(root, &cache, &kernels, &split, Needs::Suite) {
        Ok(inputs) => inputs,
        // A commit that does not compile, or that lacks a symbol; with anything else the next one would not be built either.
        Err(error) if error.is::<Stop>() && !unbuildable(&error) => return Err(error),
        Err(error) => {
            say!("skipping this commit: {error:#}");
            return Ok(Verdict::Skip);
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
        100 | 101 if !own => Verdict::of_runs(&results::read(&path)?),
        _ => Verdict::of_exit_code(code),
    })
}

fn unbuildable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Stop::Unbuildable(_)))
}

fn tree_of(split: &Split) -> Result<&PathBuf, Stop> {
    match &split.choice.tree {
        Some(tree) if split.choice.over.series.is_empty() && !split.choice.keep_config => Ok(tree),
        _ => {
            let message = "--bisect goes with --tree, and neither with --series nor with --keep-config";
            Err(Stop::Usage(message.into()))
        }
    }
}
