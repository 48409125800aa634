//! What a machine's processors do, as QEMU's monitor tells it: of a guest that does nothing more this is what there is to
//! begin with.

use std::time::Duration;

use serde_json::{Value, json};

use super::qmp::{Qmp, QmpError};

/// Longest text that is kept, in bytes: a processor's registers and those of its interrupt controller take five thousand.
const LONGEST: usize = 256 * 1024;

/// What the monitor says once of each processor.
const PROCESSOR: &str = "HLT=";

/// Registers and interrupt controllers of all processors.
pub(super) fn describe(qmp: &mut Qmp, patience: Duration) -> String {
    let mut text = match ask(qmp, "info registers -a", 0, patience) {
        Ok(text) => text,
        // Stopped or stuck: then that is what there is to say.
        Err(error) => return format!("{error}\n"),
    };
    for processor in 0..text.matches(PROCESSOR).count() {
        if text.len() > LONGEST {
            break;
        }
        match ask(qmp, "info lapic", processor, patience) {
            Ok(more) => text.push_str(&more),
            Err(error) => return format!("{text}{error}\n"),
        }
    }
    let end = text.floor_char_boundary(LONGEST);
    text.truncate(end);
    text
}

/// What the monitor for people says, with this processor as its own.
fn ask(qmp: &mut Qmp, line: &str, processor: usize, patience: Duration) -> Result<String, QmpError> {
    let arguments = json!({"command-line": line, "cpu-index": processor});
    match qmp.execute("human-monitor-command", arguments, patience)? {
        Value::String(text) => Ok(text),
        other => Err(QmpError::Malformed(format!("`{line}` returned {other}"))),
    }
}
