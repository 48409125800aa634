//! The TPM trace for a reader: a line for each command, what was extended below it.

use std::io::{self, Write};

use crate::event::{Event, Exchange, Origin, Trace, What};
use crate::ima::Bank;

/// Size of the header of a command and of an answer: tag, size, code (TPM 2.0 Library Part 1, 18).
const HEADER: usize = 10;
/// `TPM_CC_PCR_Extend` (Part 2, 6.5.2).
const PCR_EXTEND: u32 = 0x0000_0182;

/// Names of the command codes that Linux, the firmware and tss-esapi send (Part 2, 6.5.2).
const COMMANDS: [(u32, &str); 27] = [
    (0x0000_0121, "HierarchyControl"),
    (0x0000_012b, "PCR_Allocate"),
    (0x0000_0131, "CreatePrimary"),
    (0x0000_013d, "PCR_Reset"),
    (0x0000_0143, "SelfTest"),
    (0x0000_0144, "Startup"),
    (0x0000_0145, "Shutdown"),
    (0x0000_014e, "NV_Read"),
    (0x0000_0153, "Create"),
    (0x0000_0157, "Load"),
    (0x0000_0158, "Quote"),
    (0x0000_015d, "Sign"),
    (0x0000_0161, "ContextLoad"),
    (0x0000_0162, "ContextSave"),
    (0x0000_0165, "FlushContext"),
    (0x0000_0169, "NV_ReadPublic"),
    (0x0000_0173, "ReadPublic"),
    (0x0000_0176, "StartAuthSession"),
    (0x0000_0177, "VerifySignature"),
    (0x0000_017a, "GetCapability"),
    (0x0000_017b, "GetRandom"),
    (0x0000_017c, "GetTestResult"),
    (0x0000_017d, "Hash"),
    (0x0000_017e, "PCR_Read"),
    (PCR_EXTEND, "PCR_Extend"),
    (0x0000_0185, "EventSequenceComplete"),
    (imalab_wire::MARK_COMMAND, "mark"),
];

/// Writes the lines: number of the event, seconds since the machine was started, milliseconds until the answer was passed
/// on, sender, locality, command, answer.
///
/// # Errors
/// Those of the writer.
pub fn tpm_text(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# event, begin (s), duration (ms), sender, locality, command, answer")?;
    for Event { seq, what, .. } in &trace.events {
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
    };
    let micros = exchange.end_ns.saturating_sub(exchange.begin_ns) / 1000;
    let command = match code(&exchange.command) {
        None => format!("no command: {}", hex::encode(&exchange.command)),
        Some(code) => match COMMANDS.iter().find(|(number, _)| *number == code) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("command {code:#010x}"),
        },
    };
    let answer = match code(&exchange.answer) {
        None if exchange.answer.is_empty() => "no answer".to_owned(),
        None => format!("no answer's header: {}", hex::encode(&exchange.answer)),
        Some(0) => "ok".to_owned(),
        Some(code) => format!("TPM_RC {code:#x}"),
    };
    writeln!(
        out,
        "{seq:>7} {:>12.6} {:>6}.{:03} {origin:<7} {} {command:<16} {answer}",
        exchange.begin_ns as f64 / 1e9,
        micros / 1000,
        micros % 1000,
        exchange.locality,
    )?;
    if code(&exchange.command) == Some(PCR_EXTEND) {
        match extended(&exchange.command) {
            Some((pcr, digests)) => {
                for (bank, digest) in digests {
                    writeln!(out, "        PCR {pcr} {bank} {}", hex::encode(digest))?;
                }
            }
            None => writeln!(out, "        malformed: {}", hex::encode(&exchange.command))?,
        }
    }
    Ok(())
}

fn code(packet: &[u8]) -> Option<u32> {
    be32(packet.get(6..HEADER)?)
}

fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// A digest for each bank.
type Digests<'a> = Vec<(Bank, &'a [u8])>;

/// PCR and digests of a `PCR_Extend`: handle, size of the authorisation area and that area, `TPML_DIGEST_VALUES`
/// (Part 3, 22.2). `None` unless the command ends where its parameters do.
fn extended(command: &[u8]) -> Option<(u32, Digests<'_>)> {
    let (pcr, rest) = command.get(HEADER..)?.split_first_chunk::<4>()?;
    let (size, rest) = rest.split_first_chunk::<4>()?;
    let rest = rest.get(usize::try_from(u32::from_be_bytes(*size)).ok()?..)?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut digests = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (algorithm, after) = rest.split_first_chunk::<2>()?;
        let bank = Bank::from_tpm_alg(u16::from_be_bytes(*algorithm))?;
        let (digest, after) = after.split_at_checked(bank.digest_size())?;
        digests.push((bank, digest));
        rest = after;
    }
    rest.is_empty().then_some((u32::from_be_bytes(*pcr), digests))
}
