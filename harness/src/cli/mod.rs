//! The `imalab` command: arguments, and the calls they mean.

mod accel;
mod bench;
mod capabilities;
mod demands;
mod language;
mod machines;
mod merge;
mod recheck;
mod reports;
mod repro;
mod shell;
mod test;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::json::ReadError;
use crate::report::{self, Exit, FilesError};
use imalab_files::atomic::FileError;

/// Proves from outside of the guest that IMA's measurement list lost, doubled and reordered nothing.
#[derive(Parser)]
#[command(name = "imalab", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// DESIGN of the results: one code for what a CI must tell apart.
const EXIT_CODES: &str = "Exit codes: 0 all passed; 100 a scenario failed or timed out; 101 a guest's kernel died; \
96 set-up or infrastructure failed (may be retried); 4 nothing ran; 2 usage, scenario or input error; 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Runs scenarios and proves what they claim
    Test(Box<test::TestArgs>),
    /// Lists scenarios
    List(test::ListArgs),
    /// Lists what a kernel can offer, and what would make one offer it
    Capabilities(capabilities::CapabilitiesArgs),
    /// Writes the reference of the scenario language, or its schema for editors
    Language(language::LanguageArgs),
    /// Opens a console in a guest
    Shell(shell::ShellArgs),
    /// Shows a bundle's failure again
    Repro(repro::ReproArgs),
    /// Puts the results of the parts of a suite together
    Merge(merge::MergeArgs),
    /// Judges the stored trace of a run again
    Recheck(recheck::RecheckArgs),
    /// Verifies a measurement list offline, against PCR values or a quote
    Verify(imalab_verify::VerifyArgs),
    /// Measures imalab beside what it is compared with
    Bench(bench::BenchArgs),
    /// Makes a measurement list and the PCR values it leads to
    #[command(hide = true)]
    GenerateLog(imalab_verify::GenerateLogArgs),
    /// Probes the accelerator by running guest code
    Accel(accel::AccelArgs),
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    report::say::panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            return ExitCode::from(report::say::arguments(&error).code());
        }
    };
    let done = match cli.command {
        Command::Test(args) => test::test(&args),
        Command::List(args) => test::list(&args),
        Command::Capabilities(args) => capabilities::capabilities(&args),
        Command::Language(args) => language::language(&args),
        Command::Shell(args) => shell::shell(&args),
        Command::Repro(args) => repro::repro(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Recheck(args) => recheck::recheck(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::GenerateLog(args) => bench::generate_log(&args),
        Command::Accel(args) => accel::accel(&args),
    };
    ExitCode::from(done.unwrap_or_else(|failure| report::fail(failure.exit, &failure.error)).code())
}

/// Why a command could not do its work.
struct Failure {
    exit: Exit,
    error: miette::Report,
}

impl Failure {
    /// Something the user said is wrong.
    fn usage(error: impl Into<miette::Report>) -> Failure {
        Failure { exit: Exit::Usage, error: error.into() }
    }

    /// As [`Failure::usage`], of any error.
    fn usage_of<E: std::error::Error + Send + Sync + 'static>(error: E) -> Failure {
        Failure { exit: Exit::Usage, error: plain(error) }
    }

    /// A path that the user gave, or the place behind it: whichever is to blame.
    fn of_file(error: FileError) -> Failure {
        let exit = if error.is_users() { Exit::Usage } else { Exit::Infra };
        Failure { exit, error: error.into() }
    }

    /// As [`Failure::of_file`], of a document.
    fn of_document(error: ReadError) -> Failure {
        match error {
            ReadError::File(error) => Failure::of_file(error),
            error => Failure::usage(error),
        }
    }

    /// As [`Failure::of_file`], of reports.
    fn of_reports(error: FilesError) -> Failure {
        match error {
            FilesError::File(error) => Failure::of_file(error),
            error => Failure::usage(error),
        }
    }

    /// The surroundings failed.
    fn setup<E: std::error::Error + Send + Sync + 'static>(error: E) -> Failure {
        Failure { exit: Exit::Infra, error: plain(error) }
    }
}

fn plain<E: std::error::Error + Send + Sync + 'static>(error: E) -> miette::Report {
    miette::Report::new(Plain(error))
}

/// An error that has nothing to show but its words and its causes.
#[derive(Debug)]
struct Plain<E>(E);

impl<E: std::fmt::Display> std::fmt::Display for Plain<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: std::error::Error> std::error::Error for Plain<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl<E: std::error::Error> miette::Diagnostic for Plain<E> {}
