//! Findings of the check `steps` in words.

use super::parts::{count, list, operation, step, value};
use imalab_language::finding::{Amount, Steps};

pub(super) fn words(finding: &Steps) -> String {
    match finding {
        Steps::UnexpectedError { step: at, operation: op, expected, found } => {
            format!(
                "{}: expected {}, {} failed with {}",
                step(at),
                value(expected),
                operation(op),
                value(found)
            )
        }
        Steps::UnexpectedSuccess { step: at, expected } => {
            format!("{}: expected {}, every operation succeeded", step(at), value(expected))
        }
        Steps::NotAttempted { step: at, operation: op } => {
            format!("{}: {} was not attempted", step(at), operation(op))
        }
        Steps::OtherValue { step: at, operation: op, of, expected, found } => {
            let of = match of {
                Amount::Returned => "as its value",
                Amount::BytesWritten => "bytes written",
                Amount::FilesMeasured => "files measured",
                Amount::FilesViolated => "files violated",
                Amount::ResponseCode => "as TPM response code",
            };
            format!(
                "{}: {}: expected {} {of}, found {}",
                step(at),
                operation(op),
                value(expected),
                value(found)
            )
        }
        Steps::Counter { step: at, expected, found } => {
            format!(
                "{}: expected {} as the counter's value, found {}",
                step(at),
                value(expected),
                value(found)
            )
        }
        Steps::CounterNotRead { step: at } => {
            format!("{}: the counter that the scenario expects something of was not read", step(at))
        }
        Steps::NewRecords { step: at, expected, found, count_before, count_after } => format!(
            "{}: expected {} new records, found {}: the counter went from {count_before} to {count_after}",
            step(at),
            value(expected),
            value(found)
        ),
        Steps::Records { step: at, list: of, expected, found, malformed } => {
            let malformed = malformed
                .as_ref()
                .map_or_else(String::new, |why| format!(" up to where it is malformed: {why}"));
            let of = list(of);
            format!(
                "{}: expected {} records in the {of}, found {}{malformed}",
                step(at),
                value(expected),
                value(found)
            )
        }
        Steps::ListNotRead { step: at } => {
            format!("{}: no list was read, the scenario expects records of one", step(at))
        }
        Steps::NotBlocked { step: at } => {
            format!("{}: expected to block, was never seen blocked in a system call", step(at))
        }
        Steps::BlockedWithoutHold { step: at } => {
            format!("{}: was blocked in a system call while the TPM was not held", step(at))
        }
        Steps::EndedBeforeRelease { step: at } => format!(
            "{}: was blocked in a system call, but ended before the TPM was released: it did not wait for that",
            step(at)
        ),
        Steps::CutOff { step: at } => {
            format!("{}: the guest went on in another kernel before it gave its result", step(at))
        }
        Steps::NoResult { step: at, operation: op, since_ms, more } => {
            let place = match since_ms {
                Some(ms) => format!("the guest was in {}, since {ms} ms", operation(op)),
                None => format!("{}, was not reached", operation(op)),
            };
            let more = match more {
                0 => String::new(),
                more => format!("; nor of {} after it", count(*more, "step")),
            };
            format!("{}: no result: {place}{more}", step(at))
        }
        Steps::TaskStatus { task, expected, found } => {
            format!("task `{task}` ended with status {}, expected {}", value(found), value(expected))
        }
        Steps::TpmFaults { expected, found } => format!(
            "the plan tampers with {} TPM commands of the guest, {} were tampered with",
            value(expected),
            value(found)
        ),
    }
}
