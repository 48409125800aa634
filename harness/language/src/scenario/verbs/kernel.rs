//! What is done to the TPM, to IMA's policy, and to the kernel as a whole.

use super::super::error::ScenarioError;
use super::super::fields::Fields;
use super::super::grammar::{self, COMMANDS, RESPONSES};
use super::super::model::{KexecCall, Leave, Policy, Verb};
use super::super::steps::Reader;
use super::{hold, lists};
use imalab_formats::tpm::fault::{Fault, How};

pub(super) fn read(
    reader: &mut Reader<'_>,
    verb: &str,
    fields: &Fields<'_>,
) -> Result<Option<Verb>, ScenarioError> {
    Ok(Some(match verb {
        "hold" if fields.one_of()? == "task" => hold::read(fields)?,
        "hold" => {
            for of_a_task in ["at", "from", "until"] {
                fields.without(of_a_task, "name")?;
            }
            let name = fields.name("name")?.unwrap_or_default().to_owned();
            let round = reader.round("hold", &name);
            Verb::Hold { name, round }
        }
        "release" => {
            let name = fields.needed_name("name")?;
            let round = reader.round("release", &name);
            Verb::Release { name, round }
        }
        "tpm-fault" => Verb::TpmFault(fault(fields)?),
        "load-policy" => Verb::LoadPolicy(match fields.one_of()? {
            "rules" => Policy::Rules(fields.text("rules")?.unwrap_or_default().to_owned()),
            _ => Policy::Path(fields.path("path")?.unwrap_or_default().to_owned()),
        }),
        "load-module" => Verb::LoadModule { files: lists::one(reader, fields)? },
        "kexec-load" => kexec_load(fields)?,
        "kexec-unload" => Verb::KexecUnload,
        "kexec-execute" => Verb::KexecExecute { by: leave(fields)? },
        _ => return Ok(None),
    }))
}

/// `kexec-load`, and the first half of `kexec`.
pub(in crate::scenario) fn kexec_load(fields: &Fields<'_>) -> Result<Verb, ScenarioError> {
    let kernel = fields.text("kernel")?.unwrap_or("same");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    if !kernel.chars().all(plain) || kernel.starts_with('.') {
        let at = fields.get("kernel").map_or(fields.at(), |node| node.at);
        return Err(fields
            .source
            .error(at, format!("`kernel`: `{kernel}` is not a kernel's name"))
            .expected("letters, digits, `.`, `_`, `+` and `-`, or `same`"));
    }
    let on = if fields.truth("on-crash")? { Leave::Panic } else { Leave::Reboot };
    let call = match (fields.word("call")?, on) {
        (Some("kexec-load"), Leave::Reboot) => KexecCall::Segments,
        // Where its segments go is not in the memory for that.
        (Some("kexec-load"), Leave::Panic) => {
            fields.without("on-crash", "call")?;
            KexecCall::Segments
        }
        _ => KexecCall::File { on },
    };
    let (args, without) = (fields.command_line("args")?, fields.command_line("without")?);
    Ok(Verb::KexecLoad { kernel: kernel.to_owned(), args, without, call })
}

fn leave(fields: &Fields<'_>) -> Result<Leave, ScenarioError> {
    Ok(match fields.word("by")? {
        Some("panic") => Leave::Panic,
        _ => Leave::Reboot,
    })
}

fn fault(fields: &Fields<'_>) -> Result<Fault, ScenarioError> {
    let carried_out = fields.truth("carried-out")?;
    let how = match fields.one_of()? {
        "answer" => {
            fields.without("carried-out", "answer")?;
            How::Answer { code: worded(fields, "answer", RESPONSES, 0)? }
        }
        "lost" => {
            if let (false, Some(node)) = (fields.truth("lost")?, fields.get("lost")) {
                return Err(fields
                    .source
                    .error(node.at, "step `tpm-fault`: nothing happens")
                    .expected("`lost: true`, or one of `answer` and `late-ms`"));
            }
            How::Lost { carried_out }
        }
        _ => How::Late { ms: fields.number32("late-ms")?.unwrap_or(0), carried_out },
    };
    Ok(Fault {
        command: worded(fields, "command", COMMANDS, imalab_formats::tpm::command::PCR_EXTEND)?,
        skip: fields.number32("skip")?.unwrap_or(0),
        times: fields.number32("times")?.unwrap_or(1),
        how,
    })
}

/// A number, or a word that stands for one.
fn worded(
    fields: &Fields<'_>,
    name: &str,
    table: &'static [(&'static str, u32)],
    otherwise: u32,
) -> Result<u32, ScenarioError> {
    let word = fields.word_for_number(name)?.and_then(|word| grammar::number(table, word));
    Ok(word.map(|(_, number)| number).or(fields.number32(name)?).unwrap_or(otherwise))
}
