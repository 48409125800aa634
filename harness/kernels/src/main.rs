//! `imalab-kernels`: kernels by name, without the front door.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use imalab_kernels::say::say;
use imalab_kernels::{checkout, cli, guard, interrupt, stop};

/// List, build and find kernels
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    #[command(flatten)]
    Kernel(cli::Action),
    #[command(name = guard::NAME, hide = true)]
    Guard(guard::Args),
}

fn main() -> ExitCode {
    guard::enable();
    let task = match Cli::try_parse() {
        Ok(cli) => cli.task,
        Err(error) if error.use_stderr() => {
            // Arguments may be names that somebody else chose.
            say!("{}", error.render().to_string().trim_end());
            return ExitCode::from(stop::USAGE);
        }
        Err(help) => help.exit(),
    };
    let done = match task {
        Task::Guard(args) => guard::run(&args),
        Task::Kernel(action) => kernel(action).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| stop::report(&error))
}

fn kernel(action: cli::Action) -> Result<()> {
    interrupt::listen()?;
    cli::run(action, &checkout::root()?)
}
