//! Steps: one verb each, with its fields.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::error::{Place, ScenarioError, Source};
use super::fields::{self, Fields};
use super::model::{Access, Call, Expectation, File, Records, Step, Verb};
use super::node::{Kind, Node};
use crate::ima::Bank;
use crate::plan::Form;

/// Most steps of a task once `repeat` is written out.
pub const MAX_STEPS: usize = 4096;
/// Most files of a step: ten million records are beyond what a guest's memory holds.
const MAX_FILES: u64 = 10_000_000;
/// Bytes that a read asks for unless the scenario says otherwise.
const CHUNK: u32 = 64 * 1024;

/// A verb: its fields, and which of them `- verb: value` gives.
struct Grammar {
    name: &'static str,
    fields: &'static [&'static str],
    short: Option<&'static str>,
}

const VERBS: &[Grammar] = &[
    Grammar { name: "measure", fields: &["files", "name", "salt", "expect"], short: Some("files") },
    Grammar { name: "stage", fields: &["expect"], short: None },
    Grammar { name: "save", fields: &["expect"], short: None },
    Grammar { name: "delete", fields: &["expect"], short: None },
    Grammar { name: "trim", fields: &["records", "expect"], short: Some("records") },
    Grammar { name: "quote", fields: &[], short: None },
    Grammar { name: "checkpoint", fields: &[], short: None },
    Grammar { name: "barrier", fields: &["name"], short: Some("name") },
    Grammar { name: "repeat", fields: &["times", "steps"], short: None },
    Grammar { name: "view", fields: &["file", "bank", "expect"], short: Some("file") },
    Grammar { name: "open", fields: &["as", "file", "bank", "flags", "expect"], short: None },
    Grammar { name: "read", fields: &["from", "limit", "chunk", "expect"], short: Some("from") },
    Grammar { name: "write", fields: &["to", "text", "expect"], short: None },
    Grammar { name: "close", fields: &["as"], short: Some("as") },
];

/// Names of files that `open` knows.
const FILES: &[&str] = &["binary", "ascii", "staged-binary", "staged-ascii", "count", "violations"];

/// Reads a task's steps.
pub(super) fn read(source: &Source, node: &Node, task: &str) -> Result<Vec<(Place, Step)>, ScenarioError> {
    let mut reader = Reader { source, task, steps: Vec::new(), rounds: BTreeMap::new() };
    reader.list(node, "steps", false)?;
    Ok(reader.steps)
}

struct Reader<'s> {
    source: &'s Source,
    task: &'s str,
    steps: Vec<(Place, Step)>,
    /// How often this task has come to each barrier.
    rounds: BTreeMap<String, u16>,
}

impl Reader<'_> {
    fn list(&mut self, node: &Node, name: &str, repeated: bool) -> Result<(), ScenarioError> {
        let Kind::List(items) = &node.kind else {
            return Err(self
                .source
                .error(node.at, format!("`{name}`: expected a list of steps, found {}", node.found())));
        };
        if items.is_empty() {
            return Err(self.source.error(node.at, format!("`{name}`: the list is empty")));
        }
        for item in items {
            self.step(item, repeated)?;
            if self.steps.len() > MAX_STEPS {
                return Err(self
                    .source
                    .error(item.at, format!("task `{}` has more than {MAX_STEPS} steps", self.task)));
            }
        }
        Ok(())
    }

    fn step(&mut self, node: &Node, repeated: bool) -> Result<(), ScenarioError> {
        let names = || VERBS.iter().map(|verb| verb.name);
        let nothing = Node { at: node.at, kind: Kind::Null };
        let (at, name, value) = match &node.kind {
            Kind::Text(name) => (node.at, name, &nothing),
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] => (key.at, &key.name, value),
                _ => {
                    return Err(self
                        .source
                        .error(node.at, format!("a step has one verb, found {} keys", entries.len()))
                        .expected("the verb's fields are indented below it, or written in braces"));
                }
            },
            _ => {
                return Err(self
                    .source
                    .error(node.at, format!("expected a step, found {}", node.found()))
                    .expected("`- verb`, `- verb: value` or `- verb: {field: value}`"));
            }
        };
        let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
            return Err(self.source.error(at, format!("unknown verb `{name}`")).one_of(name, names()));
        };
        // `- trim: 5` is `- trim: {records: 5}`.
        let long;
        let value = match (&value.kind, verb.short) {
            (Kind::Map(_) | Kind::Null, _) | (_, None) => value,
            (_, Some(field)) => {
                let key = super::node::Key { at: value.at, name: field.to_owned() };
                long = Node { at: value.at, kind: Kind::Map(vec![(key, value.clone())]) };
                &long
            }
        };
        let fields = Fields::of(self.source, value, &format!("step `{name}`"), verb.fields)?;
        if verb.name == "repeat" {
            return self.repeat(node, &fields, repeated);
        }
        let step = Step {
            line: at.line,
            verb: self.verb(verb.name, &fields)?,
            expect: self.expectation(verb.name, fields.get("expect"))?,
        };
        self.steps.push((at, step));
        Ok(())
    }

    fn repeat(&mut self, node: &Node, fields: &Fields<'_>, repeated: bool) -> Result<(), ScenarioError> {
        if repeated {
            return Err(self.source.error(node.at, "`repeat` within `repeat`"));
        }
        let times = fields.required("times", "how often")?;
        let times = fields::number(self.source, times, "times", 1..=1000)?;
        let steps = fields.required("steps", "a list of steps")?;
        (0..times).try_for_each(|_| self.list(steps, "steps", true))
    }

    fn verb(&mut self, name: &str, fields: &Fields<'_>) -> Result<Verb, ScenarioError> {
        let source = self.source;
        let slot = |field: &str| -> Result<String, ScenarioError> {
            let node = fields.required(field, "the descriptor's name")?;
            Ok(fields::name(source, node, field)?.to_owned())
        };
        Ok(match name {
            "measure" => self.measure(fields)?,
            "stage" => Verb::Stage,
            "save" => Verb::Save,
            "delete" => Verb::Delete,
            "trim" => Verb::Trim { records: self.records(fields)? },
            "quote" => Verb::Quote,
            "checkpoint" => Verb::Checkpoint,
            "barrier" => {
                let node = fields.required("name", "the barrier's name")?;
                let name = fields::name(source, node, "name")?.to_owned();
                let round = self.rounds.entry(name.clone()).or_default();
                *round += 1;
                Verb::Barrier { name, round: *round - 1 }
            }
            "view" => Verb::View { file: self.file(fields)? },
            "open" => Verb::Call(Call::Open {
                slot: slot("as")?,
                file: self.file(fields)?,
                access: self.access(fields)?,
            }),
            "read" => Verb::Call(Call::Read {
                slot: slot("from")?,
                limit: fields
                    .get("limit")
                    .map(|node| fields::number(source, node, "limit", 0..=u64::from(u32::MAX)))
                    .transpose()?,
                chunk: match fields.get("chunk") {
                    // More than a mebibyte per call only costs the guest memory.
                    Some(node) => {
                        u32::try_from(fields::number(source, node, "chunk", 1..=1 << 20)?).unwrap_or(CHUNK)
                    }
                    None => CHUNK,
                },
            }),
            "write" => {
                let node = fields.required("text", "what to write, in double quotes: \"A\\n\"")?;
                let Kind::Text(text) = &node.kind else {
                    return Err(source
                        .error(node.at, format!("`text`: expected text, found {}", node.found()))
                        .expected("text that YAML takes for a number or a boolean needs quotes"));
                };
                Verb::Call(Call::Write { slot: slot("to")?, text: text.clone() })
            }
            // The table of verbs and this match name the same verbs; `repeat` has been dealt with.
            _ => Verb::Call(Call::Close { slot: slot("as")? }),
        })
    }

    fn measure(&self, fields: &Fields<'_>) -> Result<Verb, ScenarioError> {
        let files = match fields.get("files") {
            Some(node) => fields::number(self.source, node, "files", 1..=MAX_FILES)?,
            None => 1,
        };
        let name = match fields.get("name") {
            Some(node) => fields::name(self.source, node, "name")?.to_owned(),
            // Files of its own for every step that does not name them.
            None => format!("{}-{}", self.task, self.steps.len() + 1),
        };
        let salt = match fields.get("salt") {
            Some(node) => fields::text(self.source, node, "salt")?.to_owned(),
            None => String::new(),
        };
        Ok(Verb::Measure { files, name, salt })
    }

    fn records(&self, fields: &Fields<'_>) -> Result<Records, ScenarioError> {
        let node = fields.required("records", "how many, or `all`")?;
        match &node.kind {
            Kind::Text(text) if text == "all" => Ok(Records::All),
            Kind::Text(_) => Err(self
                .source
                .error(node.at, format!("`records`: expected a number, found {}", node.found()))
                .expected("a whole number or `all`")),
            // Beyond what any list holds, and within what 21 bytes of request can say.
            _ => fields::number(self.source, node, "records", 0..=i64::MAX as u64).map(Records::Exactly),
        }
    }

    fn file(&self, fields: &Fields<'_>) -> Result<File, ScenarioError> {
        let node = fields.required("file", "what to open")?;
        let name = fields::text(self.source, node, "file")?;
        let bank = match fields.get("bank") {
            Some(node) => {
                let name = fields::text(self.source, node, "bank")?;
                Some(name.parse::<Bank>().map_err(|_| {
                    self.source
                        .error(node.at, format!("unknown bank `{name}`"))
                        .one_of(name, Bank::ALL.into_iter().map(Bank::name))
                })?)
            }
            None => None,
        };
        let list = |form, staged| File::List { form, bank, staged };
        let file = match name {
            "binary" => list(Form::Binary, false),
            "ascii" => list(Form::Ascii, false),
            "staged-binary" => list(Form::Binary, true),
            "staged-ascii" => list(Form::Ascii, true),
            "count" => File::Count,
            "violations" => File::Violations,
            path if path.starts_with('/') && !path.contains('\0') => File::Path(path.to_owned()),
            _ => {
                let error = self.source.error(node.at, format!("unknown file `{name}`"));
                return Err(error.one_of(name, FILES.iter().copied().chain(["an absolute path"])));
            }
        };
        match (&file, fields.get("bank")) {
            (File::Count | File::Violations | File::Path(_), Some(node)) => {
                Err(self.source.error(node.at, format!("`{name}` has no bank")))
            }
            _ => Ok(file),
        }
    }

    fn access(&self, fields: &Fields<'_>) -> Result<Access, ScenarioError> {
        let Some(node) = fields.get("flags") else { return Ok(Access::Read) };
        match fields::text(self.source, node, "flags")? {
            "read" => Ok(Access::Read),
            "write" => Ok(Access::Write),
            "read-write" => Ok(Access::ReadWrite),
            "create" => Ok(Access::Create),
            other => Err(self
                .source
                .error(node.at, format!("unknown flags `{other}`"))
                .one_of(other, ["read", "write", "read-write", "create"])),
        }
    }

    fn expectation(&self, verb: &str, node: Option<&Node>) -> Result<Expectation, ScenarioError> {
        let Some(node) = node else { return Ok(Expectation::Default) };
        let counted = match verb {
            "measure" => &["new-records"][..],
            "save" | "read" | "view" => &["records"][..],
            _ => &[],
        };
        match &node.kind {
            Kind::Text(text) if text == "ok" => Ok(Expectation::Ok),
            Kind::Text(text) if text == "any" => Ok(Expectation::Any),
            Kind::Text(text) => errno(text).map(Expectation::Errno).ok_or_else(|| {
                let known = ["ok", "any"].into_iter().chain(ERRNOS.iter().copied());
                self.source.error(node.at, format!("unknown errno `{text}`")).one_of(text, known)
            }),
            Kind::Map(_) if !counted.is_empty() => {
                let fields = Fields::of(self.source, node, "`expect`", counted)?;
                let field = counted[0];
                let value = fields.required(field, "a number of records")?;
                let value = fields::number(self.source, value, field, 0..=MAX_FILES)?;
                Ok(if field == "records" {
                    Expectation::Records(value)
                } else {
                    Expectation::NewRecords(value)
                })
            }
            _ => {
                let counts =
                    counted.first().map(|field| format!(", or `{{{field}: N}}`")).unwrap_or_default();
                Err(self
                    .source
                    .error(node.at, format!("`expect`: step `{verb}` cannot expect {}", node.found()))
                    .expected(format!("`ok`, `any`, the name of an errno{counts}")))
            }
        }
    }
}

/// Errnos that the measurement files can give, for the hint; any name of Linux is taken.
const ERRNOS: &[&str] = &[
    "EACCES", "EBADF", "EBUSY", "EEXIST", "EINVAL", "ENFILE", "ENOENT", "ENOMEM", "EPERM", "ERANGE", "ESTALE",
];

/// The number behind an errno's name; `Errno` knows them all but has no parser.
fn errno(name: &str) -> Option<i32> {
    // The highest errno of Linux is EHWPOISON, 133 (`include/uapi/asm-generic/errno.h`).
    (1..=133).find(|number| format!("{:?}", Errno::from_raw(*number)) == name && name != "UnknownErrno")
}
