//! Tasks, processes and what they may do.

use super::super::error::ScenarioError;
use super::super::fields::Fields;
use super::super::grammar::{CAPABILITIES, LIMITS, SIGNALS};
use super::super::model::{Limit, Signal, Verb};
use super::super::steps::Reader;

/// What `kill` sends unless it says otherwise.
const KILL: (&str, i32) = ("KILL", nix::libc::SIGKILL);
/// `RLIM_INFINITY` (`include/uapi/asm-generic/resource.h`).
const UNLIMITED: u64 = u64::MAX;

pub(super) fn read(
    reader: &mut Reader<'_>,
    verb: &str,
    fields: &Fields<'_>,
) -> Result<Option<Verb>, ScenarioError> {
    let task = || fields.needed_name("task");
    Ok(Some(match verb {
        "fork" => Verb::Spawn { task: task()?, thread: false },
        "thread" => Verb::Spawn { task: task()?, thread: true },
        "barrier" => {
            let name = fields.needed_name("name")?;
            let round = reader.round("barrier", &name);
            Verb::Barrier { name, round }
        }
        "await-blocked" => Verb::AwaitBlocked { task: task()? },
        "kill" => {
            let (name, number) = fields.meaning("signal", SIGNALS)?.unwrap_or(KILL);
            Verb::Kill { task: task()?, signal: Signal { name, number } }
        }
        // The grammar has it below 256.
        "exit" => Verb::Exit { status: i32::try_from(fields.number("status")?.unwrap_or(0)).unwrap_or(0) },
        "drop-capability" => {
            let (name, number) = fields.needed_meaning("capability", CAPABILITIES)?;
            Verb::DropCapability { name, number }
        }
        "set-user" => Verb::SetUser { uid: fields.number32("uid")?.unwrap_or(0) },
        "user-namespace" => Verb::NewUserNamespace,
        "limit" => {
            let (name, number) = fields.needed_meaning("resource", LIMITS)?;
            Verb::SetLimit {
                resource: Limit { name, number },
                value: fields.number("value")?.unwrap_or(UNLIMITED),
            }
        }
        _ => return Ok(None),
    }))
}
