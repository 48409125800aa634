//! Findings of the check `replay` in words.

use super::parts::{count, described_or, prefix, step};
use imalab_language::finding::Replay;

pub(super) fn words(finding: &Replay) -> String {
    match finding {
        Replay::PcrDiffers {
            step: at,
            mark,
            bank,
            records,
            extends,
            expected_digest,
            found_digest,
            prefix: part,
        } => format!(
            "{}, mark {mark}: {bank}: the log of {}, replayed, gives {expected_digest}, PCR 10 is {found_digest} after {}; {}",
            step(at),
            count(*records, "record"),
            count(*extends, "extend"),
            prefix(*part)
        ),
        Replay::ChangedBehindTheTap { mark, bank, extends, expected_digest, found_digest } => format!(
            "mark {mark}: {bank}: the {} that the tap saw give {expected_digest}, PCR 10 is {found_digest}",
            count(*extends, "extend")
        ),
        Replay::Banks { mark, expected, found } => format!(
            "mark {mark}: PCR 10 was read in banks [{}], expected [{}]",
            found.join(" "),
            expected.join(" ")
        ),
        Replay::SampledDiffers { step: at, mark, record, number, event } => format!(
            "{}, mark {mark}: record {number} {} is not what extend {number} is of (event {event}), though other tasks ran \
             only after it",
            step(at),
            described_or(record.as_ref(), "of the log")
        ),
        Replay::TooFarAhead { step: at, mark, records, extends, most } => format!(
            "{}, mark {mark}: the log holds {}, only {} came before the mark: at most {most} can be in flight",
            step(at),
            count(*records, "record"),
            count(*extends, "extend")
        ),
        Replay::Violations { step: at, boot, expected, found, from_before } => {
            let whose = match (boot, from_before) {
                (0, _) => String::new(),
                (_, 0) => " of this kernel's own".to_owned(),
                (_, before) => format!(", {before} of them from before the kexec"),
            };
            format!(
                "{}: the kernel counts {}, the log holds {expected}{whose}",
                step(at),
                count(*found, "violation")
            )
        }
        Replay::PcrNotRead { mark } => format!("mark {mark}: PCR 10 was not read"),
        Replay::NoMark { step: at } => format!("{}: it has no mark at which PCR 10 could be read", step(at)),
        Replay::Gap { step: at } => {
            format!("{}: records of the log were removed unread, so it cannot be replayed", step(at))
        }
        Replay::NoQuiescentCheckpoint {} => {
            "no quiescent checkpoint: nowhere do log and PCR have to be equal".to_owned()
        }
        Replay::ViolationsNotRead {} => "no quiescent checkpoint read the counter of violations".to_owned(),
    }
}
