//! Which scenarios a command means, and `imalab list`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use miette::miette;

use super::Failure;
use super::machines;
use crate::carried;
use crate::report::list::{self, ScenarioEntry};
use crate::report::terminal::Look;
use crate::report::{self, Exit, print};
use imalab_language::scenario::{self, Scenario};

/// Errors of scenarios that are told at once.
const SHOWN: usize = 20;

/// Which scenarios.
#[derive(Args)]
#[command(next_help_heading = "Scenarios")]
pub(super) struct Selection {
    /// Scenarios: part of a name, or a pattern with `*` (default: all). A scenario that is `only-when-named` needs its full
    /// name
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Leave out scenarios that match PATTERN (repeatable)
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Directory of scenarios (default: those of the current checkout, else the built-in ones)
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Selection {
    /// Those to be listed: without a pattern also those that have to be named to be run.
    pub(super) fn listed(&self) -> Result<Vec<Scenario>, Failure> {
        self.chosen(true)
    }

    /// Those to be run.
    pub(super) fn load(&self) -> Result<Vec<Scenario>, Failure> {
        self.chosen(false)
    }

    fn chosen(&self, unnamed: bool) -> Result<Vec<Scenario>, Failure> {
        let all = self.load_all()?;
        for pattern in &self.patterns {
            let taken = all.iter().any(|scenario| takes(pattern, scenario));
            let other = all.iter().find(|scenario| matches(pattern, &scenario.id));
            if !taken {
                return Err(no_match(pattern, other));
            }
        }
        for pattern in &self.exclude {
            if !all.iter().any(|scenario| matches(pattern, &scenario.id)) {
                return Err(no_match(pattern, None));
            }
        }
        Ok(all.into_iter().filter(|scenario| self.wants(scenario, unnamed)).collect())
    }

    /// The directory of scenarios.
    pub(super) fn folder(&self) -> Result<PathBuf, Failure> {
        folder(self.scenarios.as_deref())
    }

    pub(super) fn load_all(&self) -> Result<Vec<Scenario>, Failure> {
        scenario::load_all(&self.folder()?).map_err(|errors| {
            let count = errors.len();
            let mut reports = errors.into_iter().map(miette::Report::new);
            // All but the last are told here, so that everything can be mended at once.
            let last = reports.next_back();
            for report in reports.by_ref().take(SHOWN - 1) {
                report::fail(Exit::Usage, &report);
            }
            if count > SHOWN {
                print::note(&format!("and {} more like these; the last of them:", count - SHOWN));
            }
            Failure::usage(last.unwrap_or_else(|| miette!("{count} scenarios could not be read")))
        })
    }

    /// Whether a scenario is to be taken; `unnamed`: also where it has to be named and nobody names any.
    fn wants(&self, scenario: &Scenario, unnamed: bool) -> bool {
        let asked = match self.patterns.as_slice() {
            [] => unnamed || !scenario.only_when_named,
            patterns => patterns.iter().any(|pattern| takes(pattern, scenario)),
        };
        asked && !self.exclude.iter().any(|pattern| matches(pattern, &scenario.id))
    }
}

/// The directory of scenarios: the one that is given, or that of the checkout that this is in, or what imalab carries.
pub(super) fn folder(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    let home = carried::home(&machines::cache()).map_err(|error| Failure::of_kernels(&error))?;
    Ok(home.join(carried::SCENARIOS))
}

/// A pattern for nothing, or for what runs only by its full name.
fn no_match(pattern: &str, other: Option<&Scenario>) -> Failure {
    let help = match other {
        None => "`list` shows their names".to_owned(),
        Some(other) => format!("`{}` runs only by its full name", other.id),
    };
    Failure {
        exit: Exit::NothingRan,
        error: miette!(help = help, "no scenario matches `{}`", pattern.escape_debug()),
    }
}

/// Whether a pattern takes a scenario.
fn takes(pattern: &str, scenario: &Scenario) -> bool {
    if scenario.only_when_named { pattern == scenario.id } else { matches(pattern, &scenario.id) }
}

/// Whether `pattern` names `id`: a part of it, or with `*` the whole of it.
fn matches(pattern: &str, id: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    if first == pattern {
        return id.contains(pattern);
    }
    let Some(mut rest) = id.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Lists scenarios.
pub(super) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let entries: Vec<ScenarioEntry> = args
        .selection
        .listed()?
        .iter()
        .map(|scenario| {
            let listing = scenario.listing();
            ScenarioEntry {
                scenario: listing.id,
                summary: listing.summary,
                needs: listing.needs.iter().map(ToString::to_string).collect(),
                runs: listing.runs,
                only_when_named: listing.only_when_named,
            }
        })
        .collect();
    let mut out = io::stdout().lock();
    let told = if args.json {
        list::json(&entries, &mut out)
    } else {
        list::table(&entries, Look::detect(), &mut out)
    };
    told.map_err(Failure::setup)?;
    Ok(Exit::Passed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Exit, Selection, matches};
    use imalab_language::scenario;

    #[rstest]
    #[case("stage", "stage/once", true)]
    #[case("once", "stage/once", true)]
    #[case("stage/once", "stage/once", true)]
    #[case("trim", "stage/once", false)]
    #[case("stage/*", "stage/once", true)]
    #[case("*/once", "stage/once", true)]
    #[case("st*ce", "stage/once", true)]
    #[case("stage*", "restage/once", false)]
    #[case("*once*twice", "stage/once", false)]
    #[case("*", "stage/once", true)]
    fn patterns(#[case] pattern: &str, #[case] id: &str, #[case] wanted: bool) {
        assert_eq!(matches(pattern, id), wanted);
    }

    #[rstest]
    #[case::alone(&[], &["scale/m*"], &["scale/thousand"])]
    #[case::from_a_pattern(&["scale/*"], &["thousand"], &[])]
    #[case::from_a_name(&["scale/million", "scale/t*"], &["million"], &["scale/thousand"])]
    fn what_is_excluded_is_left_out(
        #[case] patterns: &[&str],
        #[case] exclude: &[&str],
        #[case] taken: &[&str],
    ) {
        let folder = two_scenarios();
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let selection = Selection {
            patterns: own(patterns),
            exclude: own(exclude),
            scenarios: Some(folder.path().to_owned()),
        };
        let chosen = selection.load().ok().unwrap();
        assert_eq!(chosen.iter().map(|scenario| scenario.id.as_str()).collect::<Vec<_>>(), taken);
        let wrong = Selection { exclude: vec!["hundred".to_owned()], ..selection };
        assert_eq!(wrong.load().err().unwrap().exit, Exit::NothingRan, "it would exclude nothing");
    }

    /// One that has to be named to be run, and one that has not.
    fn two_scenarios() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("scale")).unwrap();
        let text = |more: &str| format!("summary: s\npromise: p\n{more}steps:\n  - stage\n");
        for (name, more) in [("thousand", ""), ("million", "only-when-named: true\n")] {
            std::fs::write(folder.path().join(format!("scale/{name}.yaml")), text(more)).unwrap();
        }
        folder
    }

    #[rstest]
    #[case::all(&[], &["scale/thousand"])]
    #[case::part(&["scale"], &["scale/thousand"])]
    #[case::any(&["*"], &["scale/thousand"])]
    #[case::its_name(&["scale/million"], &["scale/million"])]
    #[case::with_others(&["scale/m*", "scale/million", "thousand"], &["scale/million", "scale/thousand"])]
    fn some_are_taken_by_their_whole_name_alone(#[case] patterns: &[&str], #[case] taken: &[&str]) {
        let folder = two_scenarios();
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let selection =
            Selection { patterns, exclude: Vec::new(), scenarios: Some(folder.path().to_owned()) };
        let all = scenario::load_all(folder.path()).unwrap();
        let wanted = all.iter().filter(|scenario| selection.wants(scenario, false));
        assert_eq!(wanted.map(|scenario| scenario.id.as_str()).collect::<Vec<_>>(), taken);
        // Listed are all.
        assert_eq!(
            selection.listed().map(|listed| listed.len()).ok(),
            match selection.patterns.len() {
                0 => Some(2),
                3 => None,
                _ => Some(1),
            }
        );
    }
}
