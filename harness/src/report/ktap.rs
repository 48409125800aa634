//! Results as KTAP version 1 (`Documentation/dev-tools/ktap.rst`), nested: kernel, theme, scenario.
//!
//! `tools/testing/kunit/kunit.py parse` reads it. That parser leaves no room for invention: it takes
//! `# Subtest:` from any line, numbers from 1 without gaps, and stops at some of the kernel's last words wherever they stand.

use std::fmt::Write as _;
use std::path::Path;

use super::junit::{interrupted, kernels};
use super::printable::{printable, printable_lines};
use super::run_id::RunId;
use super::skips::Skips;
use super::terminal::{counts_as_failed, machine, verdict, word};
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use imalab_files::atomic::FileError;
use imalab_files::output;

/// Writes a suite's results.
///
/// # Errors
/// When the file cannot be written whole.
pub fn write(path: &Path, suite: &SuiteResult) -> Result<(), FileError> {
    output::write(path, document(suite).as_bytes())
}

/// The document.
pub fn document(suite: &SuiteResult) -> String {
    let kernels: Vec<Node> = kernels(suite)
        .into_iter()
        .map(|kernel| {
            let runs = suite.runs.iter().filter(|run| run.kernel == kernel);
            let mut themes: Vec<Node> = Vec::new();
            for run in runs {
                let id = RunId::of(run);
                let theme = name(id.theme());
                let at = themes.iter().position(|node| node.name == theme).unwrap_or_else(|| {
                    themes.push(Node::group(theme));
                    themes.len() - 1
                });
                themes[at].children.push(leaf(run, &id));
            }
            let skipped = Skips::on(suite, kernel).by_reason.into_iter();
            let skipped = skipped.map(|(reason, count)| format!("skipped: {count}: {}", line(&reason)));
            Node { children: themes, diagnostics: skipped.collect(), ..Node::group(name(kernel)) }
        })
        .collect();
    let mut text = String::from("KTAP version 1\n");
    render_children(&mut text, &kernels, 0);
    text
}

struct Node {
    name: String,
    children: Vec<Node>,
    /// Of a leaf: whether it is `ok`, and what follows `#` on its line.
    ok: bool,
    directive: Option<String>,
    diagnostics: Vec<String>,
}

impl Node {
    fn group(name: String) -> Node {
        Node { name, children: Vec::new(), ok: true, directive: None, diagnostics: Vec::new() }
    }

    fn is_ok(&self) -> bool {
        self.ok && self.children.iter().all(Node::is_ok)
    }

    fn is_skipped(&self) -> bool {
        match self.children.as_slice() {
            [] => self.directive.is_some(),
            children => children.iter().all(Node::is_skipped),
        }
    }
}

fn leaf(run: &RunResult, id: &RunId) -> Node {
    let skipped = match run.outcome {
        Outcome::Skipped => Some(run.reason.clone()),
        Outcome::Interrupted => Some(interrupted(run)),
        _ => None,
    };
    Node {
        ok: !counts_as_failed(run.outcome),
        diagnostics: if skipped.is_some() { Vec::new() } else { diagnostics(run) },
        directive: skipped.map(|why| format!("SKIP {}", line(&why))),
        ..Node::group(name(&id.case()))
    }
}

/// Each starts with a word and a colon of ours, so that no text of a guest can look like a line of KTAP.
fn diagnostics(run: &RunResult) -> Vec<String> {
    let unstored = run.not_stored.as_ref().map(|why| format!("not stored: {}", line(why)));
    if run.outcome == Outcome::Passed {
        let note = (!run.reason.is_empty()).then(|| format!("note: {}", line(&run.reason)));
        return note.into_iter().chain(unstored).collect();
    }
    let mut lines = vec![
        format!("{}: {}", word(run.outcome), line(&run.reason)),
        format!("machine: {}", line(&machine(run))),
    ];
    for check in run.checks.iter().filter(|check| check.verdict.is_bad()) {
        lines.push(format!("check: {} {}", line(&check.check), verdict(check)));
        lines.extend(
            check.findings.iter().flat_map(|f| printable_lines(f)).map(|f| format!("finding: {}", line(&f))),
        );
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

fn render_children(text: &mut String, nodes: &[Node], depth: usize) {
    let indent = "    ".repeat(depth);
    let _ = writeln!(text, "{indent}1..{}", nodes.len());
    for (number, node) in (1..).zip(nodes) {
        if !node.children.is_empty() {
            let inner = "    ".repeat(depth + 1);
            let _ = writeln!(text, "{inner}KTAP version 1\n{inner}# Subtest: {}", node.name);
            render_children(text, &node.children, depth + 1);
        }
        for diagnostic in &node.diagnostics {
            let _ = writeln!(text, "{indent}# {diagnostic}");
        }
        let ok = if node.is_ok() { "ok" } else { "not ok" };
        let _ = write!(text, "{indent}{ok} {number} {}", node.name);
        match &node.directive {
            Some(directive) => {
                let _ = write!(text, " # {directive}");
            }
            None if node.is_skipped() => text.push_str(" # SKIP all of it was skipped"),
            None => {}
        }
        text.push('\n');
    }
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
