//! Two results of a suite, run by run: what is worse now, what is better, what did not run.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Exit;
use super::html::STYLE;
use super::run_text;
use super::skips::kernels;
use super::terminal::word;
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use imalab_print::printable;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It did not fail, and does.
    Worse,
    /// It counted as passed, and shows nothing now: skipped, not judged, or not there.
    Lost,
    /// It fails as before, for another reason; or a known defect is no longer what it passes by, or is now.
    Other,
    /// It failed, or showed nothing, and counts as passed.
    Better,
    /// It was not there before.
    New,
    /// The same as before.
    Same,
}

impl Change {
    const SHOWN: [Change; 5] = [Change::Worse, Change::Lost, Change::Other, Change::Better, Change::New];

    fn name(self) -> &'static str {
        match self {
            Change::Worse => "worse",
            Change::Lost => "lost",
            Change::Other => "other",
            Change::Better => "better",
            Change::New => "new",
            Change::Same => "same",
        }
    }
}

/// A run of both results, or of one.
#[derive(Debug)]
struct Pair<'a> {
    name: String,
    change: Change,
    before: Option<&'a RunResult>,
    now: Option<&'a RunResult>,
}

/// All of them.
#[derive(Debug)]
pub struct Difference<'a> {
    pairs: Vec<Pair<'a>>,
}

impl<'a> Difference<'a> {
    /// Compares two results. Where each is of one kernel alone, its name does not matter.
    pub fn of(before: &'a SuiteResult, now: &'a SuiteResult) -> Difference<'a> {
        let by_name = kernels(before).len() > 1 || kernels(now).len() > 1;
        let name = |run: &RunResult| {
            let id = RunId::of(run);
            if by_name { id.to_string() } else { id.without_kernel() }
        };
        let mut pairs: BTreeMap<String, (Option<&RunResult>, Option<&RunResult>)> = BTreeMap::new();
        for run in &before.runs {
            pairs.entry(name(run)).or_default().0 = Some(run);
        }
        for run in &now.runs {
            pairs.entry(name(run)).or_default().1 = Some(run);
        }
        let pairs = pairs.into_iter().map(|(name, (before, now))| {
            let change = change(before, now);
            Pair { name, change, before, now }
        });
        Difference { pairs: pairs.collect() }
    }

    /// 100 when something is worse; 4 when nothing is, but something that passed shows nothing now, or there was nothing to
    /// compare; else 0.
    pub fn exit(&self) -> Exit {
        let any = |change| self.count(change) > 0;
        match (any(Change::Worse), any(Change::Lost) || self.compared() == 0) {
            (true, _) => Exit::ScenarioFailed,
            (false, true) => Exit::NothingRan,
            (false, false) => Exit::Passed,
        }
    }

    /// Runs that both have.
    fn compared(&self) -> usize {
        self.pairs.iter().filter(|pair| pair.before.is_some() && pair.now.is_some()).count()
    }

    fn count(&self, change: Change) -> usize {
        self.of_change(change).count()
    }

    fn of_change(&self, change: Change) -> impl Iterator<Item = &Pair<'a>> {
        self.pairs.iter().filter(move |pair| pair.change == change)
    }

    /// A line for each run that is not the same, what is worst first, and a line with the numbers.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for pair in Change::SHOWN.iter().flat_map(|change| self.of_change(*change)) {
            writeln!(out, "{:<7}{pair}", pair.change.name())?;
        }
        writeln!(out, "{}", self.numbers())
    }

    fn numbers(&self) -> String {
        let told = Change::SHOWN.iter().map(|change| format!("{} {}", self.count(*change), change.name()));
        let told: Vec<String> = told.chain([format!("{} the same", self.count(Change::Same))]).collect();
        told.join(", ")
    }

    /// The same as a page.
    pub fn page(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "imalab: " (self.numbers()) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { "imalab" }
                    p.summary { (self.numbers()) }
                    @for change in Change::SHOWN.iter().filter(|change| self.count(**change) > 0) {
                        h2 { (change.name()) " " span.faint { "(" (self.count(*change)) ")" } }
                        div.scroll {
                            table.matrix {
                                thead { tr { th { "run" } th { "before" } th { "now" } } }
                                tbody {
                                    @for pair in self.of_change(*change) {
                                        tr {
                                            th { (printable(&pair.name)) }
                                            td { (state(pair.before)) }
                                            td { (state(pair.now)) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |run: Option<&RunResult>| run.map_or("not there", |run| word(run.outcome));
        write!(f, "{}: {} -> {}", printable(&self.name), state(self.before), state(self.now))?;
        // What it is now is what somebody has to look at; of what is gone, what it was.
        match self.now.or(self.before).map(run_text::reason) {
            Some(reason) if !reason.is_empty() => write!(f, ": {reason}"),
            _ => Ok(()),
        }
    }
}

fn state(run: Option<&RunResult>) -> Markup {
    html! {
        @match run {
            None => span.faint { "not there" },
            Some(run) => { span.o.(super::html::class(run.outcome)) { (word(run.outcome)) } " " (run_text::reason(run)) }
        }
    }
}

fn passed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Passed | Outcome::KnownDefect | Outcome::KnownLimit)
}

/// Whether it says something bad of the kernel.
fn bad(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::KernelDied | Outcome::Timeout)
}

fn change(before: Option<&RunResult>, now: Option<&RunResult>) -> Change {
    let (Some(old), Some(new)) = (before, now) else {
        return match (before, now) {
            (Some(old), None) if passed(old.outcome) => Change::Lost,
            (_, Some(new)) if bad(new.outcome) => Change::Worse,
            (None, Some(_)) => Change::New,
            _ => Change::Other,
        };
    };
    let (was, is) = (old.outcome, new.outcome);
    if bad(is) && !bad(was) {
        Change::Worse
    } else if passed(was) && !passed(is) {
        Change::Lost
    } else if passed(is) && !passed(was) {
        Change::Better
    } else if was != is || codes(old) != codes(new) {
        Change::Other
    } else {
        Change::Same
    }
}

/// What a run's reason is, without what changes from run to run.
fn codes(run: &RunResult) -> Option<(Option<imalab_check::outcome::Check>, &'static str)> {
    run.reason.as_ref().map(|reason| (reason.check, reason.finding.code()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fake_result;
    use crate::report::json::SCHEMA;
    use rstest::rstest;

    fn suite(runs: Vec<RunResult>) -> SuiteResult {
        SuiteResult { schema: SCHEMA, runs, ..SuiteResult::default() }
    }

    fn run(scenario: &str, outcome: Outcome) -> RunResult {
        let fake = fake_result(0);
        let reason = fake.reason.clone().filter(|_| outcome != Outcome::Passed);
        RunResult { scenario: scenario.into(), outcome, reason, ..fake }
    }

    #[rstest]
    #[case(Some(Outcome::Passed), Some(Outcome::Failed), Change::Worse, 100)]
    #[case(Some(Outcome::Skipped), Some(Outcome::KernelDied), Change::Worse, 100)]
    #[case(None, Some(Outcome::Timeout), Change::Worse, 100)]
    #[case(Some(Outcome::KnownDefect), Some(Outcome::Skipped), Change::Lost, 4)]
    #[case(Some(Outcome::Passed), Some(Outcome::Infra), Change::Lost, 4)]
    #[case(Some(Outcome::Passed), None, Change::Lost, 4)]
    #[case(Some(Outcome::Failed), Some(Outcome::KernelDied), Change::Other, 0)]
    #[case(Some(Outcome::KnownDefect), Some(Outcome::Passed), Change::Other, 0)]
    #[case(Some(Outcome::Failed), Some(Outcome::Passed), Change::Better, 0)]
    #[case(Some(Outcome::Failed), Some(Outcome::Failed), Change::Same, 0)]
    fn each_change_has_its_word_and_code(
        #[case] before: Option<Outcome>,
        #[case] now: Option<Outcome>,
        #[case] expected: Change,
        #[case] code: u8,
    ) {
        let of = |outcome: Option<Outcome>| {
            suite(outcome.map(|outcome| run("stage/once", outcome)).into_iter().collect())
        };
        let (before, now) = (of(before), of(now));
        let found = Difference::of(&before, &now);
        assert_eq!((found.pairs[0].change, found.exit().code()), (expected, code));
    }

    #[test]
    fn what_is_worst_is_told_first_and_a_kernel_by_another_name_is_compared() {
        let before =
            suite(vec![run("a", Outcome::Failed), run("b", Outcome::Passed), run("c", Outcome::Passed)]);
        let mut now =
            suite(vec![run("a", Outcome::Passed), run("b", Outcome::KernelDied), run("d", Outcome::Passed)]);
        now.runs.iter_mut().for_each(|run| run.kernel = "other".into());
        let mut text = Vec::new();
        let found = Difference::of(&before, &now);
        found.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let starts: Vec<&str> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(starts[..4], ["worse  b", "lost   c", "better a", "new    d"], "{text}");
        assert_eq!(starts[4], "1 worse, 1 lost, 0 other, 1 better, 1 new, 0 the same");
        let page = found.page().into_string();
        assert!(page.contains("<h2>worse") && !page.contains("<h2>other"), "{page}");
        assert_eq!(Difference::of(&suite(vec![]), &suite(vec![])).exit(), Exit::NothingRan);
    }
}
