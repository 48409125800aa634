//! Verbs that work on the measurement list, and files.

use imalab_wire::Violation;

use super::super::error::ScenarioError;
use super::super::fields::{self, Fields};
use super::super::grammar::special_files;
use super::super::model::{Attestation, File, Files, Records, Verb, Way};
use super::super::steps::Reader;
use crate::vocabulary::Form;
use imalab_formats::ima::Bank;
use imalab_formats::ima::lists::Mark;

pub(super) fn read(
    reader: &mut Reader<'_>,
    verb: &str,
    fields: &Fields<'_>,
) -> Result<Option<Verb>, ScenarioError> {
    Ok(Some(match verb {
        "measure" => Verb::Measure {
            files: files(reader, fields)?,
            by: match fields.word("by")? {
                Some("exec") => Way::Execute,
                Some("mmap") => Way::Map,
                _ => Way::Open,
            },
        },
        "violate" => Verb::Violate {
            files: files(reader, fields)?,
            kind: match fields.word("kind")? {
                Some("time-of-use") => Violation::TimeOfUse,
                _ => Violation::OpenWriters,
            },
        },
        "stage" => Verb::Stage,
        "save" => Verb::Save,
        "delete" => Verb::Delete,
        "trim" => match fields.one_of()? {
            "to" => Verb::TrimTo {
                mark: match (fields.number("to")?, fields.word_for_number("to")?) {
                    (Some(number), _) => Mark::Nth(number),
                    (None, Some("first")) => Mark::First,
                    (None, _) => Mark::Last,
                },
            },
            _ => Verb::Trim { records: fields.number("records")?.map_or(Records::All, Records::Exactly) },
        },
        "mark-log" => Verb::MarkLog,
        "snapshot" => Verb::Snapshot { purges: false },
        "purge" => Verb::Snapshot { purges: true },
        "attest" => Verb::Attest(match fields.word("how")? {
            Some("stage") => Attestation::Stage,
            _ => Attestation::Trim,
        }),
        "quote" => Verb::Quote,
        "checkpoint" => Verb::Checkpoint,
        "view" => Verb::View { file: file(fields)? },
        "create" => Verb::Create {
            path: fields.path("path")?.unwrap_or_default().to_owned(),
            text: fields.bytes("text")?.unwrap_or_default().to_owned(),
        },
        _ => return Ok(None),
    }))
}

/// The files of `measure` and `violate`.
fn files(reader: &Reader<'_>, fields: &Fields<'_>) -> Result<Files, ScenarioError> {
    Ok(Files { count: fields.number("files")?.unwrap_or(1), ..one(reader, fields)? })
}

/// One file, by its name and salt.
pub(super) fn one(reader: &Reader<'_>, fields: &Fields<'_>) -> Result<Files, ScenarioError> {
    let name = fields.name("name")?;
    Ok(Files {
        count: 1,
        named: name.is_some(),
        name: match name {
            Some(name) => name.to_owned(),
            // Files of its own for every step that does not name them.
            None => format!("{}-{}", reader.task, reader.steps.len() + 1),
        },
        salt: fields.text("salt")?.unwrap_or_default().to_owned(),
    })
}

/// `file` and `bank`.
pub(super) fn file(fields: &Fields<'_>) -> Result<File, ScenarioError> {
    let source = fields.source;
    let node = fields.required("file")?;
    let name = fields::text(source, node, "file")?;
    let bank = fields.word("bank")?.and_then(|name| name.parse::<Bank>().ok());
    let list = |form, staged| File::List { form, bank, staged };
    let file = match name {
        "binary" => list(Form::Binary, false),
        "ascii" => list(Form::Ascii, false),
        "staged-binary" => list(Form::Binary, true),
        "staged-ascii" => list(Form::Ascii, true),
        "count" => File::Count,
        "violations" => File::Violations,
        path if fields::is_path(path) => File::Path(path.to_owned()),
        name => {
            if let Some(own) = special_files().into_iter().find(|own| *own == name) {
                return without_bank(fields, name, File::Own(own));
            }
            let error = source.error(node.at, format!("unknown file `{name}`"));
            return Err(error.one_of(name, special_files().into_iter().chain(["an absolute path"])));
        }
    };
    match file {
        File::List { .. } => Ok(file),
        file => without_bank(fields, name, file),
    }
}

fn without_bank(fields: &Fields<'_>, name: &str, file: File) -> Result<File, ScenarioError> {
    match fields.get("bank") {
        Some(node) => Err(fields.source.error(node.at, format!("`{name}` has no bank"))),
        None => Ok(file),
    }
}
