//! The table of scenarios that `list` shows.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::Escaping;
use super::terminal::Look;
use imalab_print::printable;

/// Version of the list as JSON.
const SCHEMA: u32 = 1;

/// One scenario as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioEntry {
    /// Path below the scenarios' folder, without `.yaml`.
    pub scenario: String,
    /// Its own words on what it tests.
    pub summary: String,
    /// Capabilities it needs.
    pub needs: Vec<String>,
    /// Runs that its matrix makes.
    pub runs: usize,
    /// Whether it is left out unless it is asked for by its whole name.
    #[serde(default)]
    pub only_when_named: bool,
}

/// The form of `list --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioList {
    /// Version of this form.
    pub schema: u32,
    /// By name.
    pub scenarios: Vec<ScenarioEntry>,
}

/// Narrowest screen on which the summary stands beside the name.
const BESIDE: usize = 80;
/// Widest column of names; a longer name pushes its own row.
const NAME_LIMIT: usize = 40;

/// Prints the table: name, runs, summary; what is needed below it.
///
/// # Errors
/// Those of the writer.
pub fn table(scenarios: &[ScenarioEntry], look: Look, out: &mut impl Write) -> io::Result<()> {
    let width = |entry: &ScenarioEntry| console::measure_text_width(&printable(&entry.scenario));
    let longest = scenarios.iter().map(width).max().unwrap_or(0);
    let column = longest.min(NAME_LIMIT);
    for entry in scenarios {
        let name = printable(&entry.scenario);
        let padding = " ".repeat(column.saturating_sub(console::measure_text_width(&name)));
        let mut text = printable(&entry.summary).into_owned();
        if entry.runs != 1 {
            text.push_str(&format!(" ({} runs)", entry.runs));
        }
        if entry.only_when_named {
            text.push_str(" (only when named)");
        }
        if !entry.needs.is_empty() {
            text.push_str(&format!(" [needs {}]", printable(&entry.needs.join(", "))));
        }
        let name = look.heading().apply_to(name);
        match look.width {
            None => writeln!(out, "{name}{padding}  {text}")?,
            Some(width) if width >= BESIDE => {
                let lines = textwrap::wrap(&text, width.saturating_sub(column + 2));
                for (number, line) in lines.iter().enumerate() {
                    match number {
                        0 => writeln!(out, "{name}{padding}  {line}")?,
                        _ => writeln!(out, "{}  {line}", " ".repeat(column))?,
                    }
                }
            }
            Some(width) => {
                writeln!(out, "{name}")?;
                for line in textwrap::wrap(&text, width.saturating_sub(2).max(1)) {
                    writeln!(out, "  {line}")?;
                }
            }
        }
    }
    Ok(())
}

/// Writes the same as JSON.
///
/// # Errors
/// Those of the writer.
pub fn json(scenarios: &[ScenarioEntry], out: &mut impl Write) -> io::Result<()> {
    let list = ScenarioList { schema: SCHEMA, scenarios: scenarios.to_vec() };
    let mut out = Escaping::json(out);
    serde_json::to_writer_pretty(&mut out, &list)?;
    writeln!(out)?;
    out.flush()
}
