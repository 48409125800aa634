//! `files:` and `programs:`.

use std::collections::BTreeSet;

use imalab_wire::PROGRAMS;

use super::error::{ScenarioError, Source};
use super::fields::{self, Fields};
use super::grammar;
use super::model::{GuestFile, Program, Task, Verb};
use super::node::{Key, Kind, Node};

/// Most programs of a scenario, and files.
const MAX_PROGRAMS: usize = 64;
const MAX_FILES: usize = 256;

/// How many processes and threads of a program may use the lists unless it says otherwise.
const PROCESSES: u16 = 2;

/// Permissions of a file unless it says otherwise.
const MODE: u32 = 0o644;

fn entries<'n>(
    source: &Source,
    node: Option<&'n Node>,
    name: &str,
    (most, expected): (usize, &str),
) -> Result<&'n [(Key, Node)], ScenarioError> {
    let Some(node) = node else { return Ok(&[]) };
    let Kind::Map(entries) = &node.kind else {
        return Err(source
            .error(node.at, format!("`{name}`: expected a map, found {}", node.found()))
            .expected(expected));
    };
    match entries.get(most) {
        Some((key, _)) => Err(source.error(key.at, format!("`{name}`: more than {most} of them"))),
        None => Ok(entries),
    }
}

/// Reads `files:`.
pub(super) fn files(source: &Source, body: &Fields<'_>) -> Result<Vec<GuestFile>, ScenarioError> {
    let expected = "an absolute path in the guest and its text: `/etc/config: \"text\"`";
    let entries = entries(source, body.get("files"), "files", (MAX_FILES, expected))?;
    entries.iter().map(|(key, value)| file(source, key, value)).collect()
}

fn file(source: &Source, key: &Key, value: &Node) -> Result<GuestFile, ScenarioError> {
    let path = key.name.as_str();
    let whole = fields::is_path(path) && !path.ends_with('/');
    if !whole || path.split('/').any(|part| part == "..") {
        return Err(source
            .error(key.at, format!("`files`: `{path}` is not an absolute path"))
            .expected("a path in the guest that begins with `/` and goes down alone"));
    }
    let own = ["/proc", "/sys", "/dev", "/m", "/init", "/kernels"];
    if own
        .iter()
        .any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    {
        return Err(source
            .error(key.at, format!("`files`: `{path}` is the guest's own"))
            .expected(format!("a path outside of {}", own.map(|own| format!("`{own}`")).join(", "))));
    }
    let (text, mode) = match &value.kind {
        Kind::Map(_) => {
            let fields = Fields::of(source, value, &format!("file `{path}`"), grammar::FILE)?;
            let mode = fields.text("mode")?.map(|mode| permissions(source, &fields, mode)).transpose()?;
            (fields.bytes("text")?.unwrap_or_default().to_owned(), mode.unwrap_or(MODE))
        }
        Kind::Text(text) => (text.clone(), MODE),
        _ => {
            return Err(source
                .error(value.at, format!("`files`: expected text, found {}", value.found()))
                .expected(
                    "text, or `{text, mode}`; text that YAML takes for a number or a boolean needs quotes",
                ));
        }
    };
    Ok(GuestFile { path: path.to_owned(), text, mode })
}

fn permissions(source: &Source, fields: &Fields<'_>, mode: &str) -> Result<u32, ScenarioError> {
    let at = fields.get("mode").map_or(fields.at(), |node| node.at);
    u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        source
            .error(at, format!("`mode`: `{mode}` is no permissions"))
            .expected("octal digits in quotes: `\"0755\"`")
    })
}

/// Reads `programs:`.
pub(super) fn programs(
    source: &Source,
    body: &Fields<'_>,
    tasks: &[Task],
) -> Result<Vec<Program>, ScenarioError> {
    let expected = "a program's name, and what it runs: `reader: {run: /bin/cat}`";
    let entries = entries(source, body.get("programs"), "programs", (MAX_PROGRAMS, expected))?;
    let names: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    let one = |(key, value): &(Key, Node)| {
        if !fields::is_name(&key.name) {
            return Err(source
                .error(key.at, format!("`{}` cannot name a program", key.name))
                .expected(fields::NAME_RULE));
        }
        if names.contains(key.name.as_str()) {
            return Err(source
                .error(key.at, format!("`{}` is a task and a program", key.name))
                .expected("another name for one of them"));
        }
        program(source, &key.name, value)
    };
    entries.iter().map(one).collect()
}

fn program(source: &Source, name: &str, value: &Node) -> Result<Program, ScenarioError> {
    let fields = Fields::of(source, value, &format!("program `{name}`"), grammar::PROGRAM)?;
    let run = fields.text("run")?.unwrap_or_default();
    let path = match run {
        path if fields::is_path(path) => path.to_owned(),
        name if fields::is_name(name) => format!("{PROGRAMS}/{name}"),
        _ => {
            return Err(source
                .error(
                    fields.get("run").map_or(fields.at(), |node| node.at),
                    format!("`run`: `{run}` is no program"),
                )
                .expected(
                    "an absolute path in the guest, or the name of a program of the image: `logkeeper`",
                ));
        }
    };
    let environment = fields.arguments("environment")?;
    if let Some(wrong) = environment.iter().find(|word| word.find('=').is_none_or(|at| at == 0)) {
        return Err(source
            .error(
                fields.get("environment").map_or(fields.at(), |node| node.at),
                format!("`environment`: `{wrong}` sets nothing"),
            )
            .expected("`NAME=VALUE` for each"));
    }
    let processes = fields.number("processes")?.and_then(|number| u16::try_from(number).ok());
    Ok(Program {
        name: name.to_owned(),
        path,
        arguments: fields.arguments("arguments")?,
        environment,
        user: fields.number32("user")?,
        processes: processes.unwrap_or(PROCESSES),
    })
}

/// The start of a program that a later step means: the last one before it in its task, or the only one of its boot. The task and the
/// step there.
pub(crate) fn start_of(
    tasks: &[Task],
    (task, step): (usize, usize),
    program: &str,
) -> Option<(usize, usize)> {
    let starts = |of: usize| {
        let steps = tasks[of].steps.iter().enumerate();
        steps.filter(|(_, step)| matches!(&step.verb, Verb::Start { program: name, .. } if name == program))
    };
    if let Some((at, _)) = starts(task).take_while(|(at, _)| *at < step).last() {
        return Some((task, at));
    }
    let boot = tasks[task].boot;
    let same_boot = (0..tasks.len()).filter(|other| tasks[*other].boot == boot && *other != task);
    let mut all = same_boot.flat_map(|other| starts(other).map(move |(at, _)| (other, at)));
    let only = all.next()?;
    all.next().is_none().then_some(only)
}
