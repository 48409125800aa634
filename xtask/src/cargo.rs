//! Calling cargo from within cargo.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use imalab_kernels::guard;
use imalab_kernels::process::Child;
use imalab_kernels::stop::Stop;

/// The cargo that runs us, in the checkout at `root`.
pub(crate) fn command(root: &Path) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = guard::command(&cargo);
    command.current_dir(root);
    command
}

/// The messages of `cargo build --message-format=json` that we look at; the rest is passed over.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
    /// Whether there was nothing to do.
    #[serde(default)]
    fresh: bool,
}

/// A program that cargo has built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether an earlier call has built it.
    pub(crate) fresh: bool,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

/// Runs a `cargo build` and gives the program `name` that it built.
///
/// # Errors
/// [`Stop::Child`] with cargo's code when it fails; it has then said why.
pub(crate) fn build(command: &mut Command, name: &str) -> Result<Built> {
    command.args(["--quiet", "--message-format=json-render-diagnostics"]);
    let mut child = Child::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = child.stdout().context("a child without standard output")?;
    let mut executable = None;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read cargo's output")?;
        executable = executable.or(executable_of(&line, name));
    }
    let status = child.end()?;
    if !status.success() {
        return Err(Stop::Child { what: format!("building {name}"), code: guard::exit_code(status) }.into());
    }
    executable.with_context(|| format!("cargo built no program called {name}"))
}

fn executable_of(line: &str, name: &str) -> Option<Built> {
    let message: Message = serde_json::from_str(line).ok()?;
    let ours = message.reason == "compiler-artifact" && message.target?.name == name;
    message.executable.filter(|_| ours).map(|path| Built { path, fresh: message.fresh })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::program(
        r#"{"reason":"compiler-artifact","target":{"name":"imalab"},"executable":"/t/imalab","fresh":true}"#,
        Some(("/t/imalab", true))
    )]
    #[case::library(r#"{"reason":"compiler-artifact","target":{"name":"imalab"},"executable":null}"#, None)]
    #[case::another(
        r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#,
        None
    )]
    #[case::another_reason(r#"{"reason":"build-finished","success":true}"#, None)]
    #[case::noise("warning: text", None)]
    fn the_program_is_found_among_messages(#[case] line: &str, #[case] expected: Option<(&str, bool)>) {
        let expected = expected.map(|(path, fresh)| Built { path: path.into(), fresh });
        assert_eq!(executable_of(line, "imalab"), expected);
    }
}
