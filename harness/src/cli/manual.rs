//! `imalab completions` and `imalab man`: what other programs show of the command line.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::Failure;
use crate::report::Exit;
use imalab_files::atomic::{self, FileError};

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// Shell to print completions for
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManArgs {
    /// Directory to write the pages to, one a command
    #[arg(value_name = "DIR")]
    out: PathBuf,
}

/// Prints the completions of `command`.
pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    io::stdout().lock().write_all(&text).map_err(Failure::setup)?;
    Ok(Exit::Passed)
}

/// Writes a manual page for `command` and for each of its own.
pub(super) fn man(args: &ManArgs, command: Command) -> Result<Exit, Failure> {
    std::fs::create_dir_all(&args.out)
        .map_err(|error| Failure::of_file(FileError::new("create the folder", &args.out, error)))?;
    for (name, text) in pages(command) {
        atomic::write(&args.out.join(name), &text).map_err(Failure::of_file)?;
    }
    Ok(Exit::Passed)
}

/// Pages by file name, section 1.
fn pages(mut command: Command) -> Vec<(String, Vec<u8>)> {
    command.build();
    let mut pages = Vec::new();
    let mut left = vec![command];
    while let Some(command) = left.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let own = command.get_subcommands().filter(|own| !own.is_hide_set() && own.get_name() != "help");
        left.extend(own.cloned());
        let mut text = Vec::new();
        // Writing to memory cannot fail.
        let _ = clap_mangen::Man::new(command).render(&mut text);
        pages.push((format!("{name}.1"), text));
    }
    pages
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn each_command_has_a_page_with_its_options() {
        let pages = pages(super::super::Cli::command());
        let page = |name: &str| {
            let found = pages.iter().find(|(known, _)| known == name);
            String::from_utf8(found.unwrap_or_else(|| panic!("no page {name}")).1.clone()).unwrap()
        };
        assert!(page("imalab.1").contains("imalab\\-test(1)"));
        assert!(page("imalab-test.1").contains("\\-\\-rerun\\-failed"));
        assert!(page("imalab-bench-boot.1").contains(".SH OPTIONS"));
        assert!(!pages.iter().any(|(name, _)| name.contains("generate-log") || name.contains("help")));
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut super::super::Cli::command(), "imalab", &mut text);
            let text = String::from_utf8(text).unwrap();
            for command in
                super::super::Cli::command().get_subcommands().filter(|command| !command.is_hide_set())
            {
                assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
