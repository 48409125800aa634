//! What the monitor sends, line by line.

use std::io::{BufRead, Read};
use std::sync::mpsc::SyncSender;

use super::error::{MAX_LINE, QmpError};
use super::message::{Incoming, parse};
use imalab_trace::What;

/// The event by which QEMU tells how far it has got with moving a machine's state; only where that was asked for.
const MOVING: &str = "MIGRATION";

/// Reads until the stream ends or breaks, which is the last thing that is told.
pub(super) fn read(
    mut input: impl BufRead,
    events: &imalab_trace::Sender,
    found: &SyncSender<Result<Incoming, QmpError>>,
) {
    loop {
        let message = match read_line(&mut input) {
            Ok(line) => parse(&line).map_err(QmpError::Malformed),
            Err(reason) => Err(reason),
        };
        let over = message.is_err();
        // Nobody listens any more: then neither is the rest of interest, but QEMU must not block on us.
        match message {
            // Asked for, and nothing that the guest does.
            Ok(Incoming::Event(event)) if event["event"] == MOVING => {
                drop(found.try_send(Ok(Incoming::Event(event))))
            }
            Ok(Incoming::Event(event)) => drop(events.send(What::Qmp(event))),
            Ok(Incoming::Unknown) => {}
            other => drop(found.try_send(other)),
        }
        if over {
            return;
        }
    }
}

fn read_line(input: &mut impl BufRead) -> Result<Vec<u8>, QmpError> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    match line.last() {
        Some(b'\n') => Ok(line),
        Some(_) if line.len() as u64 == MAX_LINE => Err(QmpError::Oversized),
        Some(_) | None => Err(QmpError::Closed),
    }
}
