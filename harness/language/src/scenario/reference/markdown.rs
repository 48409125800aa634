//! The tables of `docs/scenarios.md`.

use std::fmt::Write;

use super::super::expectation;
use super::super::grammar::{
    self, CAPABILITIES, CHECKS, COMMANDS, EVENTS, Expect, Field, Form, GROUPS, LIMITS, NEVER_CHOSEN,
    RESPONSES, SIGNALS, Shape, special_files,
};
use crate::capability::Capability;

/// A generated part of the reference: its name, and its text, which ends with a newline.
pub(super) type Block = (&'static str, String);

/// Every generated part.
pub(super) fn blocks() -> Vec<Block> {
    vec![
        ("keys", fields(grammar::KEYS)),
        ("machine", fields(grammar::MACHINE)),
        ("task", fields(grammar::TASK)),
        ("program", fields(grammar::PROGRAM)),
        ("file", fields(grammar::FILE)),
        ("race", fields(grammar::RACE)),
        ("known-defect", defect()),
        ("known-limit", limit()),
        ("needs", needs()),
        ("verbs", verbs()),
        ("until", fields(grammar::UNTIL)),
        ("expect", expect()),
        ("never-chosen", never_chosen()),
        ("words", words()),
    ]
}

/// The whole reference as one page.
pub fn markdown() -> String {
    blocks().into_iter().map(|(name, text)| format!("<!-- {name} -->\n\n{text}\n")).collect()
}

fn fields(fields: &[Field]) -> String {
    let mut out = "| key | what it is | value | default |\n| --- | --- | --- | --- |\n".to_owned();
    for field in fields {
        let (name, value) = (field.name, value(field.shape));
        line(&mut out, &[&format!("`{name}`"), field.doc, &value, &default(field)]);
    }
    out
}

fn defect() -> String {
    nested(&[("", grammar::DEFECT), ("kernels", grammar::KERNELS), ("shows", grammar::SHOWS)])
}

fn limit() -> String {
    nested(&[("", grammar::LIMIT), ("kernels", grammar::KERNELS), ("lost", grammar::LOST)])
}

/// The keys of a map and of the maps below it.
fn nested(maps: &[(&'static str, &'static [Field])]) -> String {
    let all = maps.iter().flat_map(|(name, fields)| fields.iter().map(move |field| (*name, field)));
    let mut out = "| key | what it is | value | default |\n| --- | --- | --- | --- |\n".to_owned();
    for (above, field) in all {
        let name = if above.is_empty() { field.name.to_owned() } else { format!("{above}: {}", field.name) };
        line(&mut out, &[&format!("`{name}`"), field.doc, &value(field.shape), &default(field)]);
    }
    out
}

fn needs() -> String {
    let mut out = "| capability | what a kernel has it by |\n| --- | --- |\n".to_owned();
    for capability in Capability::all() {
        line(&mut out, &[&format!("`{}`", capability.name()), capability.met_by()]);
    }
    out
}

fn verbs() -> String {
    let mut out = String::new();
    for (heading, forms) in GROUPS {
        if !out.is_empty() {
            out.push('\n');
        }
        out += &format!("### {heading}\n\n| verb, its fields | what it does | value | default |\n");
        out += "| --- | --- | --- | --- |\n";
        for form in *forms {
            verb(&mut out, form);
        }
    }
    out
}

fn verb(out: &mut String, form: &Form) {
    line(out, &[&format!("**`{}`**", form.name), &format!("{}{}", form.doc, counts(form)), "", ""]);
    for field in form.fields {
        let short = if form.short == Some(field.name) { " (short form)" } else { "" };
        let default = if form.one_of.contains(&field.name) {
            let others: Vec<_> = form.one_of.iter().map(|name| format!("`{name}`")).collect();
            format!("one of {}", others.join(", "))
        } else {
            default(field)
        };
        line(out, &[&format!("· `{}`{short}", field.name), field.doc, &value(field.shape), &default]);
    }
}

/// Which counts a step may be expected to give.
fn counts(form: &Form) -> String {
    let counts = match form.expect {
        Expect::No => return ". Takes no `expect`".to_owned(),
        Expect::Yes(counts) => counts,
    };
    match counts {
        [] => String::new(),
        _ => {
            let each: Vec<_> = counts.iter().map(|count| format!("`{{{count}: n}}`")).collect();
            format!(". May expect {}", each.join(", "))
        }
    }
}

fn expect() -> String {
    let mut out = "| value | the step must | of |\n| --- | --- | --- |\n".to_owned();
    for (value, must) in expectation::MEANINGS {
        let count = value.strip_prefix('{').and_then(|rest| rest.split(':').next());
        let of = match count {
            None => "every verb that takes it".to_owned(),
            Some(count) => {
                let takes =
                    |form: &&Form| matches!(form.expect, Expect::Yes(counts) if counts.contains(&count));
                let forms: Vec<_> =
                    grammar::forms().filter(takes).map(|form| format!("`{}`", form.name)).collect();
                forms.join(", ")
            }
        };
        let shown = if value.is_empty() { "nothing".to_owned() } else { format!("`{value}`") };
        line(&mut out, &[&shown, must, &of]);
    }
    out
}

fn never_chosen() -> String {
    let names: Vec<_> = NEVER_CHOSEN.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ") + "\n"
}

fn words() -> String {
    let mut out = "| where | words |\n| --- | --- |\n".to_owned();
    let mut row = |place: &str, words: Vec<String>| line(&mut out, &[place, &words.join(", ")]);
    row("`file`", quoted(special_files().into_iter()));
    row("`check` of a known defect", quoted(CHECKS.iter().copied()));
    row("`capability`", numbered(CAPABILITIES));
    row("`resource`", numbered(LIMITS));
    row("`signal`", numbered(SIGNALS));
    row("`events`", numbered(EVENTS));
    let hex = |table: &[(&str, u32)]| {
        table.iter().map(|(name, number)| format!("`{name}` ({number:#x})")).collect()
    };
    row("`answer`", hex(RESPONSES));
    row("`command`", hex(COMMANDS));
    out
}

fn quoted<'w>(words: impl Iterator<Item = &'w str>) -> Vec<String> {
    words.map(|word| format!("`{word}`")).collect()
}

fn numbered<T: std::fmt::Display>(table: &[(&str, T)]) -> Vec<String> {
    table.iter().map(|(name, number)| format!("`{name}` ({number})")).collect()
}

fn default(field: &Field) -> String {
    match (field.required, field.default) {
        (Some(_), _) => "required".to_owned(),
        (None, default) => default.unwrap_or("none").to_owned(),
    }
}

/// What may stand there, in words.
fn value(shape: Shape) -> String {
    let either = |words: &[&str]| quoted(words.iter().copied()).join(", ");
    match shape {
        Shape::Number(from, to) => format!("{} to {}", number(from), number(to)),
        Shape::Signed => "a number of 64 bits, which may be negative".to_owned(),
        Shape::NumberOr(from, to, words) => {
            format!("{} to {}, or {}", number(from), number(to), either(words))
        }
        Shape::Truth => "`true`, `false`".to_owned(),
        Shape::Name => "a name".to_owned(),
        Shape::Text | Shape::Bytes => "text".to_owned(),
        Shape::Texts => "text, or a list of texts".to_owned(),
        Shape::Hex => "hexadecimal digits".to_owned(),
        // Those that are too many for a cell have a row in the table of words.
        Shape::Word(words) if words.len() > MOST_WORDS => "a word, see below".to_owned(),
        Shape::Capabilities => "words, one or a list, see below".to_owned(),
        Shape::Words(words) if words.len() > MANY_WORDS => "words, one or a list, see below".to_owned(),
        Shape::Word(words) => either(words),
        Shape::Words(words) => format!("one or a list of {}", either(words)),
        Shape::Code => "a code, see [findings.md](findings.md)".to_owned(),
        Shape::Finding => "a map".to_owned(),
        Shape::CommandLine => "words, one or a list".to_owned(),
        Shape::Path => "an absolute path".to_owned(),
        Shape::File => "a file, see below".to_owned(),
        Shape::Banks => "one or a list".to_owned(),
        Shape::Steps => "a list of steps".to_owned(),
        Shape::Choice => "a list of steps and of lists of steps".to_owned(),
        Shape::Version => "up to three numbers, in quotes".to_owned(),
        Shape::Matrix => "a map of lists".to_owned(),
        Shape::Tasks | Shape::Programs | Shape::Files => "a map".to_owned(),
        Shape::Arguments => "texts, one or a list".to_owned(),
        Shape::Map(_) => "a map".to_owned(),
        Shape::Maps(_) => "a map, or a list of them".to_owned(),
    }
}

/// Most words of a cell.
const MOST_WORDS: usize = 8;
/// Most words of a cell where several may be given.
const MANY_WORDS: usize = 16;

/// A number as a person reads it.
fn number(number: u64) -> String {
    for bits in [32, 63] {
        if number == (1 << bits) - 1 {
            return format!("2^{bits} - 1");
        }
    }
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn line(out: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}
