//! The `imalab` command: arguments, and the calls they mean.

mod accel;
mod added;
mod again;
mod bench;
mod bring;
mod capabilities;
mod debugger;
mod demands;
mod diff;
mod explore;
mod kernels;
mod lane;
mod language;
mod machines;
mod manual;
mod merge;
mod recheck;
mod reports;
mod repro;
mod rerun;
mod selection;
mod shell;
mod shrink;
mod test;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::report::json::ReadError;
use crate::report::{self, Exit, FilesError};
use imalab_files::atomic::FileError;
use imalab_kernels::guard;
use imalab_print::{front, plain};

/// Boot real Linux kernels with an emulated TPM and prove that IMA's measurement list loses no record
#[derive(Parser)]
#[command(name = "imalab", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One code for each thing that a CI must tell apart.
const EXIT_CODES: &str = "Exit codes: 0 all passed; 100 a scenario failed or timed out; 101 a guest kernel died; \
96 set-up or infrastructure failed (may be retried); 4 nothing ran; 2 usage, scenario or input error; 130 interrupted.";

/// Calls that people make, by the name that they call this program.
fn examples() -> String {
    let front = front();
    format!(
        "Examples:
  Run some scenarios, 20 times each:  {front} test stage 'trim/*' --repeat 20
  On kernels by name:                 {front} test --kernel mainline,6.12+rfc-v2
  Stop at the first failure:          {front} test --fail-fast
  Run again what failed:              {front} test --out DIR; {front} test --rerun-failed DIR
  Follow along in another program:    {front} test --json-lines - | jq 'select(.event == \"run-ended\")'"
    )
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios and check the results
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", examples()))]
    Test(Box<test::TestArgs>),
    /// List scenarios
    List(selection::ListArgs),
    /// List the capabilities a kernel can offer, and what each needs
    Capabilities(capabilities::CapabilitiesArgs),
    /// Print the reference of the scenario language, or its JSON Schema
    Language(language::LanguageArgs),
    /// List, build and find kernels
    #[command(subcommand)]
    Kernel(imalab_kernels::cli::Action),
    /// List the contents of the cache, and free space in it
    #[command(subcommand)]
    Cache(imalab_kernels::keep::Action),
    /// Print the path of the guest's initramfs
    Image,
    /// Open a console in a guest
    Shell(shell::ShellArgs),
    /// Re-run a failed run from its bundle
    #[command(after_help = EXIT_CODES)]
    Repro(repro::ReproArgs),
    /// Reduce a failed run to the preemptions that it needs (deterministic lane)
    Shrink(shrink::ShrinkArgs),
    /// Run generated programs under many schedules, and keep those that break an invariant (deterministic lane)
    Explore(Box<explore::ExploreArgs>),
    /// Merge the results of a partitioned suite
    Merge(merge::MergeArgs),
    /// Compare two results: list what is worse, lost or better (exit 100 if anything is worse, 4 if anything is lost)
    Diff(diff::DiffArgs),
    /// Re-check the stored trace of a run
    Recheck(recheck::RecheckArgs),
    /// Verify a measurement list offline, against PCR values or a quote
    Verify(imalab_verify::VerifyArgs),
    /// Benchmark imalab, and the kernel interfaces
    Bench(bench::BenchArgs),
    /// Generate a measurement list and its PCR values
    #[command(hide = true)]
    GenerateLog(imalab_verify::GenerateLogArgs),
    /// Show which accelerator is used, and why
    Accel(accel::AccelArgs),
    /// Print shell completions
    Completions(manual::CompletionsArgs),
    /// Write manual pages
    Man(manual::ManArgs),
    #[command(name = guard::NAME, hide = true)]
    Guard(guard::Args),
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    report::print::panics();
    guard::enable();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            return ExitCode::from(report::print::arguments(&error).code());
        }
    };
    let done = match cli.command {
        Command::Test(args) => test::test(&args),
        Command::List(args) => selection::list(&args),
        Command::Capabilities(args) => capabilities::capabilities(&args),
        Command::Language(args) => language::language(&args),
        Command::Kernel(action) => kernels::act(action),
        Command::Cache(action) => kernels::keep(&action),
        Command::Image => machines::print_image(),
        Command::Shell(args) => shell::shell(&args),
        Command::Repro(args) => repro::repro(&args),
        Command::Shrink(args) => shrink::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Recheck(args) => recheck::recheck(&args),
        Command::Verify(args) => return ExitCode::from(imalab_verify::command(&args)),
        Command::Bench(args) => bench::bench(&args),
        Command::GenerateLog(args) => bench::generate_log(&args),
        Command::Accel(args) => accel::accel(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
        Command::Guard(args) => {
            return guard::run(&args).unwrap_or_else(|error| imalab_kernels::stop::report(&error));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command's help, as `--help` prints it on a screen of 100 columns.
    #[test]
    fn help() {
        let mut text = String::new();
        let mut commands = vec![("imalab".to_owned(), Cli::command().term_width(100))];
        while let Some((name, mut command)) = commands.pop() {
            command.build();
            let help = command.render_long_help().to_string();
            let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
            text.push_str(&format!("### {name}\n\n{}\n\n", lines.join("\n").trim_end()));
            let mut subcommands: Vec<_> = command
                .get_subcommands()
                .filter(|sub| sub.get_name() != "help")
                .map(|sub| (format!("{name} {}", sub.get_name()), sub.clone().term_width(100)))
                .collect();
            subcommands.reverse();
            commands.append(&mut subcommands);
        }
        insta::assert_snapshot!(text);
    }
}
