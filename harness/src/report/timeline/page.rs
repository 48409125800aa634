//! The page around the picture: what was found, and the scenario beside it.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::columns::{Columns, MOST, columns};
use super::draw::{class, lanes, picture};
use super::levels::{Place, levels};
use crate::report::run_text;
use crate::report::terminal::word;
use crate::run_id::RunId;
use imalab_check::RecordHistory;
use imalab_check::outcome::{Outcome, RunResult};
use imalab_language::finding::Finding;
use imalab_language::plan::Plan;
use imalab_print::printable;
use imalab_trace::{Trace, Unreadable};
use imalab_wire::Task;

const STYLE: &str = include_str!("style.css");

/// Files of a run's folder that a reader goes on to.
const FILES: [&str; 8] = [
    "result.json",
    "console.log",
    "tpm.txt",
    "log.txt",
    "records.jsonl",
    "trace.jsonl",
    "scenario.yaml",
    "commands.txt",
];

/// A page of its own, which fetches nothing and runs nothing.
///
/// # Errors
/// When the trace cannot be read any more.
pub fn page(
    result: &RunResult,
    plan: &Plan,
    trace: &Trace,
    histories: impl Iterator<Item = RecordHistory>,
    scenario: Option<&str>,
) -> Result<Markup, Unreadable> {
    let observed = imalab_check::with_observed(plan, trace);
    let plan = &*observed;
    let columns = columns(plan, trace)?.shortened();
    let levels = levels(&columns, histories);
    let name = |task: &Task| match task.boot {
        0 => task.name.clone(),
        boot => format!("{}, boot {boot}", task.name),
    };
    let mut tasks: Vec<String> = plan.program.tasks.iter().map(name).collect();
    tasks.push("finally".to_owned());
    let lines: Vec<u32> = plan.steps.iter().map(|step| step.line).collect();
    let marked = marked(result, &columns, &lines);
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "imalab: " (printable(&RunId::of(result).to_string())) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (printable(&RunId::of(result).to_string())) }
                p { b { (word(result.outcome)) } @if result.reason.is_some() { ": " (run_text::reason(result)) } }
                p.faint {
                    "Every event in its order, each as wide as any other. A bar is a system call of a task; a number above is told "
                    "below. Rest the pointer on something to read it; follow a bar to its line of the scenario."
                    @if columns.left_out > 0 { " The first " (columns.left_out) " are left out: " (MOST) " are drawn." }
                }
                div.timeline {
                    div.names { (lanes(&tasks)) }
                    // A run that went wrong is shown from its end on.
                    div.scroll.end[!passed(result)] { (picture(&columns, &levels, tasks.len(), &lines)) }
                }
                p.legend {
                    @for place in Place::ALL { span class=(class(place)) { "■" } " " (place.name()) " " }
                    @if levels.is_empty() { span.faint { "(no list was read whole, so where records were is not known)" } }
                }
                (notes(&columns))
                @if let Some(text) = scenario { (source(text, &marked)) }
                p { "More in this folder: " @for name in FILES { a href=(name) { (name) } " " } }
            }
        }
    })
}

/// Lines of the scenario that a reader looks for: of what failed, or of what was under way at the end.
fn marked(result: &RunResult, columns: &Columns, lines: &[u32]) -> Vec<u32> {
    let line = |step: usize| lines.get(step).copied().filter(|line| *line > 0);
    let mut marked: Vec<u32> = Vec::new();
    if !passed(result) {
        let open = columns.bars.iter().filter(|bar| bar.end.is_none());
        marked.extend(open.filter_map(|bar| line(bar.step)));
        marked.extend(result.reason.iter().flat_map(|reason| steps_of(&reason.finding)));
    }
    marked
}

/// Lines of the steps that a finding is about, wherever in its fields they stand; none of steps that the planner added.
fn steps_of(finding: &Finding) -> Vec<u32> {
    fn collect(value: &Value, lines: &mut Vec<u32>) {
        match value {
            Value::Object(fields) => {
                let line = fields.get("line").and_then(Value::as_u64).filter(|_| fields.contains_key("task"));
                lines.extend(line.and_then(|line| u32::try_from(line).ok()).filter(|line| *line > 0));
                fields.values().for_each(|field| collect(field, lines));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, lines)),
            _ => {}
        }
    }
    let mut lines = Vec::new();
    if let Ok(value) = serde_json::to_value(finding) {
        collect(&value, &mut lines);
    }
    lines
}

fn passed(result: &RunResult) -> bool {
    matches!(result.outcome, Outcome::Passed | Outcome::KnownLimit)
}

fn notes(columns: &Columns) -> Markup {
    html! {
        @if !columns.notes.is_empty() {
            ol.notes {
                @for (number, note) in (1..).zip(&columns.notes) {
                    li id=(format!("note-{number}")) .loud[note.loud] {
                        (printable(&note.text))
                        span.faint { " (event " (columns.columns[note.column].event) ")" }
                    }
                }
            }
        }
    }
}

fn source(text: &str, marked: &[u32]) -> Markup {
    html! {
        h2 { "Scenario" }
        pre.source {
            @for (number, line) in (1_u32..).zip(text.lines()) {
                div id=(format!("line-{number}")) .bad[marked.contains(&number)] {
                    span.number { (number) } (printable(line)) "\n"
                }
            }
        }
    }
}
