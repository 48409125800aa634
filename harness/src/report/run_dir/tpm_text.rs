//! The TPM trace for a reader: a line for each command, what was extended below it.

use std::io::{self, Write};

use imalab_formats::ima::Bank;
use imalab_formats::tpm::command::{Command, CommandError, command_code, name, parse, response_code};
use imalab_trace::{Event, Exchange, Origin, Trace, What};

/// Writes the lines: number of the event, seconds since the machine was started, milliseconds until the answer was
/// passed on, sender, locality, command, answer.
///
/// # Errors
/// Those of the writer.
pub fn tpm_text(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# event, begin (s), duration (ms), sender, locality, command, answer")?;
    for seen in trace.iter() {
        let seen = seen.map_err(io::Error::other)?;
        let Event { seq, what, .. } = seen.event();
        if let What::Tpm(exchange) = what {
            line(*seq, exchange, out)?;
        }
    }
    Ok(())
}

fn line(seq: u64, exchange: &Exchange, out: &mut impl Write) -> io::Result<()> {
    let origin = match exchange.origin {
        Origin::Guest => "guest",
        Origin::Harness => "harness",
        Origin::Mark => "mark",
        Origin::Kept => "kept",
    };
    let command = match command_code(&exchange.command) {
        None => "no command".to_owned(),
        Some(code) => name(code).map_or_else(|| format!("command {code:#010x}"), str::to_owned),
    };
    let answer = match response_code(&exchange.answer) {
        Ok(0) => "ok".to_owned(),
        Ok(code) => format!("TPM_RC {code:#x}"),
        Err(_) if exchange.answer.is_empty() => "no answer".to_owned(),
        Err(error) => format!("malformed ({error}): {}", hex::encode(&exchange.answer)),
    };
    let begin_us = exchange.begin_ns / 1000;
    let took_us = exchange.end_ns.saturating_sub(exchange.begin_ns) / 1000;
    writeln!(
        out,
        "{seq:>7} {:>5}.{:06} {:>6}.{:03} {origin:<7} {} {command:<22} {answer}",
        begin_us / 1_000_000,
        begin_us % 1_000_000,
        took_us / 1000,
        took_us % 1000,
        exchange.locality,
    )?;
    detail(parse(&exchange.command), &exchange.command, out)
}

/// What the command did, as far as it matters for a PCR, or why it could not be read.
fn detail(command: Result<Command, CommandError>, raw: &[u8], out: &mut impl Write) -> io::Result<()> {
    match command {
        Ok(Command::PcrExtend { pcr, digests }) => digests.iter().try_for_each(|(algorithm, digest)| {
            let bank =
                Bank::from_tpm_alg(*algorithm).map_or_else(|| format!("{algorithm:#06x}"), |b| b.to_string());
            writeln!(out, "        PCR {pcr} {bank} {}", hex::encode(digest))
        }),
        Ok(
            Command::PcrEvent { pcr, .. }
            | Command::EventSequenceComplete { pcr }
            | Command::PcrReset { pcr },
        ) => {
            writeln!(out, "        PCR {pcr}")
        }
        Ok(Command::Mark { number }) => writeln!(out, "        number {number}"),
        Ok(_) => Ok(()),
        Err(error) => writeln!(out, "        malformed ({error}): {}", hex::encode(raw)),
    }
}
