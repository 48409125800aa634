//! Programs that are not ours.

use super::super::error::ScenarioError;
use super::super::fields::Fields;
use super::super::model::{Awaited, KillAt, Verb};
use super::super::steps::Reader;

pub(super) fn read(
    reader: &mut Reader<'_>,
    verb: &str,
    fields: &Fields<'_>,
) -> Result<Option<Verb>, ScenarioError> {
    let program = || fields.needed_name("program");
    Ok(Some(match verb {
        "start" => {
            let program = program()?;
            let every = fields.word("counting")? == Some("every");
            if let (None, Some(node)) = (fields.get("kill-at"), fields.get("counting")) {
                return Err(reader
                    .source
                    .error(node.at, "`counting` means nothing without `kill-at`")
                    .expected("`kill-at:` and the number of a call"));
            }
            let call = match fields.word_for_number("kill-at")? {
                Some(_) => Some(u64::from(reader.round("start", &program)) + 1),
                None => fields.number("kill-at")?,
            };
            Verb::Start { program, kill_at: call.map(|call| KillAt { call, every }) }
        }
        "wait-for" => {
            let what = match fields.one_of()? {
                "says" => Awaited::Line(fields.text("says")?.unwrap_or_default().to_owned()),
                _ => {
                    let status = fields.number("status")?.unwrap_or(0);
                    Awaited::Status(u8::try_from(status).unwrap_or(u8::MAX))
                }
            };
            Verb::WaitFor { program: program()?, what }
        }
        _ => return Ok(None),
    }))
}
