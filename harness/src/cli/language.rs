//! `imalab language`: the reference of the scenario language, made of its grammar.

use std::io::Write;

use clap::Args;

use super::Failure;
use crate::report::Exit;
use imalab_language::scenario::reference;

/// What is written.
#[derive(Args)]
pub(super) struct LanguageArgs {
    /// Print the tables of verbs, fields and values as Markdown (default)
    #[arg(long, conflicts_with = "json_schema")]
    markdown: bool,
    /// Print the JSON Schema of scenario files, for editors
    #[arg(long)]
    json_schema: bool,
}

/// Writes the reference.
pub(super) fn language(args: &LanguageArgs) -> Result<Exit, Failure> {
    let text = match (args.json_schema, args.markdown) {
        (true, _) => serde_json::to_string_pretty(&reference::schema()).map_err(Failure::setup)? + "\n",
        (false, _) => reference::markdown(),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::setup)?;
    Ok(Exit::Passed)
}
