//! `logkeeper`: the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use imalab_logkeeper::{Config, Problem, ViewError};

mod commands;
mod run;
mod show;

/// Keeps the measurement log of IMA: takes records out of the kernel, keeps them on disk, and loses none.
#[derive(Parser)]
#[command(name = "logkeeper", version)]
struct Arguments {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/logkeeper/config.toml")]
    config: PathBuf,
    /// Read the configuration, say what is wrong with it, and end.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Take records out of the kernel, until SIGTERM comes. SIGUSR1: take them now.
    Run,
    /// Write the whole log: shards, then what the kernel holds.
    Cat(commands::Cat),
    /// Say what there is, as `key=value`.
    Status,
    /// Read all shards and replay the whole log against the TPM.
    Verify,
    /// Show the whole log in place of the kernel's files, until SIGTERM comes.
    View(show::View),
    /// Print rules for a policy of IMA, so that keeping records makes none.
    Policy,
}

/// The configuration or the machine is not as it should be: nothing was done.
const UNUSABLE: u8 = 2;

/// Shards are missing or damaged, or the TPM says something else.
const DAMAGED: u8 = 3;

/// The process that answers for the view cannot go on, and another one can with a new file system.
const DISCONNECTED: u8 = imalab_logkeeper::DISCONNECTED;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Policy) = arguments.command {
        print!("{}", imalab_logkeeper::RULES);
        return ExitCode::SUCCESS;
    }
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("logkeeper: {error}");
            return ExitCode::from(UNUSABLE);
        }
    };
    if arguments.check {
        println!("{}: ok", arguments.config.display());
        return ExitCode::SUCCESS;
    }
    let done = match arguments.command {
        Some(Command::Run) => run::run(&config),
        Some(Command::Cat(cat)) => cat.run(&config),
        Some(Command::Status) => commands::status(&config),
        Some(Command::View(view)) => view.run(&arguments.config, &config),
        Some(Command::Verify) => commands::verify(&config),
        Some(Command::Policy) | None => {
            eprintln!("logkeeper: expected a command (see `logkeeper --help`)");
            return ExitCode::from(UNUSABLE);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("logkeeper: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Machine(#[from] imalab_logkeeper::MachineError),
    #[error(transparent)]
    Kernel(#[from] imalab_logkeeper::NotOffered),
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error("cannot look into the folder of the measurement lists: {}", .0.desc())]
    Lists(nix::errno::Errno),
    #[error("cannot read the log: {0}")]
    Log(std::io::Error),
    #[error("the TPM's PCR {0} is not what the log replays to")]
    OtherPcr(u32),
    #[error("cannot hold the log against PCR {0}: there is no TPM that it can be read of")]
    NoPcr(u32),
    #[error("cannot set up signals: {0}")]
    Signals(std::io::Error),
    #[error("view: {0}")]
    View(#[from] imalab_logkeeper::ViewError),
    #[error("view: the file system has ended")]
    Disconnected,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Problem(Problem::Untrusted { .. }) => UNUSABLE,
            Failure::Problem(problem) if !problem.passes() => DAMAGED,
            Failure::OtherPcr(_) => DAMAGED,
            Failure::Machine(_) | Failure::Kernel(_) | Failure::Lists(_) => UNUSABLE,
            Failure::View(
                ViewError::Machine(_) | ViewError::Kernel(_) | ViewError::NotAlone(_) | ViewError::Another,
            ) => UNUSABLE,
            Failure::View(ViewError::Problem(problem)) if !problem.passes() => DAMAGED,
            Failure::View(ViewError::Ended(code)) => *code,
            Failure::View(_) => 1,
            Failure::Disconnected => DISCONNECTED,
            Failure::Problem(_) | Failure::Log(_) | Failure::Signals(_) | Failure::NoPcr(_) => 1,
        }
    }
}
