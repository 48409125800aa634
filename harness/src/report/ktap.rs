//! Results as KTAP version 1 (`Documentation/dev-tools/ktap.rst`), nested: kernel, theme, scenario.
//!
//! `tools/testing/kunit/kunit.py parse` reads it. That parser leaves no room for invention: it takes
//! `# Subtest:` from any line, numbers from 1 without gaps, and stops at some of the kernel's last words wherever they stand.
//! It is written as runs end, in the order of the plan: a run is told when all before it have been.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::junit::interrupted;
use super::live::LiveForm;
use super::run_text::{self, Reason};
use super::terminal::{machine, verdict, word};
use crate::event::{Stop, SuiteEvent};
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use imalab_print::printable;

/// Writes a suite's results.
///
/// # Errors
/// Those of the writer.
pub fn document(suite: &SuiteResult, out: &mut dyn Write) -> io::Result<()> {
    let ids = suite.runs.iter().map(RunId::of).enumerate().map(|(number, id)| (number as u64, id));
    let mut ktap = Ktap::begin(out, ids)?;
    for (number, run) in (0..).zip(&suite.runs) {
        ktap.run_ended(number, run)?;
    }
    ktap.finish("")
}

/// A document on its way.
pub(super) struct Ktap<W: Write> {
    out: W,
    kernels: Vec<Group<Group<Leaf>>>,
    /// The next to be written: kernel, theme and run.
    next: (usize, usize, usize),
    /// Runs that have ended and come after one that has not, by place.
    ended: BTreeMap<u64, Ended>,
}

/// What has parts, and how they went so far.
struct Group<P> {
    name: String,
    parts: Vec<P>,
    ok: bool,
    all_skipped: bool,
    /// How many runs were skipped for which reason.
    skips: BTreeMap<String, usize>,
}

/// A run's place and name.
struct Leaf {
    place: u64,
    name: String,
}

/// What is written of a run.
struct Ended {
    ok: bool,
    directive: Option<String>,
    diagnostics: Vec<String>,
    /// Why it was skipped, if it was.
    skip: Option<String>,
}

impl<P> Group<P> {
    fn new(name: String) -> Group<P> {
        Group { name, parts: Vec::new(), ok: true, all_skipped: true, skips: BTreeMap::new() }
    }

    fn add(&mut self, run: &Ended) {
        self.ok &= run.ok;
        self.all_skipped &= run.directive.is_some();
        if let Some(reason) = &run.skip {
            *self.skips.entry(reason.clone()).or_default() += 1;
        }
    }

    /// Its own line, below those of its parts.
    fn end(&self, number: usize, indent: &str) -> String {
        let ok = if self.ok { "ok" } else { "not ok" };
        let directive = if self.all_skipped { " # SKIP all of it was skipped" } else { "" };
        format!("{indent}{ok} {number} {}{directive}\n", self.name)
    }
}

/// The group of this name, added if it is not there.
fn group<P>(groups: &mut Vec<Group<P>>, name: String) -> &mut Group<P> {
    let at = groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
        groups.push(Group::new(name));
        groups.len() - 1
    });
    &mut groups[at]
}

impl<W: Write> Ktap<W> {
    /// Begins one of these runs, each with its place.
    pub(super) fn begin(mut out: W, runs: impl IntoIterator<Item = (u64, RunId)>) -> io::Result<Ktap<W>> {
        let mut runs: Vec<_> = runs.into_iter().collect();
        runs.sort_by_key(|(place, _)| *place);
        let mut kernels = Vec::new();
        for (place, id) in runs {
            let kernel: &mut Group<Group<Leaf>> = group(&mut kernels, name(&id.kernel));
            let theme = group(&mut kernel.parts, name(id.theme()));
            theme.parts.push(Leaf { place, name: name(&id.case()) });
        }
        writeln!(out, "KTAP version 1\n1..{}", kernels.len())?;
        out.flush()?;
        Ok(Ktap { out, kernels, next: (0, 0, 0), ended: BTreeMap::new() })
    }

    /// Takes a run's result, and writes all that is complete.
    pub(super) fn run_ended(&mut self, place: u64, run: &RunResult) -> io::Result<()> {
        self.ended.insert(place, ended(run));
        self.write(None)
    }

    /// Writes the rest. Runs that did not begin are skipped, and `why` says why they did not.
    pub(super) fn finish(&mut self, why: &str) -> io::Result<()> {
        self.write(Some(why))
    }

    fn write(&mut self, missing: Option<&str>) -> io::Result<()> {
        let mut text = String::new();
        while let Some(place) = self.next_place() {
            let run = match (self.ended.remove(&place), missing) {
                (Some(run), _) => run,
                (None, Some(why)) => Ended {
                    ok: true,
                    directive: Some(format!("SKIP did not run: {}", line(why))),
                    diagnostics: Vec::new(),
                    skip: None,
                },
                (None, None) => break,
            };
            self.add(&run, &mut text);
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// The place of the next run to be written.
    fn next_place(&self) -> Option<u64> {
        let (kernel, theme, run) = self.next;
        Some(self.kernels.get(kernel)?.parts.get(theme)?.parts.get(run)?.place)
    }

    /// Writes a run, the headings above it and what ends with it.
    fn add(&mut self, run: &Ended, text: &mut String) {
        const KERNEL: &str = "    ";
        const THEME: &str = "        ";
        let (at_kernel, at_theme, at_run) = self.next;
        let kernel = &mut self.kernels[at_kernel];
        if (at_theme, at_run) == (0, 0) {
            heading(text, KERNEL, kernel);
        }
        kernel.add(run);
        let (themes, theme) = (kernel.parts.len(), &mut kernel.parts[at_theme]);
        if at_run == 0 {
            heading(text, THEME, theme);
        }
        theme.add(run);
        for diagnostic in &run.diagnostics {
            let _ = writeln!(text, "{THEME}# {diagnostic}");
        }
        let ok = if run.ok { "ok" } else { "not ok" };
        let _ = write!(text, "{THEME}{ok} {} {}", at_run + 1, theme.parts[at_run].name);
        if let Some(directive) = &run.directive {
            let _ = write!(text, " # {directive}");
        }
        text.push('\n');
        self.next = (at_kernel, at_theme, at_run + 1);
        if at_run + 1 < theme.parts.len() {
            return;
        }
        text.push_str(&theme.end(at_theme + 1, KERNEL));
        self.next = (at_kernel, at_theme + 1, 0);
        if at_theme + 1 < themes {
            return;
        }
        let mut skips: Vec<_> = kernel.skips.iter().collect();
        skips.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (reason, count) in skips {
            let _ = writeln!(text, "# skipped: {count}: {}", line(reason));
        }
        text.push_str(&kernel.end(at_kernel + 1, ""));
        self.next = (at_kernel + 1, 0, 0);
    }
}

/// Writes a suite's document as runs end.
pub(super) struct LiveKtap<W: Write> {
    state: Live<W>,
    /// Why runs did not begin, if any did not.
    stopped: &'static str,
}

enum Live<W: Write> {
    /// Nothing is planned so far.
    Waiting(Option<W>),
    Begun(Ktap<W>),
}

impl<W: Write> LiveKtap<W> {
    pub(super) fn new(out: W) -> LiveKtap<W> {
        LiveKtap { state: Live::Waiting(Some(out)), stopped: "" }
    }
}

impl<W: Write> LiveForm for LiveKtap<W> {
    fn event(&mut self, event: SuiteEvent<'_>) -> io::Result<()> {
        match (event, &mut self.state) {
            (SuiteEvent::Planned(suite), Live::Waiting(out)) => {
                if let Some(out) = out.take() {
                    self.state = Live::Begun(Ktap::begin(out, suite.runs.iter().cloned())?);
                }
            }
            (SuiteEvent::Stopping { why, .. }, _) => self.stopped = stopped(why),
            (SuiteEvent::RunEnded(run), Live::Begun(ktap)) => ktap.run_ended(run.place, run)?,
            (SuiteEvent::Finished(_), Live::Begun(ktap)) => ktap.finish(self.stopped)?,
            // Results that were not planned here: those of `merge`.
            (SuiteEvent::Finished(suite), Live::Waiting(out)) => {
                if let Some(mut out) = out.take() {
                    document(suite, &mut out)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn stopped(why: Stop) -> &'static str {
    match why {
        Stop::Signal => "interrupted",
        Stop::FailFast => "enough runs had failed",
    }
}

fn heading<P>(text: &mut String, indent: &str, group: &Group<P>) {
    let (name, parts) = (&group.name, group.parts.len());
    let _ = writeln!(text, "{indent}KTAP version 1\n{indent}# Subtest: {name}\n{indent}1..{parts}");
}

fn ended(run: &RunResult) -> Ended {
    let directive = match run.outcome {
        Outcome::Skipped | Outcome::NotOrdered => Some(run_text::reason(run)),
        Outcome::Interrupted => Some(interrupted(run)),
        _ => None,
    };
    Ended {
        ok: !run.outcome.is_failure(),
        diagnostics: if directive.is_some() { Vec::new() } else { diagnostics(run) },
        directive: directive.map(|why| format!("SKIP {}", line(&why))),
        skip: (run.outcome == Outcome::Skipped).then(|| run_text::reason(run)),
    }
}

/// Each starts with a word and a colon of ours, so that no text of a guest can look like a line of KTAP.
fn diagnostics(run: &RunResult) -> Vec<String> {
    let unstored = run.not_stored.as_ref().map(|why| format!("not stored: {}", line(why)));
    if run.outcome == Outcome::Passed {
        let note = run.reason.is_some().then(|| format!("note: {}", line(&run_text::reason(run))));
        return note.into_iter().chain(unstored).collect();
    }
    let mut lines = vec![
        format!("{}: {}", word(run.outcome), line(&run_text::reason(run))),
        format!("machine: {}", line(&machine(run))),
    ];
    for (check, findings) in run_text::failed(run, Reason::Said) {
        lines.push(format!("check: {} {}", check.check, verdict(check)));
        lines.extend(findings.iter().map(|finding| format!("finding: {}", line(finding))));
    }
    lines.extend(run.console_tail.iter().map(|tail| format!("console: {}", line(tail))));
    if let Some(bundle) = &run.bundle {
        lines.push(format!("bundle: {}", line(&bundle.display().to_string())));
    }
    if let Some(repro) = &run.repro {
        lines.push(format!("again: {}", line(repro)));
    }
    lines.extend(unstored);
    lines
}

/// A name: `#` would start a directive, and a leading `- ` would be taken as the separator.
fn name(raw: &str) -> String {
    let name = printable(raw).replace('#', "_");
    name.trim().trim_start_matches("- ").to_owned()
}

/// Other text on a line. The parser ends its input at these phrases wherever they stand (`KTAP_END` of `kunit_parser.py`),
/// and a kernel that died says one of them; a backslash keeps them readable and out of its sight.
fn line(raw: &str) -> String {
    let mut text = printable(raw).into_owned();
    for phrase in ["List of all partitions:", "Kernel panic - not syncing: VFS:", "reboot: System halted"] {
        text = text.replace(phrase, &phrase.replace(':', "\\:"));
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::json_lines::tests::run;
    use super::*;

    fn named(place: u64, scenario: &str, kernel: &str) -> RunResult {
        RunResult { scenario: scenario.to_owned(), kernel: kernel.to_owned(), ..run(place) }
    }

    #[test]
    fn a_run_is_told_when_all_before_it_have_been() {
        let runs = [named(0, "stage/a", "k"), named(1, "trim/b", "k"), named(2, "stage/c", "k")];
        let mut written = Vec::new();
        let ids = runs.iter().map(|run| (run.place, RunId::of(run)));
        let mut ktap = Ktap::begin(&mut written, ids).unwrap();
        let lines = |ktap: &Ktap<&mut Vec<u8>>| {
            let text = String::from_utf8_lossy(&ktap.out[..]).into_owned();
            text.lines().filter(|line| line.contains("ok ")).map(|line| line.trim().to_owned()).collect()
        };
        let none: Vec<String> = lines(&ktap);
        assert!(none.is_empty());
        // Theme by theme: the one that ended first is the last.
        ktap.run_ended(1, &runs[1]).unwrap();
        assert_eq!(lines(&ktap), none);
        ktap.run_ended(0, &runs[0]).unwrap();
        assert_eq!(lines(&ktap), ["not ok 1 a"]);
        ktap.run_ended(2, &runs[2]).unwrap();
        let all = ["not ok 1 a", "not ok 2 c", "not ok 1 stage", "not ok 1 b", "not ok 2 trim", "not ok 1 k"];
        assert_eq!(lines(&ktap), all);
        ktap.finish("").unwrap();
        assert_eq!(lines(&ktap), all);

        let suite = SuiteResult {
            schema: 1,
            runs: runs.into(),
            wall_ms: 1,
            interrupted: false,
            not_begun: None,
            shard: None,
        };
        let mut whole = Vec::new();
        document(&suite, &mut whole).unwrap();
        assert_eq!(String::from_utf8(whole).unwrap(), String::from_utf8(written).unwrap());
    }

    #[test]
    fn what_did_not_run_is_skipped_at_the_end() {
        let runs = [named(0, "stage/a", "k"), named(1, "stage/b", "k")];
        let mut written = Vec::new();
        let mut ktap = Ktap::begin(&mut written, runs.iter().map(|run| (run.place, RunId::of(run)))).unwrap();
        ktap.run_ended(1, &runs[1]).unwrap();
        ktap.finish("interrupted").unwrap();
        let text = String::from_utf8(written).unwrap();
        assert!(text.contains("        ok 1 a # SKIP did not run: interrupted\n"), "{text}");
        assert!(text.contains("        not ok 2 b\n    not ok 1 stage\nnot ok 1 k\n"), "{text}");
    }
}
