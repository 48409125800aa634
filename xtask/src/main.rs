//! The front door of imalab: brings the tools, builds kernels and images, then calls the harness.

mod bisect;
mod cargo;
mod check;
mod doctor;
mod flags;
mod harness;
mod image;
mod matrix;
mod sabotage;

use std::convert::Infallible;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use imalab_kernels::{cache, checkout, cli as kernel, guard, interrupt, keep, say, stop};

use harness::{Needs, Profile};

/// Boot real Linux kernels with an emulated TPM and prove that IMA's measurement list loses no record
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

const EXIT_CODES: &str = "Exit codes: 0 all passed; 100 a scenario failed or timed out; 101 a guest kernel died; 96 set-up or \
infrastructure failed (may be retried); 4 nothing ran, or not everything was compared; 2 usage, scenario or input error, and what \
does not build; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Task {
    /// List missing tools; install them with --yes
    Doctor(doctor::Args),
    /// List, build and find kernels
    #[command(subcommand)]
    Kernel(kernel::Action),
    /// List the contents of the cache, and free space in it
    #[command(subcommand)]
    Cache(keep::Action),
    /// Build the guest's initramfs and print its path
    Image,
    /// Run scenarios and check the results
    Test(Passed),
    /// List the scenarios
    List(Passed),
    /// Open a console in a guest
    Shell(Passed),
    /// Re-run a failed run from its bundle
    Repro(Passed),
    /// Reduce a failed run to the preemptions that it needs
    Shrink(Passed),
    /// Run generated programs under many schedules
    Explore(Passed),
    /// Re-check the stored trace of a run
    Recheck(Passed),
    /// Merge the results of a partitioned suite
    Merge(Passed),
    /// Compare two results: list what is worse, lost or better
    Diff(Passed),
    /// Benchmark imalab, and the kernel interfaces
    Bench(Passed),
    /// Show which accelerator is used, and why
    Accel(Passed),
    /// Verify a measurement list offline
    Verify(Passed),
    /// Inject known defects into kernels and check that the suite finds them
    Sabotage(sabotage::Args),
    /// Write the CI workflow that runs the suite on every kernel
    Matrix(matrix::Args),
    /// Run every check that a change must pass
    Check(check::Args),
    #[command(name = guard::NAME, hide = true)]
    Guard(guard::Args),
    #[command(name = bisect::STEP, hide = true)]
    BisectStep(Passed),
}

/// Arguments that go to the harness, ours among them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
struct Passed {
    /// Arguments of the harness; `--help` shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    guard::enable();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // Arguments may be names that somebody else chose.
            say::say!("{}", error.render().to_string().trim_end());
            return ExitCode::from(stop::USAGE);
        }
        Err(help) => help.exit(),
    };
    let done = match cli.task {
        Task::Guard(args) => guard::run(&args),
        Task::BisectStep(passed) => Ok(bisect::step(passed.arguments)),
        task => run(task).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| stop::report(&error))
}

fn run(task: Task) -> Result<()> {
    doctor::enter_toolbox()?;
    interrupt::listen()?;
    let root = checkout::root()?;
    let become_harness = |name, passed: Passed, needs, profile| -> Result<Infallible> {
        harness::exec(&root, name, passed.arguments, needs, profile)
    };
    let never = match task {
        Task::Doctor(args) => return doctor::run(&args, &root),
        Task::Kernel(action) => return kernel::run(action, &root),
        Task::Cache(action) => return keep::run(&action, &cache::Cache::open()?),
        Task::Check(args) => return check::run(&args, &root),
        Task::Matrix(args) => return matrix::run(&args, &root),
        Task::Sabotage(args) => return sabotage::run(&args, &root),
        Task::Image => {
            println!("{}", image::ensure(&root, &cache::Cache::open()?)?.display());
            return Ok(());
        }
        Task::Test(passed) if bisect::run(&root, &passed.arguments)?.is_some() => return Ok(()),
        Task::Test(passed) => become_harness("test", passed, Needs::Suite, Profile::Dev)?,
        Task::Shell(passed) => become_harness("shell", passed, Needs::Machine, Profile::Dev)?,
        Task::Repro(passed) => become_harness("repro", passed, Needs::Bundle, Profile::Dev)?,
        Task::Shrink(passed) => become_harness("shrink", passed, Needs::Surroundings, Profile::Dev)?,
        Task::Explore(passed) => become_harness("explore", passed, Needs::Bench, Profile::Dev)?,
        Task::Recheck(passed) => become_harness("recheck", passed, Needs::Nothing, Profile::Dev)?,
        Task::Merge(passed) => become_harness("merge", passed, Needs::Nothing, Profile::Dev)?,
        Task::Diff(passed) => become_harness("diff", passed, Needs::Nothing, Profile::Dev)?,
        Task::Bench(passed) => become_harness("bench", passed, Needs::Bench, Profile::Release)?,
        Task::List(passed) => become_harness("list", passed, Needs::Scenarios, Profile::Dev)?,
        Task::Accel(passed) => become_harness("accel", passed, Needs::Surroundings, Profile::Dev)?,
        Task::Verify(passed) => harness::exec_verify(&root, passed.arguments)?,
        Task::Guard(_) | Task::BisectStep(_) => return Ok(()),
    };
    match never {}
}
