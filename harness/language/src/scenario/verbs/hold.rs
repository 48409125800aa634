//! Tasks that are held at places of the kernel's code.

use super::super::error::ScenarioError;
use super::super::fields::Fields;
use super::super::grammar;
use super::super::model::{HeldUntil, Place, TaskHold, Verb};

/// `hold` with `task`.
pub(super) fn read(fields: &Fields<'_>) -> Result<Verb, ScenarioError> {
    let task = fields.name("task")?.unwrap_or_default().to_owned();
    let at = needed(place(fields)?, fields, "at")?;
    let node = fields.get("until").ok_or_else(|| {
        missing(fields, "until", "until when: a map with `task` and `at`, or `task` and `step`")
    })?;
    let until = Fields::of(fields.source, node, "`until`", grammar::UNTIL)?;
    let other = until.needed_name("task")?;
    let until = match (until.get("at"), until.number32("step")?) {
        (Some(_), Some(_)) => {
            until.without("step", "at")?;
            return Err(missing(&until, "at", "one of `at` and `step`"));
        }
        (None, Some(step)) => {
            until.without("from", "step")?;
            HeldUntil::Ends { task: other, step }
        }
        _ => HeldUntil::Comes { task: other, to: needed(place(&until)?, &until, "at")? },
    };
    Ok(Verb::HoldTask(TaskHold { task, at, until }))
}

fn needed(place: Option<Place>, fields: &Fields<'_>, name: &str) -> Result<Place, ScenarioError> {
    place.ok_or_else(|| missing(fields, name, "a function of the kernel"))
}

fn missing(fields: &Fields<'_>, name: &str, expected: &str) -> ScenarioError {
    fields.source.error(fields.at(), format!("`{name}` is missing")).expected(expected)
}

/// The place of `at` and `from`.
fn place(fields: &Fields<'_>) -> Result<Option<Place>, ScenarioError> {
    let Some(text) = fields.text("at")? else { return Ok(None) };
    let wrong = |name: &str, text: &str| {
        let at = fields.get(name).map_or(fields.at(), |node| node.at);
        fields.source.error(at, format!("`{name}`: `{text}` is no place in a kernel's code")).expected(
            "a function's name, as `ima_queue_stage`; of `at` with an offset too, as `ima_queue_stage+0x2f`",
        )
    };
    let (function, offset) = match text.split_once('+') {
        None => (text, 0),
        Some((function, offset)) => {
            let number = match offset.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => offset.parse(),
            };
            (function, number.map_err(|_| wrong("at", text))?)
        }
    };
    if !is_symbol(function) {
        return Err(wrong("at", text));
    }
    let from = fields.text("from")?;
    if let Some(from) = from.filter(|from| !is_symbol(from)) {
        return Err(wrong("from", from));
    }
    if let Some(node) = fields.get("from").filter(|_| offset > 0) {
        return Err(fields
            .source
            .error(node.at, "`from`: nobody calls the middle of a function")
            .expected("`from` beside a function without an offset"));
    }
    Ok(Some(Place { function: function.to_owned(), offset, from: from.map(str::to_owned) }))
}

/// Whether this can be a symbol of a kernel (`KSYM_NAME_LEN` is 512).
fn is_symbol(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.len() < 512
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(plain)
}
