//! System calls on descriptors.

use std::collections::BTreeSet;

use super::super::error::ScenarioError;
use super::super::fields::Fields;
use super::super::model::{Bytes, Call, Flag, Flags, Moved, Transfer, Verb, Whence, WriteOf};
use super::super::steps::Reader;
use super::lists;

/// Bytes that a read asks for unless the scenario says otherwise.
const CHUNK: u32 = 64 * 1024;
/// Bytes that are mapped unless the scenario says otherwise: a page.
const PAGE: u32 = 4096;

pub(super) fn read(
    _: &mut Reader<'_>,
    verb: &str,
    fields: &Fields<'_>,
) -> Result<Option<Verb>, ScenarioError> {
    Ok(Some(Verb::Call(match verb {
        "open" => {
            Call::Open { slot: fields.needed_name("as")?, file: lists::file(fields)?, flags: flags(fields)? }
        }
        "read" => Call::Read { slot: fields.needed_name("from")?, what: transfer(fields)? },
        "write" => write(fields)?,
        "seek" => Call::Seek {
            slot: fields.needed_name("of")?,
            to: fields.signed("to")?.unwrap_or(0),
            from: match fields.word("from")? {
                Some("current") => Whence::Current,
                Some("end") => Whence::End,
                _ => Whence::Start,
            },
        },
        "close" => Call::Close { slot: fields.needed_name("as")? },
        "duplicate" => Call::Duplicate { slot: fields.needed_name("from")?, to: fields.needed_name("as")? },
        "map" => Call::Map {
            slot: fields.needed_name("of")?,
            bytes: fields.number32("bytes")?.unwrap_or(PAGE),
            write: fields.truth("write")?,
        },
        "splice" => Call::Splice {
            slot: fields.needed_name("of")?,
            what: match fields.one_of()? {
                "bytes" => Moved::Out { bytes: fields.number32("bytes")?.unwrap_or(0) },
                _ => Moved::In(text(fields)?),
            },
        },
        "poll" => {
            let events: BTreeSet<_> = fields.words("events")?.into_iter().map(|(_, word)| word).collect();
            let events = if events.is_empty() { BTreeSet::from(["in", "out"]) } else { events };
            Call::Poll { slot: fields.needed_name("of")?, events }
        }
        "truncate" => {
            Call::Truncate { slot: fields.needed_name("of")?, length: fields.signed("length")?.unwrap_or(0) }
        }
        "send-descriptor" => Call::Send { slot: fields.needed_name("of")?, to: fields.needed_name("to")? },
        "receive-descriptor" => Call::Receive { slot: fields.needed_name("as")? },
        "take-descriptor" => {
            Call::Take { from: fields.needed_name("from")?, slot: fields.needed_name("as")? }
        }
        _ => return Ok(None),
    })))
}

fn text(fields: &Fields<'_>) -> Result<Bytes, ScenarioError> {
    Ok(Bytes(fields.bytes("text")?.unwrap_or_default().as_bytes().to_vec()))
}

fn transfer(fields: &Fields<'_>) -> Result<Transfer, ScenarioError> {
    if let Some(bytes) = fields.number32("bad-pointer")? {
        for other in ["limit", "chunk", "at", "bytes"] {
            fields.without(other, "bad-pointer")?;
        }
        return Ok(Transfer::BadPointer { bytes });
    }
    if let Some(offset) = fields.signed("at")? {
        for other in ["limit", "chunk"] {
            fields.without(other, "at")?;
        }
        return Ok(Transfer::At { offset, bytes: fields.number32("bytes")?.unwrap_or(CHUNK) });
    }
    if let Some(node) = fields.get("bytes") {
        return Err(fields
            .source
            .error(node.at, "step `read`: `bytes` without `at`")
            .expected("`limit: N` reads at most N bytes from the offset on"));
    }
    Ok(Transfer::Stream { limit: fields.number("limit")?, chunk: fields.number32("chunk")?.unwrap_or(CHUNK) })
}

fn write(fields: &Fields<'_>) -> Result<Call, ScenarioError> {
    let slot = fields.needed_name("to")?;
    let at = fields.signed("at")?;
    let what = match fields.one_of()? {
        "text" => WriteOf::Bytes(text(fields)?),
        "hex" => WriteOf::Bytes(hex(fields)?),
        _ => {
            fields.without("at", "bad-pointer")?;
            WriteOf::BadPointer { bytes: fields.number32("bad-pointer")?.unwrap_or(0) }
        }
    };
    Ok(Call::Write { slot, what, at })
}

fn hex(fields: &Fields<'_>) -> Result<Bytes, ScenarioError> {
    let digits = fields.bytes("hex")?.unwrap_or_default();
    hex::decode(digits).map(Bytes).map_err(|_| {
        let at = fields.get("hex").map_or(fields.at(), |node| node.at);
        fields
            .source
            .error(at, format!("`hex`: `{digits}` is not hexadecimal"))
            .expected("an even number of hexadecimal digits, in quotes: \"410a\"")
    })
}

/// The access that `create`, `append` and `truncate` imply without one of their own, and one access at most.
fn flags(fields: &Fields<'_>) -> Result<Flags, ScenarioError> {
    let given = fields.words("flags")?;
    let mut flags = BTreeSet::new();
    for (at, word) in &given {
        let Some((_, flag)) = Flag::ALL.into_iter().find(|(name, _)| name == word) else { continue };
        if !flags.insert(flag) {
            return Err(fields.source.error(*at, format!("`flags`: `{word}` is given twice")));
        }
    }
    let access = [Flag::Read, Flag::Write, Flag::ReadWrite];
    let accesses: Vec<_> =
        given.iter().filter(|(_, word)| access.iter().any(|flag| flag.name() == *word)).collect();
    if let [first, second, ..] = accesses.as_slice() {
        return Err(fields
            .source
            .error(second.0, format!("`flags`: `{}` beside `{}`", second.1, first.1))
            .expected("one of read, write, read-write"));
    }
    if flags.len() == 1 && flags.contains(&Flag::Create) {
        flags.insert(Flag::Truncate);
    }
    if accesses.is_empty() {
        let writes = [Flag::Create, Flag::Append, Flag::Truncate].iter().any(|flag| flags.contains(flag));
        flags.insert(if writes { Flag::Write } else { Flag::Read });
    }
    Ok(Flags(flags))
}
