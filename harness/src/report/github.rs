//! Results for GitHub: a job's summary in its Markdown, and annotations.
//!
//! Job summaries: <https://docs.github.com/en/actions/writing-workflows/choosing-what-your-workflow-does/workflow-commands-for-github-actions>

use std::fmt::Write as _;
use std::io::{self, Write};

use super::run_text;
use super::skips::Skips;
use super::tally::{Tally, plural};
use super::terminal::{seconds, word};
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};

/// The variable with the path of the file that a job's summary is taken from.
pub const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Most annotations of a kind that GitHub shows of a step.
const ANNOTATIONS: usize = 10;
/// Most runs that the summary tells of one by one: it may have 1 MiB.
const SHOWN: usize = 200;
/// Most characters of a reason.
const REASON: usize = 600;

/// Writes the summary: the numbers, then each run that failed with its reason and how to see it again.
///
/// # Errors
/// Those of the writer.
pub(super) fn summary(suite: &SuiteResult, out: &mut dyn Write) -> io::Result<()> {
    let tally = Tally::of(suite);
    writeln!(out, "## imalab: {}\n", markdown(&tally.to_string()))?;
    writeln!(out, "{} in {}\n", plural(tally.total(), "run", "runs"), seconds(suite.wall_ms))?;
    let failed: Vec<&RunResult> = suite.runs.iter().filter(|run| is_told(run.outcome)).collect();
    if !failed.is_empty() {
        writeln!(out, "| run | outcome | why | again |\n| --- | --- | --- | --- |")?;
        for run in failed.iter().take(SHOWN) {
            let again = run.repro.as_ref().map_or_else(String::new, |repro| code(repro));
            writeln!(
                out,
                "| {} | {} | {} | {again} |",
                markdown(&RunId::of(run).to_string()),
                word(run.outcome),
                markdown(&imalab_print::shortened(&run_text::reason(run), REASON)),
            )?;
        }
        if failed.len() > SHOWN {
            writeln!(out, "\nand {} more", failed.len() - SHOWN)?;
        }
        writeln!(out)?;
    }
    let skips = Skips::of(suite);
    if !skips.by_reason.is_empty() {
        writeln!(out, "<details><summary>{} skipped</summary>\n", tally.skipped())?;
        for (reason, count) in &skips.by_reason {
            writeln!(out, "- {count}: {}", markdown(reason))?;
        }
        writeln!(out, "\n</details>")?;
    }
    Ok(())
}

/// A command for each run that failed, as far as GitHub shows them.
pub(super) fn annotations(suite: &SuiteResult) -> Vec<String> {
    let of = |level: &'static str, wanted: fn(Outcome) -> bool| {
        let runs = suite.runs.iter().filter(move |run| wanted(run.outcome)).take(ANNOTATIONS);
        runs.map(move |run| {
            let title = format!("{}: {}", RunId::of(run), word(run.outcome));
            format!("::{level} title={}::{}", property(&title), data(&run_text::reason(run)))
        })
    };
    of("error", |outcome| outcome.is_failure() && outcome != Outcome::Infra)
        .chain(of("warning", |outcome| outcome == Outcome::Infra))
        .collect()
}

fn is_told(outcome: Outcome) -> bool {
    outcome.is_failure() || outcome == Outcome::Infra
}

/// Text in Markdown, where nothing of it means anything.
fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in imalab_print::printable(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // A reference by number is no mark.
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '!' | '~' | '@' => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "&#{};", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A command that can be copied.
fn code(text: &str) -> String {
    format!("<code>{}</code>", markdown(text))
}

/// The value of a workflow command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fake_result;

    fn suite(runs: Vec<RunResult>) -> SuiteResult {
        SuiteResult { runs, ..SuiteResult::default() }
    }

    fn text(suite: &SuiteResult) -> String {
        let mut out = Vec::new();
        summary(suite, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_failed_is_told_and_means_nothing_else() {
        let mut run = fake_result(0);
        run.scenario = "a|b/<x>*`@team`\n::error::y".into();
        run.repro = Some("cargo xtask repro 'a b'".into());
        let suite = suite(vec![run, RunResult { outcome: Outcome::Passed, reason: None, ..fake_result(1) }]);
        let told = text(&suite);
        let row =
            told.lines().find(|line| line.starts_with("| a&#124;b/&lt;x&gt;&#42;&#96;&#64;team")).unwrap();
        assert_eq!(row.matches(" | ").count(), 3, "{row}");
        assert!(row.ends_with("| <code>cargo xtask repro 'a b'</code> |"), "{row}");
        assert!(!told.contains("stage/once") && !told.contains("details"), "{told}");
        let commands = annotations(&suite);
        assert_eq!(commands.len(), 1);
        assert!(commands[0].starts_with("::error title=a|b/<x>*`@team`%0A%3A%3Aerror"), "{commands:?}");
        assert_eq!(commands[0].lines().count(), 1);
    }

    #[test]
    fn no_more_than_github_shows() {
        let infra = RunResult { outcome: Outcome::Infra, ..fake_result(0) };
        let runs = (0..300).map(fake_result).chain(std::iter::repeat_n(infra, 20)).collect();
        let suite = suite(runs);
        let levels: Vec<String> =
            annotations(&suite).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(levels.iter().filter(|level| *level == "::error").count(), ANNOTATIONS);
        assert_eq!(levels.len(), 2 * ANNOTATIONS);
        assert!(text(&suite).contains("\nand 120 more\n"));
    }
}
