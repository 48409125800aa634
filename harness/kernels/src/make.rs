//! Calling kbuild, the same way every time.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::guard;
use crate::process;
use crate::say::{printable, say};
use crate::stop::Stop;

/// Arguments of every `make`; part of a build's key.
pub(crate) const ARGUMENTS: &[&str] = &["ARCH=x86_64"];

/// Variables of every `make`; part of a build's key. With them the same source gives the same bytes.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("LC_ALL", "C"),
    ("KBUILD_BUILD_USER", "imalab"),
    ("KBUILD_BUILD_HOST", "imalab"),
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// Variables of ours that a build sees too; they do not change what comes out.
const PASSED_ON: &[&str] = &["PATH", "HOME", "TMPDIR"];

/// Names the folder of tools that the front door has unpacked into the cache and put on our paths, if it has.
pub const TOOLBOX: &str = "IMALAB_TOOLS";
/// Variables by which those tools are found; a build sees them only when [`TOOLBOX`] is set.
const OF_TOOLBOX: &[&str] =
    &["LD_LIBRARY_PATH", "LIBRARY_PATH", "C_INCLUDE_PATH", "PKG_CONFIG_PATH", "M4", "BISON_PKGDATADIR"];

/// The caller's variables that a build sees, with those of the unpacked tools where they are in use.
fn passed_on(toolbox: bool) -> impl Iterator<Item = &'static str> {
    PASSED_ON.iter().chain(OF_TOOLBOX.iter().filter(move |_| toolbox)).copied()
}

/// A `make` in the source tree `tree`, with its output in `objects` when that is another folder.
pub(crate) fn command(tree: &Path, objects: Option<&Path>) -> Command {
    let mut command = guard::command("make");
    // Nothing of the caller's: a stray KCFLAGS or CROSS_COMPILE would build something else under our key.
    command.env_clear().envs(ENVIRONMENT.iter().copied());
    let passed_on = passed_on(std::env::var_os(TOOLBOX).is_some());
    command.envs(passed_on.filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.arg("-C").arg(tree).args(ARGUMENTS);
    if let Some(objects) = objects {
        command.arg(format!("O={}", objects.display()));
    }
    command
}

/// The most lines of a build's output that a message has, and the most letters of each.
const SHOWN: usize = 100;
const WIDTH: usize = 1000;

/// What a `make` did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// Files compiled.
    pub(crate) objects: u64,
    /// How long it took.
    pub(crate) time: Duration,
}

/// Runs `command` of [`command`] and shows what it is at; `expected` is how many files it may compile.
///
/// # Errors
/// With the compiler's own messages when it fails.
pub(crate) fn run(command: &mut Command, title: &str, expected: Option<u64>, log: &Path) -> Result<Done> {
    let started = Instant::now();
    let progress = Progress::start(title, expected);
    let mut complaints: Vec<String> = Vec::new();
    let mut objects = 0;
    let status = process::run_logged(command, log, |line| {
        if line.starts_with("  CC ") || line.starts_with("  AS ") {
            objects += 1;
            progress.compiled(objects);
        } else if complaints.len() < SHOWN && is_complaint(line) {
            complaints.push(line.chars().take(WIDTH).collect());
        }
    })?;
    drop(progress);
    if !status.success() {
        let compiler = complaints.iter().any(|line| is_compilers(line));
        let shown = if complaints.is_empty() { last_lines(log) } else { complaints };
        let text =
            format!("{title}: make failed\n  {}\nthe whole log is {}", shown.join("\n  "), log.display());
        return Err(Failed { text, compiler }.into());
    }
    Ok(Done { objects, time: started.elapsed() })
}

/// A build that failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failed {
    text: String,
    /// Whether it is the source that does not compile or link.
    compiler: bool,
}

/// Makes the user's mistake out of an `error` of the source when that is the user's.
pub(crate) fn blame(error: anyhow::Error, users: bool) -> anyhow::Error {
    match error.downcast_ref::<Failed>() {
        Some(Failed { text, compiler: true }) if users => Stop::Unbuildable(text.clone()).into(),
        _ => error,
    }
}

/// Whether the source is at fault: `FILE:LINE:COLUMN: error: …` of gcc(1), or ld(1) that misses a symbol. A compiler that
/// has no room or no memory says other things.
fn is_compilers(line: &str) -> bool {
    let of_a_line = line.split_once(": error:").is_some_and(|(place, _)| {
        place.rsplit(':').next().is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    of_a_line && !line.contains("No space left") || line.contains("undefined reference")
}

/// Whether a line of a build's output says why the build failed.
fn is_complaint(line: &str) -> bool {
    ["error:", "Error ", "***", "undefined reference", "not found"].iter().any(|mark| line.contains(mark))
        && !line.starts_with("  ")
}

fn last_lines(log: &Path) -> Vec<String> {
    const LAST: usize = 15;
    let text = std::fs::read(log).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(LAST * WIDTH)..];
    let lines: Vec<String> = String::from_utf8_lossy(tail).lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(LAST)..].to_vec()
}

/// A moving line on a terminal; elsewhere a plain line now and then.
struct Progress {
    bar: ProgressBar,
    title: String,
    expected: Option<u64>,
}

/// Without a terminal, a line is printed every so many files.
const PLAIN_STEP: u64 = 250;

impl Progress {
    fn start(title: &str, expected: Option<u64>) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        bar.set_message(printable(title).into_owned());
        if bar.is_hidden() {
            say!("{title}");
        } else {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, title: printable(title).into_owned(), expected }
    }

    fn compiled(&self, objects: u64) {
        let of = self.expected.map(|expected| format!(" of about {expected}")).unwrap_or_default();
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{}: {objects}{of} files", self.title));
        } else if objects.is_multiple_of(PLAIN_STEP) {
            say!("{}: {objects}{of} files", self.title);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("security/integrity/ima/ima_fs.c:12:3: error: expected ';'", true)]
    #[case("make[3]: *** [scripts/Makefile.build:289: ima_fs.o] Error 1", true)]
    #[case("ld: ima_fs.o: undefined reference to `ima_stage'", true)]
    #[case("/bin/sh: 1: flex: not found", true)]
    #[case("  CC      lib/errname.o", false)]
    #[case("  CC      lib/error: odd name.o", false)]
    fn complaints(#[case] line: &str, #[case] expected: bool) {
        assert_eq!(is_complaint(line), expected);
    }

    #[test]
    fn nothing_of_the_callers_environment_reaches_a_build() {
        assert_eq!(passed_on(false).collect::<Vec<_>>(), ["PATH", "HOME", "TMPDIR"]);
        let command = command(Path::new("/tree"), None);
        let names: Vec<&str> = command.get_envs().filter_map(|(name, _)| name.to_str()).collect();
        let toolbox = std::env::var_os(TOOLBOX).is_some();
        let known = |name: &&str| {
            passed_on(toolbox).any(|known| known == *name)
                || ENVIRONMENT.iter().any(|(known, _)| known == name)
        };
        assert!(names.iter().all(known), "{names:?}");
    }
}
